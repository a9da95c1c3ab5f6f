"""Resampling of features, alone or in clusters of similar labels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
"""Resamples of a bootstrap by default."""

Weights = NDArray[np.float64]


def resample(
    clusters: NDArray[np.int64],
    statistic: Callable[[Weights], float],
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Compute a statistic on resamples of whole clusters.

    Clusters are drawn with replacement, as many as there are; each comes with all of its units. Units
    of a cluster may depend on each other, clusters may not.

    Parameters
    ----------
    clusters : ndarray of shape (n,), int64
        Cluster of each unit, from 0.
    statistic : callable
        Takes how often each unit was drawn, shape (n,), and returns a number.
    n_resamples, seed : int
        Number of resamples; seed of the random numbers.

    Returns
    -------
    values : ndarray of shape (n_resamples,), float64

    References
    ----------
    .. [1] Cameron, Gelbach and Miller, "Bootstrap-based improvements for inference with clustered
       errors", Review of Economics and Statistics 90 (2008), 414-427: the pairs cluster bootstrap.
    """
    rng = np.random.default_rng(seed)
    n_clusters = int(clusters.max()) + 1
    values = np.empty(n_resamples)
    for i in range(n_resamples):
        drawn = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters))
        values[i] = statistic(drawn[clusters].astype(np.float64))
    return values


def quantile_interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the central interval that holds a share `level` of the values; NaN are left out."""
    found = values[~np.isnan(values)]
    if not len(found):
        return np.nan, np.nan
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def weighted_median(ordered: NDArray[np.float64], weights: Weights) -> float:
    """Return the median of values that occur `weights` times each.

    Parameters
    ----------
    ordered : ndarray of shape (n,), float64
        Increasing.
    weights : ndarray of shape (n,), float64
        Integers, not all zero.

    Examples
    --------
    >>> weighted_median(np.array([1.0, 2.0, 5.0]), np.array([1.0, 0.0, 1.0]))
    3.0
    """
    below = np.cumsum(weights)
    half = below[-1] / 2
    lower = ordered[np.searchsorted(below, half)]
    upper = ordered[np.searchsorted(below, half, side="right")]
    return float((lower + upper) / 2)
