"""One feature with its score and both of its neighbourhoods."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError, Note
from sfal.scoring.inputs import Embeddings, open_counts, read_embeddings
from sfal.scoring.label_fit import NONE, LabelFit
from sfal.scoring.metrics import Ndcg, beyond_chance, chance_p
from sfal.scoring.neighbour_lists import Block, Plan
from sfal.scoring.selection import SourceInput
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import SCORED, STATUSES, Status, is_live, statuses
from sfal.scoring.tables.stored import Reliability, stored_leaks, stored_reliability
from sfal.store.run_folder import RunFolder

_NEURONPEDIA = "https://www.neuronpedia.org"


@dataclass(frozen=True)
class Neighbour:
    """A feature near another one."""

    feature: int
    """Index."""
    similarity: float
    """phi or cosine, depending on the list."""
    explanation: str
    """Its explanation, empty where it has none."""
    other_rank: int | None
    """Its place in the other list, from 0; None if it is not among the first `top_n`, or only by a tie."""


@dataclass(frozen=True)
class BetterLabel:
    """A label that fits a feature better than its own."""

    feature: int
    """Feature whose label it is."""
    sfal: float
    """Score that the feature would have with it."""
    explanation: str
    """The label; empty if its text is missing."""


@dataclass(frozen=True)
class LabelRank:
    """How a feature's own label compares with those of all others."""

    rank: int
    """Labels that fit at least as well, itself included."""
    n_labels: int
    """Labels compared."""
    better: tuple[BetterLabel, ...]
    """The best of those that fit better, best first; at most five."""

    @property
    def p(self) -> float:
        """Share of the labels that fit at least as well."""
        return self.rank / self.n_labels


@dataclass(frozen=True)
class FeatureView:
    """A feature with what the data of its source say about it."""

    source: str
    """Name of the source."""
    feature: int
    """Index."""
    explanation: str
    """Its explanation, empty where it has none."""
    explainer: str
    """Who explained."""
    kind: str
    """Type of the explanation, from the file's name."""
    embedder: str
    """Embedder of the vectors that the semantic list ranks."""
    windows: int
    """Windows in which it fires."""
    n_windows: int
    """Windows counted."""
    status: Status
    """``scored``, or why there is no score."""
    ndcg: float
    """Raw score; NaN unless scored."""
    chance: float
    """Expected ndcg of a random order."""
    sfal: float
    """Score beyond chance; NaN unless scored."""
    p_chance: float
    """Probability that a random order scores at least as much; NaN unless scored."""
    label: LabelRank | None
    """How its label compares with all others; None unless scored."""
    reliability: Reliability | None
    """How precise the score is; None if that is unknown."""
    no_reliability: str
    """Why it is unknown; empty if it is known."""
    explained: bool
    """Whether it has an explanation; its text may be missing all the same."""
    measure: str
    """Measure of co-occurrence that ranks the functional list."""
    functional: tuple[Neighbour, ...]
    """The first candidates by the measure of co-occurrence, without features that never or always
    fire; empty if it is one of those itself."""
    semantic: tuple[Neighbour, ...]
    """The first candidates by cosine among the explained features; empty unless it is explained itself."""
    n_unexplained: int
    """Features without an explanation among its `top_n` nearest, which `semantic` leaves out."""
    url: str | None
    """Its page on Neuronpedia."""
    notes: tuple[Note, ...] = ()
    """What the user may want to know about the embeddings."""


def view_feature(
    source: SourceInput,
    feature: int,
    shown: int = 15,
    settings: ScoreSettings | None = None,
) -> FeatureView:
    """Compute one feature's score and look up both of its neighbourhoods.

    Parameters
    ----------
    source : SourceInput
        The first of its sets of embeddings is used.
    feature : int
        Index, from 0.
    shown : int
        Neighbours to show in each list.
    settings : ScoreSettings, optional
        By default leaked labels count as in the scores on disk.

    Raises
    ------
    InvalidInputError
        If the source has no such feature.
    ArtifactError
        If counts or embeddings cannot be read.
    """
    from sfal import _core

    settings = settings or ScoreSettings(leaks=stored_leaks(source))
    counts = open_counts(source.run_folder, settings.n_windows)
    if not 0 <= feature < counts.n_features:
        raise InvalidInputError(
            f"{source.name} has no feature {feature}; it has 0 to {counts.n_features - 1}"
        )
    file = source.embeddings[0]
    embeddings = read_embeddings(source, file, counts.n_features, settings.leaks)
    counted = counts.load()
    row = np.array([feature])
    windows = counted.counts()
    status = statuses(windows, counted.n_windows, embeddings.explained)
    plan = Plan(counts.n_features, np.flatnonzero(status == SCORED), settings)
    # What may stand in the lists that are scored stands in those shown; also beside a feature
    # without a score, which scoring does not list.
    functional, phi = _core.functional_neighbours(
        counted, settings.top_n, settings.measure, row, plan.candidates
    )
    semantic, cosine = _core.semantic_neighbours(
        embeddings.matrix, settings.top_n, row, plan.candidates
    )
    by_phi = places_in_list(feature, functional[0], is_live(windows, counted.n_windows))
    by_cosine = places_in_list(feature, semantic[0], embeddings.explained)
    texts = embeddings.explanations
    chance = _core.chance(plan.n_candidates, settings.top_n)
    ndcg, label = np.full(1, np.nan), None
    if status[feature] == SCORED:
        block = Block(row, plan.functional(counted, row), plan.semantic(embeddings.matrix, row))
        ndcg, label = _rank_of_label(block, plan, embeddings, chance)
    reliability, why_not = stored_reliability(source, feature, float(ndcg[0]))
    return FeatureView(
        source=source.name,
        feature=feature,
        explanation=texts.get(feature, ""),
        explainer=embeddings.explainer,
        kind=file.stem.removesuffix(f"_{embeddings.explainer}"),
        embedder=file.embedder,
        windows=int(windows[feature]),
        n_windows=counted.n_windows,
        status=STATUSES[int(status[feature])],
        ndcg=float(ndcg[0]),
        chance=chance,
        sfal=float(beyond_chance(ndcg, chance)[0]),
        p_chance=float(chance_p(ndcg, plan.n_candidates, settings.top_n)[0]),
        label=label,
        reliability=reliability,
        no_reliability=why_not,
        explained=bool(embeddings.explained[feature]),
        measure=settings.measure,
        functional=listed_neighbours(by_phi, phi[0], by_cosine, texts, shown),
        semantic=listed_neighbours(by_cosine, cosine[0], by_phi, texts, shown),
        n_unexplained=int((~embeddings.explained[semantic[0]]).sum()),
        url=_page(source, feature),
        notes=embeddings.notes,
    )


def _rank_of_label(
    block: Block, plan: Plan, embeddings: Embeddings, chance: float
) -> tuple[NDArray[np.float64], LabelRank]:
    """Return the NDCG of a block's only feature, and how its label compares with all others."""
    ndcg, fit = Ndcg(plan), LabelFit(plan, embeddings.matrix)
    ndcg.add(block)
    fit.add(block)
    feature = int(block.rows[0])
    sfal = beyond_chance(fit.value[feature].astype(np.float64), chance)
    better = tuple(
        BetterLabel(int(other), float(score), embeddings.explanations.get(int(other), ""))
        for other, score in zip(fit.better[feature], sfal, strict=True)
        if other != NONE
    )
    label = LabelRank(int(fit.rank[feature]), len(plan.scored), better)
    return ndcg.values[block.rows], label


def places_in_list(
    feature: int, ranked: NDArray[np.uint32], comparable: NDArray[np.bool_]
) -> dict[int, int]:
    """Return the place of each feature in a list, in order, without those that only tie.

    Parameters
    ----------
    feature : int
        Whose list it is.
    ranked : ndarray of shape (w,), uint32
        Its neighbours, nearest first.
    comparable : ndarray of shape (F,), bool
        Features that have a similarity at all.

    Returns
    -------
    places : dict
        Place from 0 by feature; empty unless `feature` is comparable itself.
    """
    if not comparable[feature]:
        return {}
    return {int(other): i for i, other in enumerate(ranked) if comparable[other]}


def listed_neighbours(
    own: Mapping[int, int],
    similarities: NDArray[np.float32],
    other: Mapping[int, int],
    texts: Mapping[int, str],
    shown: int | None = None,
) -> tuple[Neighbour, ...]:
    """Return the first neighbours of a list, with their places in the other one.

    Parameters
    ----------
    own, other : mapping
        Places in the list and in the other one, as :func:`places_in_list` returns them.
    similarities : ndarray of shape (w,), float32
        Similarity at each place of the list.
    texts : mapping
        Explanation by feature.
    shown : int, optional
        Neighbours wanted; default: all.
    """
    return tuple(
        Neighbour(
            feature=feature,
            similarity=float(similarities[place]),
            explanation=texts.get(feature, ""),
            other_rank=other.get(feature),
        )
        for feature, place in islice(own.items(), shown)
    )


def _page(source: SourceInput, feature: int) -> str | None:
    """Return the address of the feature's page on Neuronpedia, None if it has none."""
    manifest = RunFolder(source.run_folder).readable_manifest
    known = None if manifest is None else manifest.source.neuronpedia_id
    return None if known is None else f"{_NEURONPEDIA}/{known}/{feature}"
