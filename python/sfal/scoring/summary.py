"""What the terminal shows of scores: a line for each layer and embedding."""

from collections.abc import Sequence

import numpy as np

from sfal.scoring.score import SourceScores

_HEAD = (
    ("layer", "embedding", "explainer", "scored", "sfal", "ndcg", "chance", "coverage", "source"),
)
_NUMBERS = {0, 3, 4, 5, 6, 7}


def summary(scores: Sequence[SourceScores]) -> str:
    """Summarise scores as a table.

    Parameters
    ----------
    scores : sequence of SourceScores

    Returns
    -------
    text : str
        Features scored, median sfal and ndcg, chance, and coverage: the share
        of the features that fire, but not always, for which there is an
        explanation. Below it, what the counts were read from.
    """
    rows = [*_HEAD, *(row for one in scores for row in _rows(one))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if i in _NUMBERS else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *(f"{one.source.name}: read {one.read}" for one in scores)])


def _rows(one: SourceScores) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    live = int(((one.windows > 0) & (one.windows < one.n_windows)).sum())
    for scores in one.embeddings:
        scored = int((scores.status == 0).sum())
        rows.append(
            (
                "" if one.source.layer is None else str(one.source.layer),
                scores.embedder,
                scores.explainer,
                f"{scored:,}",
                _median(scores.sfal),
                _median(scores.ndcg),
                f"{one.chance:.4f}",
                f"{scored / live:.1%}" if live else "-",
                one.source.name,
            )
        )
    return rows


def _median(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    present = values[~np.isnan(values)]
    return f"{np.median(present):.4f}" if len(present) else "-"
