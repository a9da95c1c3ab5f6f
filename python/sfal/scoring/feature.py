"""One feature with its score and both of its neighbourhoods."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError, Note
from sfal.scoring.inputs import open_counts, read_embeddings
from sfal.scoring.metrics import beyond_chance
from sfal.scoring.selection import SourceInput
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.status import STATUSES, Status, is_live, only_scored, statuses
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
    explained: bool
    """Whether it has an explanation; its text may be missing all the same."""
    functional: tuple[Neighbour, ...]
    """The first neighbours by phi among the features that fire in some windows but not in all; empty
    unless it does so itself."""
    semantic: tuple[Neighbour, ...]
    """The first neighbours by cosine among the explained features; empty unless it is explained itself."""
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

    Raises
    ------
    InvalidInputError
        If the source has no such feature.
    ArtifactError
        If counts or embeddings cannot be read.
    """
    from sfal import _core

    settings = settings or ScoreSettings()
    counts = open_counts(source.run_folder, settings.n_windows)
    if not 0 <= feature < counts.n_features:
        raise InvalidInputError(
            f"{source.name} has no feature {feature}; it has 0 to {counts.n_features - 1}"
        )
    file = source.embeddings[0]
    embeddings = read_embeddings(source, file, counts.n_features)
    counted = counts.load()
    row = np.array([feature])
    functional, phi = _core.functional_neighbours(counted, settings.top_n, rows=row)
    semantic, cosine = _core.semantic_neighbours(embeddings.matrix, settings.top_n, rows=row)
    windows = counted.counts()
    by_phi = _places(feature, functional[0], is_live(windows, counted.n_windows))
    by_cosine = _places(feature, semantic[0], embeddings.explained)
    texts = embeddings.explanations
    status = statuses(windows, counted.n_windows, embeddings.explained)[row]
    chance = _core.chance(counts.n_features - 1, settings.top_n)
    ndcg = only_scored(_core.ndcg(functional, semantic, settings.top_n), status)
    return FeatureView(
        source=source.name,
        feature=feature,
        explanation=texts.get(feature, ""),
        explainer=embeddings.explainer,
        kind=file.stem.removesuffix(f"_{embeddings.explainer}"),
        embedder=file.embedder,
        windows=int(windows[feature]),
        n_windows=counted.n_windows,
        status=STATUSES[int(status[0])],
        ndcg=float(ndcg[0]),
        chance=chance,
        sfal=float(beyond_chance(ndcg, chance)[0]),
        explained=bool(embeddings.explained[feature]),
        functional=_neighbours(by_phi, phi[0], by_cosine, texts, shown),
        semantic=_neighbours(by_cosine, cosine[0], by_phi, texts, shown),
        n_unexplained=int((~embeddings.explained[semantic[0]]).sum()),
        url=_page(source, feature),
        notes=embeddings.notes,
    )


def _places(
    feature: int, ranked: NDArray[np.uint32], comparable: NDArray[np.bool_]
) -> dict[int, int]:
    """Return each feature's place in a list, in order, without those that are there by a tie alone."""
    if not comparable[feature]:
        return {}
    return {int(other): i for i, other in enumerate(ranked) if comparable[other]}


def _neighbours(
    own: Mapping[int, int],
    similarities: NDArray[np.float32],
    other: Mapping[int, int],
    texts: Mapping[int, str],
    shown: int,
) -> tuple[Neighbour, ...]:
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
