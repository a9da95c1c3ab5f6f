"""Agreement between raters: Krippendorff's alpha."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sfal.stats.bootstrap import RESAMPLES, quantile_interval, resample

Level = Literal["nominal", "ordinal", "interval"]
"""How ratings differ: equal or not, by their order, or by their distance."""

LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")


@dataclass(frozen=True)
class Alpha:
    """Krippendorff's alpha at one level of measurement."""

    level: Level
    value: float
    """At most 1, for perfect agreement; 0 is chance. NaN if no two ratings of a unit exist, or if
    all ratings are equal."""
    low: float
    """Lower end of the bootstrap interval."""
    high: float
    """Upper end."""
    n_units: int
    """Units that have at least two ratings."""
    per_unit: float
    """Mean number of ratings of these units."""

    @property
    def ceiling(self) -> float:
        """Highest correlation that a perfect metric can have with one rater: ``sqrt(alpha)``."""
        return float(np.sqrt(self.value)) if self.value >= 0 else np.nan


def krippendorff_alpha(
    ratings: NDArray[np.float64],
    level: Level = "interval",
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Alpha:
    """Compute how well raters agree, beyond chance.

    ``1 - D_o / D_e``: the mean squared difference of two ratings of the same unit, over that of any
    two ratings. It is 1 for different ratings at the nominal level, the squared distance at the
    interval level, and the squared distance of mid-ranks at the ordinal one. Missing ratings are
    left out.

    Parameters
    ----------
    ratings : ndarray of shape (n_raters, n_units), float64
        NaN where a rater did not rate a unit.
    level : {"nominal", "ordinal", "interval"}
        How ratings differ.
    n_resamples, seed : int
        Resamples of units for the interval; seed of the random numbers.

    Returns
    -------
    Alpha

    References
    ----------
    .. [1] Hayes and Krippendorff, "Answering the call for a standard reliability measure for coding
       data", Communication Methods and Measures 1 (2007), 77-89.
    .. [2] Krippendorff, "Computing Krippendorff's alpha-reliability", University of Pennsylvania
       (2011).

    Examples
    --------
    >>> ratings = np.array([[1.0, 2.0, 3.0, 3.0], [1.0, 2.0, 3.0, np.nan]])
    >>> krippendorff_alpha(ratings, "nominal").value
    1.0
    """
    raters, units = np.nonzero(~np.isnan(ratings))
    return alpha_of_votes(units, ratings[raters, units], level, n_resamples, seed)


def alpha_of_votes(
    units: NDArray[np.int64],
    values: NDArray[np.float64],
    level: Level = "interval",
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Alpha:
    """Compute Krippendorff's alpha from a list of ratings; who gave them does not matter.

    Parameters
    ----------
    units : ndarray of shape (n,), int64
        What each rating is of.
    values : ndarray of shape (n,), float64
        Ratings, without NaN.
    level, n_resamples, seed
        As in :func:`krippendorff_alpha`.

    Returns
    -------
    Alpha
    """
    _, places, times = np.unique(units, return_inverse=True, return_counts=True)
    paired = times[places] >= 2
    if not paired.any():
        return Alpha(level, np.nan, np.nan, np.nan, 0, np.nan)
    _, places, m = np.unique(units[paired], return_inverse=True, return_counts=True)
    distinct, codes = np.unique(values[paired], return_inverse=True)
    data = _Ratings(places, codes, distinct, m)
    value = data.alpha(np.ones(len(m)), level)
    resampled = resample(
        np.arange(len(m)), lambda weights: data.alpha(weights, level), n_resamples, seed
    )
    return Alpha(level, value, *quantile_interval(resampled), len(m), float(m.mean()))


class _Ratings:
    """Ratings of units that have at least two each."""

    def __init__(
        self,
        units: NDArray[np.int64],
        codes: NDArray[np.int64],
        values: NDArray[np.float64],
        m: NDArray[np.int64],
    ) -> None:
        self._units = units  # of each rating
        self._codes = codes  # of each rating, an index into the values
        self._values = values
        self._m = m  # ratings of each unit
        pairs, self._times = np.unique(units * len(values) + codes, return_counts=True)
        self._unit_of_pair = pairs // len(values)

    def alpha(self, weights: NDArray[np.float64], level: Level) -> float:
        """Return alpha if each unit occurred `weights` times."""
        times = np.bincount(self._codes, weights=weights[self._units], minlength=len(self._values))
        n = times.sum()
        if level == "nominal":
            equal = np.bincount(self._unit_of_pair, self._times.astype(np.float64) ** 2)
            within = self._m.astype(np.float64) ** 2 - equal
            overall = n**2 - (times**2).sum()
        else:
            mid_ranks = np.cumsum(times) - times / 2
            place = self._values if level == "interval" else mid_ranks.astype(np.float64)
            # Around the mean, so that the difference of two sums of squares keeps its digits.
            scale = place - (times @ place) / n
            rated = scale[self._codes]
            total: NDArray[np.float64] = np.bincount(self._units, rated).astype(np.float64)
            squares = np.bincount(self._units, rated**2).astype(np.float64)
            within = 2 * (self._m * squares - total**2)
            overall = 2 * (n * (times @ scale**2) - (times @ scale) ** 2)
        observed = (weights * within / (self._m - 1)).sum() / n
        expected = overall / (n * (n - 1))
        # Equal ratings throughout say nothing about agreement.
        if np.count_nonzero(times) < 2:
            return np.nan
        return float(1 - observed / expected)
