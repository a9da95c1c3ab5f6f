"""Scores as text for the terminal: a line for each layer and set of embeddings."""

from collections.abc import Sequence

from sfal.scoring.score import SourceScores
from sfal.scoring.summary import Summary, summarise
from sfal.terminal.table import Column, figure, render_table

_COLUMNS = (
    Column("layer", "right"),
    Column("embedding"),
    Column("explainer"),
    Column("scored", "right"),
    Column("sfal", "right"),
    Column("ndcg", "right"),
    Column("chance", "right"),
    Column("coverage", "right"),
    Column("source"),
)
_LEGEND = (
    "sfal and ndcg: medians over the scored features; an sfal of 0 is chance, 1 is perfect\n"
    "coverage: share of the features that fire, but not always, that have an explanation"
)
_TOP_TOKENS = (
    "Top tokens come from the same SAE as the counts, though from other documents: such a score "
    "says whether\nfeatures with similar top tokens fire together, not whether an independent "
    "explanation fits."
)


def summary(scores: Sequence[SourceScores]) -> str:
    """Lay out what scores amount to as a table.

    Parameters
    ----------
    scores : sequence of SourceScores

    Returns
    -------
    text : str
        The figures of :class:`sfal.scoring.summary.Summary`, and what each
        source's counts were read from. A caveat follows if labels are the
        source's own top tokens.
    """
    summaries = [one for source in scores for one in summarise(source)]
    lines = render_table(_COLUMNS, map(_row, summaries))
    read = [f"{one.source.name}: read {one.read}" for one in scores]
    caveat = [_TOP_TOKENS] if any(one.top_tokens for one in summaries) else []
    return "\n".join([*lines, _LEGEND, "", *read, *caveat])


def _row(one: Summary) -> tuple[str, ...]:
    return (
        "" if one.layer is None else str(one.layer),
        one.embedder,
        one.explainer + (" (top tokens)" if one.top_tokens else ""),
        f"{one.n_scored:,}",
        figure(one.sfal, ".4f"),
        figure(one.ndcg, ".4f"),
        figure(one.chance, ".4f"),
        figure(one.coverage, ".1%"),
        one.source,
    )
