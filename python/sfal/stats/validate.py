"""Whether scores agree with what people or other methods think of the same explanations."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError, Note
from sfal.stats.agreement import LEVELS, Alpha, alpha_of_votes
from sfal.stats.bootstrap import RESAMPLES
from sfal.stats.correlation_tests import steiger_z, williams_t, zou_interval
from sfal.stats.correlations import kendall, pearson, spearman
from sfal.stats.score_tables import as_table, score_columns
from sfal.stats.validity import MetricDifference, MetricValidity, Validation
from sfal.stats.votes.read import read_votes
from sfal.stats.votes.tables import votes_of
from sfal.stats.votes.votes import Votes

Values = NDArray[np.float64]

_FEWEST = 3
"""Features that a correlation needs."""


def validate(
    scores: Any,
    votes: Any,
    metrics: Sequence[str] = ("sfal",),
    *,
    source: str | None = None,
    score_type: str | None = None,
    hookpoint: str | None = None,
    explainer: str | None = None,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Validation:
    """Correlate scores with votes on the same explanations, and compare the metrics.

    The vote on a feature is the weighted mean of its votes. Correlations take every feature once.

    Parameters
    ----------
    scores : table
        A row per feature, as :func:`sfal.score_features` returns it, or as the rows of one set of
        embeddings in ``scores.parquet``.
    votes : path, sequence of paths, table, or Votes
        CSV or Parquet file, or a table, with columns feature and score, and optionally rater, weight
        and source; or with a column verdict (right, wrong or unsure) instead of score. Or one of
        delphi's score folders, or Neuronpedia's records as JSON.
    metrics : sequence of str
        Columns of the scores, or of the votes, such as a model's score. All pairs are compared.
    source : str, optional
        Name of the source, for votes on several.
    score_type, hookpoint, explainer : str, optional
        Which of several scores in delphi's and in Neuronpedia's files.
    n_resamples, seed : int
        Resamples of features for the interval of alpha; seed of their random numbers.

    Returns
    -------
    Validation
        Pearson's r (Fisher's interval), Spearman's rho (Bonett and Wright) and Kendall's tau-b (Fieller,
        Hartley and Pearson) of each metric; Williams' t, Steiger's z and Zou's interval of each two;
        Krippendorff's alpha of the raters, whose root no metric can be expected to exceed.

    Raises
    ------
    SfalError
        If the votes cannot be read.
    InvalidInputError
        If a metric is unknown, or fewer than three features have a vote and every metric.

    Examples
    --------
    >>> scores = {"feature": [0, 1, 2, 3, 4], "sfal": [0.1, 0.5, 0.4, 0.8, 0.3]}
    >>> votes = {"feature": [0, 1, 2, 3, 4], "score": [1.0, 3.0, 4.0, 5.0, 2.0]}
    >>> round(validate(scores, votes).metrics[0].spearman.value, 2)
    0.9
    """
    names = list(dict.fromkeys(metrics))
    if not names:
        raise InvalidInputError("no metric is given", hint="name at least one with $metrics")
    if isinstance(votes, Votes):
        found = votes
    elif _are_paths(votes):
        paths = [votes] if isinstance(votes, str | Path) else votes
        found = read_votes(
            [Path(path) for path in paths],
            source=source,
            score_type=score_type,
            hookpoint=hookpoint,
            explainer=explainer,
        )
    else:
        found = votes_of(votes, "votes", source=source)
    features, values = _metric_values(scores, found, names)
    voted, means = found.means()
    common, of_values, of_votes = np.intersect1d(features, voted, return_indices=True)
    known = ~np.isnan(values[:, of_values]).any(axis=0)
    common, x, y = common[known], values[:, of_values[known]], means[of_votes[known]]
    if len(common) < _FEWEST:
        raise InvalidInputError(
            f"only {len(common)} of the {len(voted):,} features with a vote also have "
            f"{' and '.join(names)}; a correlation needs {_FEWEST}"
        )
    used = np.isin(found.features, common)
    return Validation(
        n=len(common),
        n_votes=int(used.sum()),
        n_raters=found.n_raters,
        metrics=tuple(
            MetricValidity(name, pearson(v, y), spearman(v, y), kendall(v, y))
            for name, v in zip(names, x, strict=True)
        ),
        differences=tuple(
            _difference(names[i], names[j], x[i], x[j], y)
            for i, j in combinations(range(len(names)), 2)
        ),
        agreement=_agreement(found, n_resamples, seed),
        notes=(*found.notes, *_left_out(len(voted), len(common), names)),
    )


def _are_paths(votes: Any) -> bool:
    if isinstance(votes, str | Path):
        return True
    return isinstance(votes, list | tuple) and all(isinstance(v, str | Path) for v in votes)


def _metric_values(
    scores: Any, votes: Votes, names: Sequence[str]
) -> tuple[NDArray[np.int64], Values]:
    """Return the metrics of the scored features; a column of the scores before one of the votes."""
    table = as_table(scores, "scores")
    own = [name for name in names if name in table.column_names]
    unknown = [name for name in names if name not in own and name not in votes.columns]
    if unknown:
        there = ", ".join(
            name for name in (*table.column_names, *votes.columns) if name != "feature"
        )
        raise InvalidInputError(f"there is no metric {unknown[0]}; there are {there}")
    features, own_values = score_columns(table, own, "scores")
    values = np.full((len(names), len(features)), np.nan)
    for i, name in enumerate(names):
        if name in own:
            values[i] = own_values[own.index(name)]
            continue
        voted, means = votes.column_means(name)
        _, at, of = np.intersect1d(features, voted, return_indices=True)
        values[i, at] = means[of]
    return features, values


def _difference(a: str, b: str, x: Values, y: Values, votes: Values) -> MetricDifference:
    r12, r13, r23 = pearson(x, votes).value, pearson(y, votes).value, pearson(x, y).value
    n = len(votes)
    low, high = zou_interval(r12, r13, r23, n)
    return MetricDifference(
        a,
        b,
        r12 - r13,
        low,
        high,
        williams_t(r12, r13, r23, n),
        steiger_z(r12, r13, r23, n),
    )


def _agreement(votes: Votes, n_resamples: int, seed: int) -> tuple[Alpha, ...]:
    if len(np.unique(votes.features)) == len(votes.features):
        return ()
    return tuple(
        alpha_of_votes(votes.features, votes.scores, level, n_resamples, seed) for level in LEVELS
    )


def _left_out(n_voted: int, n: int, names: Sequence[str]) -> tuple[Note, ...]:
    if n == n_voted:
        return ()
    what = " and ".join(names)
    return (
        Note(
            f"{n_voted - n:,} of {n_voted:,} features with votes have no {what}: they are left out"
        ),
    )
