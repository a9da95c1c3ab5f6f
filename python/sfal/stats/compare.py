"""Whether scores differ: two or more sets of scores of the same features, compared in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfal.errors import InvalidInputError
from sfal.scoring.reliability.features import pair_error, shrinkage_of
from sfal.stats.bootstrap import RESAMPLES
from sfal.stats.comparison import Comparison, PairComparison, compact_letters
from sfal.stats.correlations import spearman
from sfal.stats.differences import hodges_lehmann, shift
from sfal.stats.score_tables import as_table, score_columns

Values = NDArray[np.float64]

_FEWEST = 3
"""Features that a comparison needs."""
_ALPHA = 0.05


def compare(
    *scores: Any,
    names: Sequence[str] | None = None,
    metric: str = "sfal",
    replicates: Sequence[ArrayLike | None] | None = None,
    clusters: ArrayLike | None = None,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare scores of the same features: by two embedders, explainers, measures, or corpora.

    Parameters
    ----------
    *scores : table
        Two or more, each with a row per feature, as :func:`sfal.score_features` returns it, or as the
        rows of one set of embeddings in ``scores.parquet``.
    names : sequence of str, optional
        Their names; default: a, b, c and so on.
    metric : str
        Column to compare.
    replicates : sequence of array of shape (8, 2, n) or None, optional
        sfal of both halves of the documents for eight splits, in the order of each table's rows. With
        them, and with `metric` sfal, the standard error over documents is computed replicate by
        replicate: what both sets of scores owe to the corpus cancels if it is the same one.
    clusters : array of shape (n_features,), int, optional
        Cluster of similar labels of each feature, as :func:`sfal.stats.clusters.label_clusters` finds
        them. By default features are taken as independent, which makes intervals too narrow.
    n_resamples, seed : int
        Resamples of the bootstrap; seed of its random numbers.

    Returns
    -------
    Comparison
        Over the features scored in all of them.

    Raises
    ------
    InvalidInputError
        If fewer than two tables are given, a column is missing, fewer than three features are scored
        in all, or shapes do not fit.

    Examples
    --------
    >>> a = {"feature": [0, 1, 2, 3], "sfal": [0.4, 0.5, 0.6, 0.3]}
    >>> b = {"feature": [0, 1, 2, 3], "sfal": [0.2, 0.3, 0.4, 0.1]}
    >>> pair = compare(a, b).pairs[0]
    >>> round(pair.difference.value, 3), pair.share_above
    (0.2, 1.0)
    """
    given = _names(scores, names)
    features, values = _common(scores, given, metric)
    groups = _clusters(clusters, features)
    halves = _halves(scores, given, replicates if metric == "sfal" else None, features)
    pairs = []
    for i, j in combinations(range(len(given)), 2):
        documents = _document_error(halves[i], halves[j])
        pairs.append(
            _pair(given[i], given[j], values[i], values[j], documents, groups, n_resamples, seed)
        )
    pairs = _adjusted(pairs)
    medians = np.median(values, axis=1)
    return Comparison(
        metric=metric,
        n=len(features),
        names=given,
        medians=tuple(medians.tolist()),
        letters=_letters(medians, pairs),
        pairs=tuple(pairs),
    )


@dataclass(frozen=True)
class _Halves:
    """Scores of halves of the documents, of the features compared."""

    values: Values  # (8, 2, n)
    shrinkage: float


def _pair(
    a: str,
    b: str,
    x: Values,
    y: Values,
    se_documents: float,
    clusters: NDArray[np.int64] | None,
    n_resamples: int,
    seed: int,
) -> PairComparison:
    difference = shift(x - y, clusters, n_resamples, seed)
    share = float(np.mean(x > y) + np.mean(x == y) / 2)
    return PairComparison(a, b, difference, se_documents, share, spearman(x, y), np.nan, np.nan)


def _adjusted(pairs: Sequence[PairComparison]) -> list[PairComparison]:
    from scipy.stats import false_discovery_control, norm

    p = []
    for pair in pairs:
        value, se = abs(pair.difference.value), pair.se
        p.append(float(2 * norm.sf(value / se)) if se > 0 else float(value == 0))
    known = np.array([x == x for x in p])
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = false_discovery_control(np.array(p)[known])
    return [replace(pair, p=p[i], q=float(q[i])) for i, pair in enumerate(pairs)]


def _letters(medians: Values, pairs: Sequence[PairComparison]) -> tuple[str, ...]:
    n = len(medians)
    differ = np.zeros((n, n), dtype=bool)
    for (i, j), pair in zip(combinations(range(n), 2), pairs, strict=True):
        differ[i, j] = differ[j, i] = pair.q <= _ALPHA
    order = np.argsort(-medians, kind="stable")
    found = compact_letters(differ[np.ix_(order, order)])
    letters = dict(zip(order.tolist(), found, strict=True))
    return tuple(letters[i] for i in range(n))


def _document_error(a: _Halves | None, b: _Halves | None) -> float:
    """Return the standard error of the typical difference that comes from the choice of documents."""
    if a is None or b is None:
        return np.nan
    differences = a.values - b.values
    known = ~np.isnan(differences).any(axis=(0, 1))
    if known.sum() < _FEWEST:
        return np.nan
    of_halves = np.array([[hodges_lehmann(half[known]) for half in split] for split in differences])
    # Both shrink alike if they come from one corpus; of two corpora the slower one counts.
    return float(pair_error(of_halves[:, :, None])[0] * max(a.shrinkage, b.shrinkage))


def _names(scores: Sequence[Any], names: Sequence[str] | None) -> tuple[str, ...]:
    if len(scores) < 2:
        raise InvalidInputError(f"compare needs two or more tables, got {len(scores)}")
    given = tuple(names or (chr(ord("a") + i) for i in range(len(scores))))
    if len(given) != len(scores) or len(set(given)) < len(given):
        raise InvalidInputError(f"names are {', '.join(given)}, for {len(scores)} tables")
    return given


def _common(
    scores: Sequence[Any], names: Sequence[str], metric: str
) -> tuple[NDArray[np.int64], Values]:
    """Return the features scored in all tables, and their scores, shape (tables, features)."""
    found = []
    for name, table in zip(names, scores, strict=True):
        features, (values,) = score_columns(as_table(table, name), [metric], name)
        scored = ~np.isnan(values)
        order = np.argsort(features[scored], kind="stable")
        found.append((features[scored][order], values[scored][order]))
    common = found[0][0]
    for features, _values in found[1:]:
        common = np.intersect1d(common, features, assume_unique=True)
    if len(common) < _FEWEST:
        raise InvalidInputError(
            f"{len(common)} features are scored in all of {', '.join(names)}; "
            f"a comparison needs {_FEWEST}"
        )
    return common, np.array([v[np.searchsorted(f, common)] for f, v in found])


def _clusters(clusters: ArrayLike | None, features: NDArray[np.int64]) -> NDArray[np.int64] | None:
    if clusters is None:
        return None
    given = np.asarray(clusters)
    if given.ndim != 1 or given.dtype.kind not in "iu" or len(given) <= features[-1]:
        raise InvalidInputError(
            f"clusters has shape {given.shape} and dtype {given.dtype}; it must hold an integer for "
            f"each feature up to {features[-1]}"
        )
    return given.astype(np.int64)[features]


def _halves(
    scores: Sequence[Any],
    names: Sequence[str],
    replicates: Sequence[ArrayLike | None] | None,
    common: NDArray[np.int64],
) -> list[_Halves | None]:
    given = replicates or [None] * len(scores)
    if len(given) != len(scores):
        raise InvalidInputError(f"{len(given)} sets of replicates for {len(scores)} tables")
    found: list[_Halves | None] = []
    for name, table, one in zip(names, scores, given, strict=True):
        if one is None:
            found.append(None)
            continue
        arrow = as_table(table, name)
        features, (sfal,) = score_columns(arrow, ["sfal"], name)
        halves = np.asarray(one, dtype=np.float64)
        if halves.shape != (8, 2, len(features)):
            raise InvalidInputError(
                f"replicates of {name} have shape {halves.shape}, not (8, 2, {len(features)})"
            )
        se = np.full(len(sfal), np.nan)
        if "se" in arrow.column_names:
            se = score_columns(arrow, ["se"], name)[1][0]
        order = np.argsort(features, kind="stable")
        rows = order[np.searchsorted(features[order], common)]
        found.append(_Halves(halves[:, :, rows], shrinkage_of(se, halves)))
    return found
