"""Scores as text for the terminal: a line for each layer and set of embeddings."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sfal.report.scored_with import planted_auc
from sfal.scoring.score import EmbeddingScores, SourceScores
from sfal.scoring.summary import Summary, summarise
from sfal.stats.reliability import SourceReliability, source_reliability
from sfal.terminal.table import Column, figure, render_table

_COLUMNS = (
    Column("layer", "right"),
    Column("embedding"),
    Column("explainer"),
    Column("scored", "right"),
    Column("sfal", "right"),
    Column("corrected", "right"),
    Column("halves", "right"),
    Column("best 1 %", "right"),
    Column("ndcg", "right"),
    Column("chance", "right"),
    Column("coverage", "right"),
    Column("source"),
)
_LEGEND = (
    "sfal and ndcg: medians over the scored features; an sfal of 0 is chance, 1 is perfect\n"
    "±: standard error that comes from the choice of documents; corrected: sfal with endless text;\n"
    "halves: correlation of the scores from two halves of the documents\n"
    "best 1 %: share of the features whose own label is among the best 1 % of all labels for it\n"
    "coverage: share of the features that fire, but not always, that have an explanation"
)
_PLANTED = (
    "planted: AUC of the controls, the probability that a label that was exchanged has a higher "
    "label_rank than a right one"
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
    sure = [_reliability(one) for source in scores for one in source.embeddings]
    rows = [_row(*pair) for pair in zip(summaries, sure, strict=True)]
    planted = [_planted(source, one) for source in scores for one in source.embeddings]
    columns: tuple[Column, ...] = _COLUMNS
    legend = _LEGEND
    if any(planted):
        columns = (*_COLUMNS[:-1], Column("planted", "right"), _COLUMNS[-1])
        rows = [(*row[:-1], auc, row[-1]) for row, auc in zip(rows, planted, strict=True)]
        legend = f"{_LEGEND}\n{_PLANTED}"
    lines = render_table(columns, rows)
    read = [_read(one) for one in scores]
    n_sets = Counter(one.source for one in summaries)
    rising = [
        _rising(one, n_sets[one.source] > 1, its) for one, its in zip(summaries, sure, strict=True)
    ]
    caveat = [_TOP_TOKENS] if any(one.top_tokens for one in summaries) else []
    return "\n".join([*lines, legend, "", *read, *filter(None, rising), *caveat])


def _planted(source: SourceScores, one: EmbeddingScores) -> str:
    """Return the AUC of planted labels, if controls ran on these scores; otherwise nothing."""
    auc = planted_auc(source.source, one.embedder, one.stem)
    return "" if auc is None else f"{auc:.3f}"


def _reliability(one: EmbeddingScores) -> SourceReliability | None:
    if one.replicates is None:
        return None
    return source_reliability(one.sfal, one.replicates)


def _read(one: SourceScores) -> str:
    why = f"; no standard errors: {one.no_reliability}" if one.no_reliability else ""
    return f"{one.source.name}: read {one.read}{why}"


def _rising(one: Summary, among_several: bool, sure: SourceReliability | None) -> str:
    """Warn where more text would still raise the scores; name the labels among several sets."""
    if sure is None or not sure.still_rising:
        return ""
    _quarter, half, whole = sure.curve
    labels = f", labels by {one.explainer}, embedded by {one.embedder}" if among_several else ""
    over = (
        f" (over the {sure.n_features:,} of {one.n_scored:,} features that have a score in every "
        "part of the text)"
        if sure.n_features < one.n_scored
        else ""
    )
    return (
        f"{one.source}{labels}: half of the text has a median of {half:.3f}, all of it "
        f"{whole:.3f}{over}: more text would raise it further; compare corrected scores"
    )


def _row(one: Summary, sure: SourceReliability | None) -> tuple[str, ...]:
    error = "" if sure is None or sure.se != sure.se else f" ± {sure.se:.4f}"
    return (
        "" if one.layer is None else str(one.layer),
        one.embedder,
        one.explainer + (" (top tokens)" if one.top_tokens else ""),
        f"{one.n_scored:,}",
        figure(one.sfal, ".4f") + error,
        figure(np.nan if sure is None else sure.corrected, ".4f"),
        figure(np.nan if sure is None else sure.split_half, ".2f"),
        figure(one.best_labels, ".0%"),
        figure(one.ndcg, ".4f"),
        figure(one.chance, ".4f"),
        figure(one.coverage, ".1%"),
        one.source,
    )
