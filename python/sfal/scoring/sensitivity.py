"""How scores depend on choices: measure of co-occurrence, metric of agreement, size of the window."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import Note
from sfal.scoring.inputs import open_counts, read_embeddings
from sfal.scoring.metrics import Ndcg, Overlaps
from sfal.scoring.neighbour_lists import Block, Plan
from sfal.scoring.selection import SourceInput
from sfal.scoring.settings import MEASURES, Measure, ScoreSettings
from sfal.scoring.status import SCORED, statuses
from sfal.store.manifest import Manifest, has_manifest
from sfal.terminal.progress import progress

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal._core import Histogram, Occurrences

METRICS = ("ndcg", "overlap10", "rbo98")
"""Metrics of agreement between two lists."""
FACTORS = (1, 2, 4)
"""Lengths of the windows, in windows that were counted."""
_FEWEST = 3
"""Features that a rank correlation needs."""


@dataclass(frozen=True)
class Choice:
    """Scores by one measure and size of the window, against those of the usual choice."""

    measure: str
    """Measure of co-occurrence."""
    factor: int
    """Length of the windows, in windows that were counted."""
    n_windows: int
    """Windows of this length."""
    n_scored: int
    """Features scored by this choice and by the usual one."""
    correlations: dict[str, float]
    """Spearman's correlation of each metric with the usual scores (phi, ndcg, windows as counted)."""


@dataclass(frozen=True)
class Sensitivity:
    """How much the order of a source's features depends on choices."""

    source: str
    """Name of the source."""
    embedder: str
    """Embedder of the labels."""
    stem: str
    """``{type}_{explainer}`` of the labels."""
    window_size: int | None
    """Tokens of a window as counted, if known."""
    choices: tuple[Choice, ...]
    """By size of the window, then by measure."""
    notes: tuple[Note, ...] = ()
    """What the user may want to know."""

    def table(self) -> "pa.Table":
        """Return one row per choice and metric."""
        import pyarrow as pa

        return pa.Table.from_pylist(
            [
                {
                    "measure": choice.measure,
                    "metric": metric,
                    "window": choice.factor,
                    "n_windows": choice.n_windows,
                    "n_scored": choice.n_scored,
                    "spearman": value,
                }
                for choice in self.choices
                for metric, value in choice.correlations.items()
            ]
        )


@dataclass
class _Measured:
    """Values of all metrics by one measure."""

    plan: Plan
    ndcg: Ndcg = field(init=False)
    overlaps: Overlaps = field(init=False)

    def __post_init__(self) -> None:
        self.ndcg, self.overlaps = Ndcg(self.plan), Overlaps(self.plan)

    def values(self) -> dict[str, NDArray[np.float64]]:
        found = (self.ndcg.values, self.overlaps.overlap10, self.overlaps.rbo98)
        return dict(zip(METRICS, found, strict=True))


def source_sensitivity(
    source: SourceInput,
    measures: Sequence[Measure] = MEASURES,
    settings: ScoreSettings | None = None,
) -> Sensitivity:
    """Score a source by every measure, metric and size of window, and correlate the scores.

    Parameters
    ----------
    source : SourceInput
        The first of its sets of embeddings is used.
    measures : sequence of str
        Measures to compare with phi.
    settings : ScoreSettings, optional
        Candidates, ties and depth of the lists; the measure is not used.

    Raises
    ------
    SfalError
        If counts or embeddings cannot be read or ranked.

    Notes
    -----
    Longer windows are runs of whole windows of one document, so they need
    occurrences; from a histogram, only the windows as counted are scored.
    """
    settings = replace(settings or ScoreSettings(), measure="phi")
    counts, documents = open_counts(source.run_folder, settings.n_windows).load_all()
    file = source.embeddings[0]
    embeddings = read_embeddings(source, file, counts.n_features, settings.leaks)
    names: list[Measure] = ["phi", *(name for name in measures if name != "phi")]
    factors = FACTORS if documents is not None else FACTORS[:1]
    usual: NDArray[np.float64] | None = None
    choices = []
    with progress(len(factors) * len(names), "sensitivity", "ranking") as bar:
        for factor in factors:
            joined = counts if documents is None else _coarsen(counts, documents, factor)
            status = statuses(joined.counts(), joined.n_windows, embeddings.explained)
            plan = Plan(len(status), np.flatnonzero(status == SCORED), settings)
            measured = {
                name: _Measured(replace(plan, settings=replace(settings, measure=name)))
                for name in names
            }
            for rows in plan.blocks():
                semantic = plan.semantic(embeddings.matrix, rows)
                for one in measured.values():
                    block = Block(rows, one.plan.functional(joined, rows), semantic)
                    one.ndcg.add(block)
                    one.overlaps.add(block)
                    bar.update(1)
            for name, one in measured.items():
                values = one.values()
                usual = values["ndcg"] if usual is None else usual
                both = ~(np.isnan(usual) | np.isnan(values["ndcg"]))
                correlations = {
                    metric: _spearman(usual[both], found[both]) for metric, found in values.items()
                }
                choices.append(
                    Choice(name, factor, joined.n_windows, int(both.sum()), correlations)
                )
    notes = list(embeddings.notes)
    if documents is None:
        notes.append(
            Note(
                f"{source.name} has a histogram alone, which cannot be made coarser: only the "
                "windows as counted are compared"
            )
        )
    return Sensitivity(
        source.name,
        file.embedder,
        file.stem,
        _window_size(source),
        tuple(choices),
        tuple(notes),
    )


def _coarsen(
    counts: "Occurrences | Histogram", documents: NDArray[np.uint64], factor: int
) -> "Occurrences | Histogram":
    """Join windows of one document in runs; what is left of a document is dropped, as tails are."""
    from sfal import _core

    if factor == 1 or not isinstance(counts, _core.Occurrences) or not len(documents):
        return counts
    firsts = np.flatnonzero(np.diff(documents, prepend=documents[0] + np.uint64(1)))
    lengths = np.diff(firsts, append=len(documents))
    place = np.arange(len(documents)) - np.repeat(firsts, lengths)
    whole = place < np.repeat(lengths // factor * factor, lengths)
    kept = np.flatnonzero(whole)
    return counts.select(kept).coarsen(np.arange(0, len(kept), factor))


def _window_size(source: SourceInput) -> int | None:
    if not has_manifest(source.run_folder):
        return None
    size = Manifest.load(source.run_folder).settings.get("window_size")
    return size if isinstance(size, int) else None


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the correlation of two rankings; NaN where one of them is constant."""
    from scipy.stats import rankdata

    if len(a) < _FEWEST:
        return np.nan
    x, y = (rankdata(values) - (len(a) + 1) / 2 for values in (a, b))
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size else np.nan
