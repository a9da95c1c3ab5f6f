"""How precise the score of a feature is, from replicates: its scores in parts of the documents."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError

Values = NDArray[np.float64]

_SPLITS = (8, 2)
"""Splits, and the parts of each."""
_FEWEST_SPLITS = 6
"""Splits that a feature needs, of the eight: it may be dead, or always on, in a part of the text."""
_LOWEST_CEILING = 0.05
"""Ceiling below which the corrected score would be mostly noise."""
_Z = 1.96


class PartScores(Protocol):
    """Scores of parts of the documents, NaN where a feature has none there."""

    @property
    def halves(self) -> Values:
        """Shape (8, 2, F): sfal of both halves of each split."""

    @property
    def quarters(self) -> Values:
        """Shape (8, 2, F): sfal of two disjoint quarters for each split."""

    @property
    def agreement(self) -> Values:
        """Sfal of each half, with the other half's functional order in place of the semantic one.

        Shape (8, 2, F).
        """


@dataclass(frozen=True)
class FeatureReliability:
    """How precise the score of each feature is; all of shape (F,), NaN where nothing can be said."""

    se: Values
    """Standard error of sfal that comes from the choice of documents."""
    low: Values
    """Lower end of the 95 % interval."""
    high: Values
    """Upper end."""
    ceiling: Values
    """How well the feature's functional order agrees with itself on other text of the same size. Even a
    perfect explanation can only be expected to reach its square root."""
    sfal_corrected: Values
    """What sfal would be with endless text."""


def feature_reliability(sfal: Values, replicates: PartScores) -> FeatureReliability:
    """Compute standard errors, intervals, noise ceilings and corrected scores.

    The standard error of a score from half the text is ``se2 = sqrt(mean (S_A - S_B)² / 2)`` over the
    splits; that of a quarter, ``se4``, likewise. How fast errors shrink as the text doubles is measured
    over all features: ``se = se2 rms(se2) / rms(se4)``. Rank statistics need not follow ``sqrt(n)``.

    The ceiling is the mean agreement ``c`` of two halves, stepped up to all the text [1]_ [2]_:
    ``2 c / (1 + c)``. The corrected score is ``sfal / sqrt(ceiling)`` [3]_.

    Parameters
    ----------
    sfal : ndarray of shape (F,), float64
        Scores from all the text; NaN unless scored.
    replicates : PartScores
        Scores of its parts.

    Returns
    -------
    FeatureReliability
        A feature with fewer than six usable splits has no standard error or interval; with fewer
        than six usable agreements, no ceiling or corrected score. The corrected score needs a
        ceiling of at least .05.

    Raises
    ------
    InvalidInputError
        If the numbers of features differ.

    References
    ----------
    .. [1] Spearman, "Correlation calculated from faulty data", British Journal of Psychology 3 (1910),
       271-295.
    .. [2] Brown, "Some experimental results in the correlation of mental abilities", British Journal
       of Psychology 3 (1910), 296-322.
    .. [3] Spearman, "The proof and measurement of association between two things", American Journal
       of Psychology 15 (1904), 72-101.
    """
    check_replicates(sfal, replicates)
    se2 = pair_error(replicates.halves)
    se4 = pair_error(replicates.quarters)
    se = np.where(np.isnan(sfal), np.nan, se2 * shrinkage(se2, se4))
    both = replicates.agreement.mean(axis=1)  # NaN if either direction has none
    c = mean_of_enough(both)
    ceiling = np.full_like(c, np.nan)
    np.divide(2 * c, 1 + c, out=ceiling, where=c > -1)
    corrected = np.full_like(c, np.nan)
    reliable = ceiling >= _LOWEST_CEILING
    corrected[reliable] = sfal[reliable] / np.sqrt(ceiling[reliable])
    return FeatureReliability(se, sfal - _Z * se, sfal + _Z * se, ceiling, corrected)


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
        ``1 / sqrt(2)`` where nothing can be measured: the rate at which errors of means of
        independent texts shrink.
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


def check_replicates(sfal: Values, replicates: PartScores) -> None:
    """Check that replicates are of the same features as the scores.

    Raises
    ------
    InvalidInputError
        If a shape is not (8, 2, F).
    """
    for name in ("halves", "quarters", "agreement"):
        shape = getattr(replicates, name).shape
        if shape != (*_SPLITS, *sfal.shape):
            raise InvalidInputError(
                f"{name} has shape {shape}, not (8, 2, {', '.join(map(str, sfal.shape))}), which "
                "fits the scores"
            )
