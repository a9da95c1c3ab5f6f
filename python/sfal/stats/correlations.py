"""Correlations with their confidence intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LEVEL = 0.95
"""Confidence level of all intervals by default."""


@dataclass(frozen=True)
class Correlation:
    """A correlation and its confidence interval."""

    value: float
    """From -1 to 1; NaN if one of the variables is constant."""
    low: float
    """Lower end of the interval; NaN if there are too few pairs for one."""
    high: float
    """Upper end."""


def pearson(x: Values, y: Values) -> Correlation:
    """Compute Pearson's r with Fisher's interval.

    Parameters
    ----------
    x, y : ndarray of shape (n,), float64
        Without NaN.
    """
    return _correlation(x, y, _pearson, fisher_interval)


def spearman(x: Values, y: Values) -> Correlation:
    """Compute Spearman's rho, with mean ranks for ties, and the interval of Bonett and Wright."""
    from scipy.stats import rankdata

    return _correlation(rankdata(x), rankdata(y), _pearson, bonett_wright_interval)


def kendall(x: Values, y: Values) -> Correlation:
    """Compute Kendall's tau-b with the interval of Fieller, Hartley and Pearson."""
    return _correlation(x, y, _kendall, fieller_interval)


def fisher_interval(r: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the confidence interval of Pearson's r: ``tanh(atanh(r) ± z / sqrt(n - 3))``.

    Parameters
    ----------
    r : float
        Correlation, from -1 to 1.
    n : int
        Number of pairs; an interval needs at least 4.
    level : float
        Confidence level.

    Returns
    -------
    low, high : float
        NaN if there are too few pairs.

    Notes
    -----
    Exact in the limit if both variables are normal.

    References
    ----------
    .. [1] Fisher, "On the 'probable error' of a coefficient of correlation deduced from a small
       sample", Metron 1 (1921).

    Examples
    --------
    >>> [round(end, 3) for end in fisher_interval(0.66, 100)]
    [0.533, 0.758]
    """
    return _interval(r, 1.0, n - 3, level)


def bonett_wright_interval(rho: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the confidence interval of Spearman's rho.

    ``tanh(atanh(rho) ± z sqrt((1 + rho² / 2) / (n - 3)))``.

    Parameters
    ----------
    rho, n, level
        As in :func:`fisher_interval`.

    Returns
    -------
    low, high : float

    References
    ----------
    .. [1] Bonett and Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman
       correlations", Psychometrika 65 (2000), 23-28.

    Examples
    --------
    >>> [round(end, 3) for end in bonett_wright_interval(0.63, 100)]
    [0.48, 0.744]
    """
    return _interval(rho, 1 + rho**2 / 2, n - 3, level)


def fieller_interval(tau: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the confidence interval of Kendall's tau: ``tanh(atanh(tau) ± z sqrt(.437 / (n - 4)))``.

    Parameters
    ----------
    tau, n, level
        As in :func:`fisher_interval`; needs at least 5 pairs.

    Returns
    -------
    low, high : float

    Notes
    -----
    The variance holds for an absolute tau below about .8.

    References
    ----------
    .. [1] Fieller, Hartley and Pearson, "Tests for rank correlation coefficients. I", Biometrika 44
       (1957), 470-481.

    Examples
    --------
    >>> [round(end, 3) for end in fieller_interval(0.47, 100)]
    [0.361, 0.566]
    """
    return _interval(tau, 0.437, n - 4, level)


def _interval(value: float, variance: float, degrees: int, level: float) -> tuple[float, float]:
    from scipy.stats import norm

    if degrees < 1 or not abs(value) <= 1:
        return np.nan, np.nan
    if abs(value) == 1:
        return value, value
    half = norm.ppf((1 + level) / 2) * np.sqrt(variance / degrees)
    z = np.arctanh(value)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def _correlation(
    x: Values,
    y: Values,
    of: Callable[[Values, Values], float],
    interval: Callable[[float, int], tuple[float, float]],
) -> Correlation:
    # A constant is recognised by its values: its variance may be off zero by rounding.
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, np.nan, np.nan)
    value = of(x, y)
    return Correlation(value, *interval(value, len(x)))


def _pearson(x: Values, y: Values) -> float:
    a, b = x - x.mean(), y - y.mean()
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # squares of tiny numbers would vanish
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def _kendall(x: Values, y: Values) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(x, y, method="asymptotic").statistic)
