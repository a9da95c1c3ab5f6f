"""The typical difference of paired scores: Hodges and Lehmann's estimate and its uncertainty."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfal.stats.bootstrap import RESAMPLES, quantile_interval, resample

DETECTABLE = 2.8
"""Standard errors that a true difference must have to be found (two-sided, at .05) in 80 % of cases:
1.96 + 0.84."""

_BINS = 2048


@dataclass(frozen=True)
class Shift:
    """A typical difference, and how much of it may be the choice of features."""

    value: float
    """Hodges–Lehmann estimate."""
    low: float
    """Lower end of the bootstrap interval."""
    high: float
    """Upper end."""
    se: float
    """Standard error over the features, from the same bootstrap."""


def hodges_lehmann(differences: NDArray[np.float64]) -> float:
    """Return the median of all means of two differences, each with itself included.

    Parameters
    ----------
    differences : ndarray of shape (n,), float64
        Without NaN.

    Returns
    -------
    float
        NaN if there are none.

    Notes
    -----
    Found by bisection: how many means lie below a number takes O(n log n), where listing all of
    them would take O(n²) memory.

    References
    ----------
    .. [1] Hodges and Lehmann, "Estimates of location based on rank tests", Annals of Mathematical
       Statistics 34 (1963), 598-611.

    Examples
    --------
    >>> hodges_lehmann(np.array([0.0, 1.0, 5.0]))
    1.75
    """
    n = len(differences)
    if not n:
        return np.nan
    ordered = np.sort(differences)
    n_means = n * (n + 1) // 2
    lower = _kth_sum(ordered, (n_means + 1) // 2)
    upper = lower if n_means % 2 else _kth_sum(ordered, n_means // 2 + 1)
    return float((lower + upper) / 4)


def _kth_sum(ordered: NDArray[np.float64], k: int) -> float:
    """Return the k-th smallest sum of two values, from 1."""
    places = np.arange(len(ordered))

    def n_up_to(limit: float) -> int:
        # Partners j >= i whose sum with i is at most the limit.
        ends = np.searchsorted(ordered, limit - ordered, side="right")
        return int(np.maximum(ends - places, 0).sum())

    low, high = 2 * ordered[0], 2 * ordered[-1]
    if n_up_to(low) >= k:
        return float(low)
    while True:
        middle = low + (high - low) / 2
        if not low < middle < high:
            return float(high)
        if n_up_to(middle) >= k:
            high = middle
        else:
            low = middle


def shift(
    differences: NDArray[np.float64],
    clusters: NDArray[np.int64] | None = None,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Shift:
    """Estimate the typical difference, with a bootstrap over clusters of features.

    Parameters
    ----------
    differences : ndarray of shape (n,), float64
        One per feature, without NaN.
    clusters : ndarray of shape (n,), int64, optional
        Cluster of each feature, from :func:`sfal.stats.clusters.label_clusters`; by default every
        feature is one, as if features were independent.
    n_resamples, seed : int
        Resamples; seed of the random numbers.

    Returns
    -------
    Shift
        The interval has NaN ends if there are fewer than two clusters.

    Notes
    -----
    Resamples are estimated from a histogram of 2,048 bins, whose convolution with itself is that of
    the means of two; its distance to the exact estimate is taken off all of them.
    """
    value = hodges_lehmann(differences)
    groups = (
        np.arange(len(differences))
        if clusters is None
        else np.unique(clusters, return_inverse=True)[1]
    )
    if len(differences) < 2 or groups.max() < 1:
        return Shift(value, np.nan, np.nan, np.nan)
    low, high = float(differences.min()), float(differences.max())
    if low == high:
        return Shift(value, value, value, 0.0)
    place = (differences - low) * ((_BINS - 1) / (high - low))
    bins = np.minimum(place.astype(np.int64), _BINS - 2)
    upper_share = place - bins

    def estimate(weights: NDArray[np.float64]) -> float:
        mass = np.bincount(bins, weights * (1 - upper_share), _BINS).astype(np.float64)
        mass += np.bincount(bins + 1, weights * upper_share, _BINS)
        return low + (high - low) / (2 * (_BINS - 1)) * _median_sum(mass)

    off = estimate(np.ones(len(differences))) - value
    resampled = resample(groups.astype(np.int64), estimate, n_resamples, seed) - off
    return Shift(value, *quantile_interval(resampled), float(np.std(resampled, ddof=1)))


def _median_sum(mass: NDArray[np.float64]) -> float:
    """Return the median of the sum of two draws from masses at 0, 1, 2 and so on."""
    spectrum = np.fft.rfft(mass, 2 * len(mass))
    sums = np.maximum(np.fft.irfft(spectrum * spectrum), 0)
    below = np.cumsum(sums)
    half = below[-1] / 2
    at = int(np.searchsorted(below, half))
    # A mass at `at` is spread evenly over the unit around it.
    return at - 0.5 + float((half - below[at] + sums[at]) / sums[at])
