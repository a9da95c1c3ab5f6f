"""All stages on the miniature, and its scores with shuffled labels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.demo import DATA, N_COUNTED, N_LABELLED, WINDOW_SIZE
from sfal.errors import CombinedError, MissingError
from sfal.io.atomic import read_json
from sfal.scoring.status import SCORED

if TYPE_CHECKING:
    from sfal.scoring.audit import Audit
    from sfal.scoring.feature import FeatureView
    from sfal.scoring.score import SourceScores
    from sfal.sources import Source
    from sfal.stats.controls import PlantedErrors

MODEL_NAME = "sfal-demo-2m"
"""Folder of the sources in the data folder."""
EMBEDDER_NAME = "sfal-demo/words"
"""Folder of the embeddings in a source's folder."""

_SHARES = (0.01, 0.15)
"""Least and largest share of windows in which a feature fires if it is to be shown."""
_MIN_WORDS = 3
"""Whole words that a label needs to be shown: numerals and commas are dull to read."""
_N_EXCLUDED = 20
"""Functional neighbours of a feature that are not shown together with it."""
_SEED = 0


@dataclass(frozen=True)
class LayerOutcome:
    """Scores of one layer's SAE."""

    source: str
    """Name of the source."""
    layer: int
    """Layer, from 0."""
    n_features: int
    """Width of the SAE."""
    n_scored: int
    """Features with a score."""
    n_windows: int
    """Windows counted."""
    median: float
    """Median score."""
    shuffled: float
    """Median score with the labels shuffled among the features."""
    chance: float
    """NDCG that corresponds to a score of 0."""
    best: "tuple[FeatureView, ...]"
    """Features with the highest scores, among those that make good examples."""
    worst: "tuple[FeatureView, ...]"
    """Features with the lowest scores, among the same."""
    audit: "Audit"
    """Labels that are probably wrong."""
    planted: "PlantedErrors | None"
    """What became of labels that were exchanged on purpose; only of the last layer."""


def run_demo(
    data_dir: Path,
    say: Callable[[str], None],
    *,
    device: str = "auto",
    n_shown: int = 2,
    n_neighbours: int = 6,
    n_suspects: int = 3,
) -> list[LayerOutcome]:
    """Count, label, embed and score the miniature with the code that runs any source.

    Parameters
    ----------
    data_dir : Path
        Where all files go; work that is already there is not repeated.
    say : callable
        Called with one line of text before each step.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` …
    n_shown : int
        Number of best and of worst features to pick.
    n_neighbours : int
        Neighbours in each list.
    n_suspects : int
        Labels that are probably wrong whose neighbours are looked up.

    Returns
    -------
    list of LayerOutcome
        By layer.

    Raises
    ------
    ArtifactError
        If the package's data are missing, or the folder holds other data.
    CombinedError
        If a layer cannot be scored.
    """
    from sfal.scoring.driver import score_selection
    from sfal.scoring.selection import Selection

    sources = _sources()
    layers = " and ".join(str(source.layer) for source in sources)
    say(
        f"counting: {N_COUNTED:,} articles through the model and the SAEs of layers {layers}, "
        f"then {N_LABELLED} more for the labels"
    )
    _count(sources, data_dir, device)
    say("labelling: the words on which each feature fires most strongly in other articles")
    say("embedding: the labels, with word vectors")
    _label(sources, data_dir)
    say("scoring: neighbours by co-occurrence compared with neighbours by label")
    names = tuple(source.name for source in sources)
    selection = Selection(sources=names, embeddings=(EMBEDDER_NAME,))
    outcome = score_selection(data_dir, selection, output=data_dir / "scoring_results.csv")
    if outcome.refused:
        raise CombinedError(outcome.refused)
    found = [_outcome(scores, n_shown, n_neighbours, n_suspects) for scores in outcome.scores]
    found[-1] = replace(found[-1], planted=_planted(outcome.scores[-1]))
    return found


def figures() -> dict[str, Any]:
    """Return what the recipe measured about the miniature."""
    found: dict[str, Any] = read_json(DATA / "figures.json")
    return found


def _sources() -> "list[Source]":
    from sfal.sources import resolve_local

    saes = sorted(DATA.glob("sae/layer_*/width_*/average_l0_*"))
    if not saes:
        raise MissingError(f"{DATA} holds no SAEs", hint="install the package again")
    found = []
    for path in saes:
        layer = int(path.parts[-3].removeprefix("layer_"))
        width = path.parts[-2].removeprefix("width_")
        source = resolve_local(path, str(DATA / "model"), "res", layer)
        found.append(replace(source, name=f"{MODEL_NAME}/{layer}-demo-res-{width}"))
    return found


def _count(sources: "Sequence[Source]", data_dir: Path, device: str) -> None:
    from sfal.collect.driver import collect
    from sfal.collect.settings import CollectSettings

    settings = CollectSettings(
        corpus=str(DATA / "held_out.jsonl.gz"),
        n_docs=N_COUNTED,
        examples=N_LABELLED,
        window_size=WINDOW_SIZE,
        histogram="none",
        device=device,
    )
    for result in collect(sources, settings, data_dir):
        if result.error is not None:
            raise result.error


def _label(sources: "Sequence[Source]", data_dir: Path) -> None:
    from sfal.embeddings.driver import embed_explanations
    from sfal.embeddings.settings import EmbedSettings
    from sfal.explanations.driver import explain_features

    settings = EmbedSettings(
        embedding_models=(str(DATA / "embedder"),), embedding_name=EMBEDDER_NAME, device="cpu"
    )
    for labels in explain_features(sources, data_dir):
        if labels.error is not None:
            raise labels.error
    for vectors in embed_explanations(sources, settings, data_dir):
        if vectors.error is not None:
            raise vectors.error


def _outcome(
    scores: "SourceScores", n_shown: int, n_neighbours: int, n_suspects: int
) -> LayerOutcome:
    from sfal.scoring.audit import audit_source
    from sfal.scoring.feature import view_feature

    (one,) = scores.embeddings
    functional, shuffled = _shuffled(scores)
    scored = ~np.isnan(one.sfal)
    candidates = [
        feature for feature in np.flatnonzero(scored) if _makes_an_example(scores, int(feature))
    ]
    order = sorted(candidates, key=lambda feature: -one.sfal[feature])
    best = _spread(order, functional, n_shown)
    worst = _spread(order[::-1], functional, n_shown)
    return LayerOutcome(
        source=scores.source.name,
        layer=scores.source.layer or 0,
        n_features=scores.n_features,
        n_scored=int(scored.sum()),
        n_windows=scores.n_windows,
        median=float(np.median(one.sfal[scored])),
        shuffled=float(np.median(shuffled[scored])),
        chance=one.features.chance,
        best=tuple(view_feature(scores.source, f, n_neighbours) for f in best),
        worst=tuple(view_feature(scores.source, f, n_neighbours) for f in worst),
        audit=audit_source(scores.source, shown=n_suspects),
        planted=None,
    )


def _shuffled(scores: "SourceScores") -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Return functional neighbours, and the scores after the labels are permuted."""
    from sfal import _core
    from sfal.scoring.feature_scores import compute_scores
    from sfal.scoring.inputs import open_counts, read_embeddings
    from sfal.scoring.neighbour_lists import FunctionalLists

    source, settings = scores.source, scores.settings
    counts = open_counts(source.run_folder).load()
    leaks = scores.settings.leaks
    embeddings = read_embeddings(source, source.embeddings[0], scores.n_features, leaks)
    (one,) = scores.embeddings
    scored = np.flatnonzero(one.status == SCORED)
    matrix = embeddings.matrix.copy()
    matrix[scored] = matrix[np.random.default_rng(_SEED).permutation(scored)]
    computed, _ = compute_scores(FunctionalLists(lambda: counts), matrix, one.status, settings)
    functional, _ = _core.functional_neighbours(counts, settings.top_n)
    return functional, computed.sfal


def _planted(scores: "SourceScores") -> "PlantedErrors":
    """Exchange some labels in pairs, and see what label fit makes of them."""
    from sfal.scoring.inputs import open_counts, read_embeddings
    from sfal.stats.controls import controls

    source = scores.source
    counts = open_counts(source.run_folder).load()
    leaks = scores.settings.leaks
    embeddings = read_embeddings(source, source.embeddings[0], scores.n_features, leaks)
    top_n = scores.settings.top_n
    return controls(counts, embeddings.matrix, embeddings.explained, top_n, seed=_SEED).planted


def _makes_an_example(scores: "SourceScores", feature: int) -> bool:
    share = float(scores.windows[feature]) / scores.n_windows
    words = scores.explanations.get(feature, "").split(", ")
    whole = sum(word.isalpha() and len(word) > 2 for word in words)
    return _SHARES[0] <= share <= _SHARES[1] and whole >= _MIN_WORDS


def _spread(order: Sequence[Any], functional: NDArray[np.uint32], n: int) -> Iterator[int]:
    """Yield the first `n` features of an order, without close neighbours of those before."""
    near: set[int] = set()
    for feature in map(int, order):
        if n == 0:
            return
        if feature not in near:
            near |= {feature, *map(int, functional[feature, :_N_EXCLUDED])}
            n -= 1
            yield feature
