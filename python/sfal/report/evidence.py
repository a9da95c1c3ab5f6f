"""Comparisons, validations and controls as text for the terminal."""

from collections.abc import Sequence

from sfal.stats.comparison import Comparison
from sfal.stats.controls import Controls
from sfal.stats.correlations import Correlation
from sfal.stats.validity import MetricDifference, Validation
from sfal.terminal.table import Column, figure, render_table

_GROUPS = (
    Column("scores"),
    Column("median", "right"),
    Column("group"),
)
_PAIRS = (
    Column("A"),
    Column("B"),
    Column("A - B", "right"),
    Column("95 % interval"),
    Column("SE documents", "right"),
    Column("A > B", "right"),
    Column("Spearman", "right"),
    Column("detectable", "right"),
    Column("p", "right"),
)
_PAIRS_LEGEND = (
    "A - B: typical difference over features (Hodges-Lehmann); its interval is over features, in\n"
    "clusters of similar labels; SE documents: standard error that comes from the choice of text\n"
    "detectable: smallest true difference that would be found in 80 % of cases\n"
    "p: of a difference of 0, two-sided, from the standard errors over features and, if known,\n"
    "documents; the interval leaves the documents out, so where the two disagree, p decides"
)
_GROUPS_LEGEND = (
    "group: scores that share a letter cannot be told apart (p, adjusted for the number of pairs, is\n"
    "above .05)"
)
_METRICS = (
    Column("metric"),
    Column("Pearson", "right"),
    Column("95 % interval"),
    Column("Spearman", "right"),
    Column("95 % interval"),
    Column("Kendall", "right"),
    Column("95 % interval"),
)
_DIFFERENCES = (
    Column("A"),
    Column("B"),
    Column("r(A) - r(B)", "right"),
    Column("95 % interval"),
    Column("Williams t", "right"),
    Column("p", "right"),
    Column("Steiger z", "right"),
    Column("p", "right"),
)
_AGREEMENT = (
    Column("raters agree"),
    Column("alpha", "right"),
    Column("95 % interval"),
    Column("ceiling", "right"),
)
_AGREEMENT_LEGEND = (
    "alpha: Krippendorff's, 0 is chance, 1 is perfect; ceiling: no metric can be expected to\n"
    "correlate more than this with one rater"
)
_CONTROLS = (
    Column("labels"),
    Column("features", "right"),
    Column("exchanged", "right"),
    Column("AUC", "right"),
    Column("in ten best", "right"),
    Column("taken for right", "right"),
    Column("sfal", "right"),
    Column("random windows", "right"),
    Column("random labels", "right"),
    Column("at chance"),
)
_CONTROLS_LEGEND = (
    "AUC: how often an exchanged label ranks below a right one; in ten best: share of them whose\n"
    "own label is among the ten that fit best; taken for right: share of them with p_label <= .05\n"
    "sfal: medians of the data, with occurrences in random windows, and with random labels"
)


def comparison_text(comparison: Comparison) -> str:
    """Lay out a comparison: one line per pair, and groups if there are more than two sets."""
    pairs = [
        (
            pair.a,
            pair.b,
            figure(pair.difference.value, "+.4f"),
            _interval(pair.difference.low, pair.difference.high, "+.4f"),
            figure(pair.se_documents, ".4f"),
            figure(pair.share_above, ".1%"),
            figure(pair.spearman.value, ".3f"),
            figure(pair.detectable, ".4f"),
            figure(pair.p, ".2g"),
        )
        for pair in comparison.pairs
    ]
    groups = [
        (name, figure(median, ".4f"), letters)
        for median, name, letters in sorted(
            zip(comparison.medians, comparison.names, comparison.letters, strict=True),
            key=lambda row: -row[0],
        )
    ]
    several = len(groups) > 2
    return "\n".join(
        [
            f"{comparison.n:,} features scored in all; {comparison.metric}",
            *render_table(
                _GROUPS if several else _GROUPS[:2], [g[: 3 if several else 2] for g in groups]
            ),
            *([_GROUPS_LEGEND] if several else []),
            "",
            *render_table(_PAIRS, pairs),
            _PAIRS_LEGEND,
        ]
    )


def validation_text(validation: Validation) -> str:
    """Lay out a validation: metrics, differences between them, and agreement of the raters."""
    raters = f" by {validation.n_raters:,} raters" if validation.n_raters else ""
    lines = [
        f"{validation.n:,} features with {validation.n_votes:,} votes{raters}",
        *render_table(
            _METRICS,
            [
                (
                    one.metric,
                    *_correlation(one.pearson),
                    *_correlation(one.spearman),
                    *_correlation(one.kendall),
                )
                for one in validation.metrics
            ],
        ),
    ]
    if validation.differences:
        lines += ["", *render_table(_DIFFERENCES, map(_difference_row, validation.differences))]
    if validation.agreement:
        rows = [
            (
                alpha.level,
                figure(alpha.value, ".3f"),
                _interval(alpha.low, alpha.high, ".3f"),
                figure(alpha.ceiling, ".3f"),
            )
            for alpha in validation.agreement
        ]
        lines += ["", *render_table(_AGREEMENT, rows), _AGREEMENT_LEGEND]
    return "\n".join(lines)


def controls_text(found: Sequence[tuple[str, Controls]]) -> str:
    """Lay out controls: one line for each set of labels."""
    rows = [
        (
            name,
            f"{one.planted.n:,}",
            f"{one.planted.n_wrong:,}",
            figure(one.planted.auc, ".3f"),
            figure(one.planted.in_ten_best, ".1%"),
            figure(one.planted.low_p_wrong, ".1%"),
            figure(one.median, ".4f"),
            figure(one.permuted_occurrences, "+.4f"),
            figure(one.random_labels, "+.4f"),
            "yes" if one.at_chance else "no",
        )
        for name, one in found
    ]
    return "\n".join([*render_table(_CONTROLS, rows), _CONTROLS_LEGEND])


def _difference_row(one: MetricDifference) -> tuple[str, ...]:
    return (
        one.a,
        one.b,
        figure(one.difference, "+.3f"),
        _interval(one.low, one.high, "+.3f"),
        figure(one.williams.statistic, ".3f"),
        figure(one.williams.p, ".3g"),
        figure(one.steiger.statistic, ".3f"),
        figure(one.steiger.p, ".3g"),
    )


def _correlation(one: Correlation) -> tuple[str, str]:
    return figure(one.value, ".3f"), _interval(one.low, one.high, ".3f")


def _interval(low: float, high: float, form: str) -> str:
    return "-" if low != low or high != high else f"{low:{form}} to {high:{form}}"
