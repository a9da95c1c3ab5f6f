"""What the terminal shows of scores: a line for each layer and embedding."""

from collections.abc import Sequence

import numpy as np

from sfal.scoring.score import EmbeddingScores, SourceScores, is_live
from sfal.store.explanations import TOP_TOKENS

_HEAD = (
    ("layer", "embedding", "explainer", "scored", "sfal", "ndcg", "chance", "coverage", "source"),
)
_LEGEND = (
    "sfal and ndcg: medians over the features scored; an sfal of 0 is chance, 1 perfect\n"
    "coverage: share of the features that fire, but not always, that have an explanation"
)
_OWN = (
    "Top tokens come from the same SAE as the counts, though from other documents: such a score "
    "says whether\nfeatures with like top tokens fire together, not whether an independent "
    "explanation fits."
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
        explanation. Below it, what the counts were read from, and a word
        on labels that are a source's own top tokens.
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
    read = [f"{one.source.name}: read {one.read}" for one in scores]
    own = any(_is_own(embeddings) for one in scores for embeddings in one.embeddings)
    return "\n".join([*lines, _LEGEND, "", *read, *([_OWN] if own else [])])


def _is_own(scores: EmbeddingScores) -> bool:
    return scores.stem.startswith(f"{TOP_TOKENS}_")


def _rows(one: SourceScores) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    live = int(is_live(one.windows, one.n_windows).sum())
    for scores in one.embeddings:
        scored = int((scores.status == 0).sum())
        rows.append(
            (
                "" if one.source.layer is None else str(one.source.layer),
                scores.embedder,
                scores.explainer + (" (top tokens)" if _is_own(scores) else ""),
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
