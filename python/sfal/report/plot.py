"""A picture of scores: their distribution relative to chance, and scores against firing counts."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError, MissingDependencyError
from sfal.io.atomic import atomic_path
from sfal.report.law import survival_of_chance
from sfal.scoring.reliability.medians import median_reliability
from sfal.scoring.score import EmbeddingScores, SourceScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
"""Endings of the files that can be drawn."""

_BINS = 60
_PANEL = (4.6, 2.6)
"""Width and height of one panel in inches."""
_ROWS = 6
"""Most pairs that are drawn one per row."""
_LEGEND: dict[str, Any] = {"framealpha": 0.85, "edgecolor": "none", "fontsize": 8}
_FEW = 200
"""Below this number of features, each is drawn as a large dot."""
_Z = 1.96
_RARELY = 0.05
_SCORES, _CHANCE, _MEDIAN = "#4878a8", "#444444", "#c04e2c"


def check_plot(path: Path) -> None:
    """Refuse a picture that cannot be drawn, before anything is computed.

    Parameters
    ----------
    path : Path
        Where it will be written, ending in ``.png`` or ``.svg``.

    Raises
    ------
    InvalidInputError
        If it ends in anything else.
    MissingDependencyError
        If matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise InvalidInputError(
            f"cannot draw {path}", hint=f"its name must end in {' or '.join(FORMATS)}"
        )
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as e:
        raise MissingDependencyError(
            "plots need matplotlib", hint="`pip install '.[plot]'` in SFAL's clone installs it"
        ) from e


def plot_scores(scores: Sequence[SourceScores], path: Path) -> None:
    """Draw scores as small multiples, one pair for each source and set of embeddings.

    Left: how many features have which ``sfal``, and how many would if their neighbours were in
    random order; the median, and its 95 % interval over the choice of documents. Right: ``sfal``
    against the number of windows in which a feature fires, on a logarithmic axis, with the median
    of every half octave that holds at least ten features, and the score that one random order in
    twenty reaches. Few features have their 95 % intervals; of many, the band shows how wide these
    typically are. All pairs share the scales of their axes, so that they
    can be compared. Features without a score are left out; the title counts the
    others.

    Parameters
    ----------
    scores : sequence of SourceScores
        At least one.
    path : Path
        File to write, ``.png`` or ``.svg``. The same scores give the same bytes.

    Raises
    ------
    InvalidInputError
        If the name ends in anything else.
    MissingDependencyError
        If matplotlib is not installed.
    ArtifactError
        If the file cannot be written.
    """
    check_plot(path)
    import matplotlib as mpl

    with mpl.rc_context():
        # The user's own settings must not show, and ids in an SVG are random by default.
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.hashsalt": "sfal", "font.size": 9, "axes.titlesize": 9})
        figure = _figure(scores)
        kind = path.suffix.lower().removeprefix(".")
        unchanging = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=120, metadata=unchanging)


def _figure(scores: Sequence[SourceScores]) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [(one, embedding) for one in scores for embedding in one.embeddings]
    rows, pairs = _grid(len(drawn))
    figure = Figure((2 * pairs * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    FigureCanvasAgg(figure)  # needs no display, whatever the environment says
    panels = iter(figure.subplots(rows, 2 * pairs, squeeze=False).flat)
    limits = _limits([embedding.sfal for _, embedding in drawn])
    firing = _firing(drawn)
    for one, embedding in drawn:
        left, right = next(panels), next(panels)
        left.set_title(_title(one, embedding), loc="left", parse_math=False)
        _distribution(left, one, embedding, limits)
        _against_windows(right, one, embedding, limits, firing)
    for unused in panels:
        unused.set_visible(False)
    return figure


def _grid(n: int) -> tuple[int, int]:
    """Return rows, and pairs per row, so that a picture of many pairs is about square."""
    pairs = math.ceil(math.sqrt(n / _ROWS))
    return math.ceil(n / pairs), pairs


def _title(one: SourceScores, embedding: EmbeddingScores) -> str:
    n_scored = int(np.count_nonzero(~np.isnan(embedding.sfal)))
    return (
        f"{one.source.name}\n{embedding.embedder} · {embedding.stem} · "
        f"{n_scored:,} of {one.n_features:,} features scored"
    )


def _limits(scores: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Return a range for all scores, which includes 0 and a margin."""
    present = np.concatenate([[0.0], *(values[~np.isnan(values)] for values in scores)])
    low, high = float(present.min()), float(present.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _firing(drawn: Sequence[tuple[SourceScores, EmbeddingScores]]) -> tuple[float, float]:
    """Return a range for the firing counts of all scored features, with a margin."""
    shown = np.concatenate([one.windows[~np.isnan(embedding.sfal)] for one, embedding in drawn])
    low, high = (int(shown.min()), int(shown.max())) if len(shown) else (1, 1)
    return 0.8 * low, 1.25 * high


def _distribution(
    axes: "Axes", one: SourceScores, embedding: EmbeddingScores, limits: tuple[float, float]
) -> None:
    from matplotlib.ticker import MaxNLocator

    values = embedding.sfal[~np.isnan(embedding.sfal)]
    axes.set(xlim=limits, xlabel="sfal", ylabel="features")
    axes.axvline(0, color=_CHANCE, linestyle=":", linewidth=1)
    if not len(values):
        _say_nothing_scored(axes)
        return
    edges = np.linspace(*limits, _BINS + 1)
    heights, _, _ = axes.hist(values, edges.tolist(), color=_SCORES)
    reached = survival_of_chance(edges, one.n_features, len(values), one.settings)
    if reached is not None:
        # Most random orders score about 0: the curve leaves the picture at the top.
        axes.stairs(
            -np.diff(reached) * len(values), edges,
            color=_CHANCE, linestyle="--", linewidth=1, label="chance",
        )  # fmt: skip
    axes.set_ylim(0, 1.3 * float(np.max(heights)))  # the legend stands above the bars
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    median, error = float(np.median(values)), _error(embedding)
    known = f" ± {error:.3f}" if error == error else ""
    axes.axvline(median, color=_MEDIAN, linewidth=1.2, label=f"median {median:.3f}{known}")
    if error == error:
        axes.axvspan(median - _Z * error, median + _Z * error, color=_MEDIAN, alpha=0.2, lw=0)
    axes.legend(loc="upper right", ncols=2, **_LEGEND)


def _error(embedding: EmbeddingScores) -> float:
    """Return the standard error of the median, NaN if parts of the text were not scored."""
    if embedding.replicates is None:
        return np.nan
    return median_reliability(embedding.sfal, embedding.replicates).se


def _against_windows(
    axes: "Axes",
    one: SourceScores,
    embedding: EmbeddingScores,
    limits: tuple[float, float],
    firing: tuple[float, float],
) -> None:
    from matplotlib.ticker import LogFormatter

    scored = ~np.isnan(embedding.sfal)
    axes.set(
        xscale="log", xlim=firing, ylim=limits, ylabel="sfal",
        xlabel=f"windows in which the feature fires, of {one.n_windows:,}",
    )  # fmt: skip
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(
        LogFormatter()
    )  # labels also if the axis spans less than a decade
    axes.axhline(0, color=_CHANCE, linestyle=":", linewidth=1)
    if not scored.any():
        _say_nothing_scored(axes)
        return
    windows, values = one.windows[scored].astype(np.float64), embedding.sfal[scored]
    _rarely_by_chance(axes, one, len(values))
    few = len(values) < _FEW
    # Thousands of points as an image, so that an SVG stays small.
    axes.scatter(
        windows, values, s=16 if few else 5, alpha=0.8 if few else max(0.15, 6 / len(values) ** 0.5),
        color=_SCORES, linewidths=0, rasterized=not few, label="feature",
    )  # fmt: skip
    centres, medians = _running_median(windows, values)
    if len(centres):
        axes.plot(centres, medians, color=_MEDIAN, linewidth=1.2, label="running median")
    sure = embedding.features.reliability
    if sure is not None:
        _intervals(axes, windows, sure.low[scored], sure.high[scored], few=few)
    axes.legend(loc="upper left", markerscale=1 if few else 2, ncols=2, **_LEGEND)


def _rarely_by_chance(axes: "Axes", one: SourceScores, n_scored: int) -> None:
    """Mark the score that few random orders reach."""
    scores = np.linspace(-1, 1, 2001)
    reached = survival_of_chance(scores, one.n_features, n_scored, one.settings)
    if reached is not None and (reached <= _RARELY).any():
        rare = scores[int(np.argmax(reached <= _RARELY))]
        axes.axhline(rare, color=_CHANCE, linestyle="--", linewidth=1, label="chance, p .05")


def _intervals(
    axes: "Axes",
    windows: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    few: bool,
) -> None:
    known = ~np.isnan(low)
    windows, low, high = windows[known], low[known], high[known]
    if few:
        axes.vlines(
            windows, low, high, color=_SCORES, alpha=0.35, linewidth=1, label="95 % interval"
        )
        return
    centres, lows = _running_median(windows, low)
    _, highs = _running_median(windows, high)
    if len(centres):
        axes.fill_between(
            centres, lows, highs, color=_MEDIAN, alpha=0.2, lw=0, label="typical 95 % interval"
        )


def _running_median(
    windows: NDArray[np.float64], values: NDArray[np.float64], least: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the median score of the features in each half octave of firing counts."""
    step = np.floor(2 * np.log2(windows))
    kept = [s for s in np.unique(step) if np.count_nonzero(step == s) >= least]
    medians = np.array([np.median(values[step == s]) for s in kept])
    centres = np.array([np.median(windows[step == s]) for s in kept])
    return centres, medians


def _say_nothing_scored(axes: "Axes") -> None:
    axes.text(0.5, 0.5, "no feature scored", ha="center", va="center", transform=axes.transAxes)
