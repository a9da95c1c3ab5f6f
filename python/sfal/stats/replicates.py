"""Replicates: scores of parts of the documents, and the errors that their differences show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError

Values = NDArray[np.float64]

N_SPLITS = 8
"""Ways to split the documents into two halves."""
_FEWEST_SPLITS = 6
"""Splits that a feature needs, of the eight: it may be dead, or always on, in a part of the text."""


@dataclass(frozen=True)
class Replicates:
    """Scores of parts of the documents, NaN where a feature has none there."""

    halves: Values
    """Shape (8, 2, F): sfal of both halves of each split."""
    quarters: Values
    """Shape (8, 2, F): sfal of two disjoint quarters for each split."""
    agreement: Values
    """Shape (8, 2, F): sfal that the functional order of one half reaches if the order of the other
    one takes the place of the semantic order, in both directions."""

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises
        ------
        InvalidInputError
            If they are not (8, 2, F), with the same F.
        """
        shapes = {"halves": self.halves.shape, "quarters": self.quarters.shape}
        shapes["agreement"] = self.agreement.shape
        wanted = (N_SPLITS, 2, self.halves.shape[-1] if self.halves.ndim else 0)
        for name, shape in shapes.items():
            if shape != wanted:
                raise InvalidInputError(
                    f"{name} has shape {shape}, not ({N_SPLITS}, 2, n_features)"
                )


def shrinkage(se2: Values, se4: Values) -> float:
    """Return how much errors shrink as the text doubles: ``rms(se2) / rms(se4)``.

    Parameters
    ----------
    se2, se4 : ndarray of shape (F,), float64
        Standard errors from half and from a quarter of the text; features where either is NaN are
        left out.

    Returns
    -------
    float
        ``1 / sqrt(2)`` where nothing can be measured, which is what means of independent texts do.
    """
    both = ~(np.isnan(se2) | np.isnan(se4))
    below = float(np.sum(se4[both] ** 2))
    if not below > 0:
        return float(np.sqrt(0.5))
    return float(np.sqrt(np.sum(se2[both] ** 2) / below))


def shrinkage_of(se: Values, halves: Values) -> float:
    """Return the shrinkage that standard errors were computed with, from the halves alone.

    Parameters
    ----------
    se : ndarray of shape (F,), float64
        Standard errors from all the text; NaN where unknown.
    halves : ndarray of shape (8, 2, F), float64
        Scores of halves.

    Returns
    -------
    float
        As :func:`shrinkage` returned it.
    """
    return shrinkage(se, pair_error(halves))


def pair_error(pairs: Values) -> Values:
    """Return the standard error of one member of a pair.

    Parameters
    ----------
    pairs : ndarray of shape (8, 2, F), float64
        Pairs of independent values; NaN where unknown.

    Returns
    -------
    se : ndarray of shape (F,), float64
        ``sqrt(mean (a - b)² / 2)``; NaN with fewer than six pairs.
    """
    differences: Values = pairs[:, 0] - pairs[:, 1]
    return np.sqrt(mean_of_enough(differences**2) / 2)


def mean_of_enough(values: Values) -> Values:
    """Return the mean over the splits.

    Parameters
    ----------
    values : ndarray of shape (8, F), float64
        NaN where unknown.

    Returns
    -------
    mean : ndarray of shape (F,), float64
        NaN with fewer than six values.
    """
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(n >= _FEWEST_SPLITS, total / np.maximum(n, 1), np.nan)
