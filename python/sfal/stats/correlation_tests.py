"""Whether two metrics correlate differently with the same votes: dependent correlations."""

from dataclasses import dataclass

import numpy as np

from sfal.stats.correlations import LEVEL, fisher_interval


@dataclass(frozen=True)
class Significance:
    """A statistic and its two-sided p-value."""

    statistic: float
    p: float


def williams_t(r12: float, r13: float, r23: float, n: int) -> Significance:
    """Test whether two correlations with the same variable are equal: Williams' t.

    Parameters
    ----------
    r12, r13 : float
        Pearson correlations of variable 1 with variables 2 and 3.
    r23 : float
        Pearson correlation of variables 2 and 3.
    n : int
        Number of triples, at least 4.

    Returns
    -------
    Significance
        ``t`` on ``n - 3`` degrees of freedom; NaN if the correlations leave no room for one.

    References
    ----------
    .. [1] Williams, "The comparison of regression variables", Journal of the Royal Statistical
       Society B 21 (1959), 396-399.
    .. [2] Steiger, "Tests for comparing elements of a correlation matrix", Psychological Bulletin 87
       (1980), 245-251.

    Examples
    --------
    >>> test = williams_t(0.4, 0.5, 0.1, 103)
    >>> round(test.statistic, 6), round(test.p, 6)
    (-0.89128, 0.374919)
    """
    from scipy.stats import t

    if n < 4:
        return Significance(np.nan, np.nan)
    determinant = 1 - r12**2 - r13**2 - r23**2 + 2 * r12 * r13 * r23
    mean = (r12 + r13) / 2
    below = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - r23) ** 3
    if not below > 0:
        return Significance(np.nan, np.nan)
    statistic = (r12 - r13) * np.sqrt((n - 1) * (1 + r23) / below)
    return Significance(float(statistic), float(2 * t.sf(abs(statistic), n - 3)))


def steiger_z(r12: float, r13: float, r23: float, n: int) -> Significance:
    """Test whether two correlations with the same variable are equal: Steiger's z.

    The difference of the two transformed correlations, over its standard error, in which both take
    their mean.

    Parameters
    ----------
    r12, r13, r23, n
        As in :func:`williams_t`.

    Returns
    -------
    Significance
        A standard normal z.

    References
    ----------
    .. [1] Steiger, "Tests for comparing elements of a correlation matrix", Psychological Bulletin 87
       (1980), 245-251.
    """
    from scipy.stats import norm

    mean = (r12 + r13) / 2
    if n < 4 or not max(abs(r12), abs(r13)) < 1:
        return Significance(np.nan, np.nan)
    covariance = r23 * (1 - 2 * mean**2) - mean**2 / 2 * (1 - 2 * mean**2 - r23**2)
    variance = 2 - 2 * covariance / (1 - mean**2) ** 2
    if not variance > 0:
        return Significance(np.nan, np.nan)
    z = (np.arctanh(r12) - np.arctanh(r13)) * np.sqrt((n - 3) / variance)
    return Significance(float(z), float(2 * norm.sf(abs(z))))


def zou_interval(
    r12: float, r13: float, r23: float, n: int, level: float = LEVEL
) -> tuple[float, float]:
    """Return the confidence interval of the difference of two correlations with the same variable.

    The intervals of both are combined, with the correlation between the two estimates.

    Parameters
    ----------
    r12, r13, r23, n
        As in :func:`williams_t`.
    level : float
        Confidence level.

    Returns
    -------
    low, high : float
        Of ``r12 - r13``.

    References
    ----------
    .. [1] Zou, "Toward using confidence intervals to compare correlations", Psychological Methods 12
       (2007), 399-413.

    Examples
    --------
    >>> [round(end, 3) for end in zou_interval(0.66, 0.47, 0.4, 100)]
    [0.026, 0.363]
    """
    if not max(abs(r12), abs(r13)) < 1:
        return np.nan, np.nan
    low2, high2 = fisher_interval(r12, n, level)
    low3, high3 = fisher_interval(r13, n, level)
    covariance = (r23 - r12 * r13 / 2) * (1 - r12**2 - r13**2 - r23**2) + r23**3
    c = covariance / ((1 - r12**2) * (1 - r13**2))
    below = (r12 - low2) ** 2 + (high3 - r13) ** 2 - 2 * c * (r12 - low2) * (high3 - r13)
    above = (high2 - r12) ** 2 + (r13 - low3) ** 2 - 2 * c * (high2 - r12) * (r13 - low3)
    difference = r12 - r13
    # Rounding may leave a tiny negative number where both correlations move together.
    return (
        float(difference - np.sqrt(np.maximum(below, 0))),
        float(difference + np.sqrt(np.maximum(above, 0))),
    )
