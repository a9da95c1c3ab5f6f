"""How scores depend on choices, as one table for the terminal."""

from sfal.scoring.sensitivity import METRICS, Choice, Sensitivity
from sfal.terminal.table import Column, render_table

_LEGEND = (
    "Spearman's correlation, over features, with the usual scores: phi, ndcg, windows as counted.\n"
    "Near 1: the choice makes little difference to which features score high."
)


def sensitivity_text(found: Sensitivity) -> list[str]:
    """Lay out how scores depend on choices in lines.

    Parameters
    ----------
    found : Sensitivity
        As :func:`sfal.scoring.sensitivity.source_sensitivity` makes it.
    """
    columns = [
        Column("window", "right"),
        Column("windows", "right"),
        Column("measure"),
        Column("features", "right"),
        *(Column(metric, "right") for metric in METRICS),
    ]
    rows = [_row(choice, found.window_size) for choice in found.choices]
    title = f"{found.source}, labels embedded by {found.embedder}"
    return [title, *render_table(columns, rows), _LEGEND]


def _row(choice: Choice, window_size: int | None) -> tuple[str, ...]:
    size = f"{choice.factor} ×" if window_size is None else f"{choice.factor * window_size:,}"
    return (
        size,
        f"{choice.n_windows:,}",
        choice.measure,
        f"{choice.n_scored:,}",
        *("-" if value != value else f"{value:.3f}" for value in choice.correlations.values()),
    )
