"""How sure scores are, from replicates: the same scores of halves and quarters of the documents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError
from sfal.stats.bootstrap import RESAMPLES, resample, weighted_median
from sfal.stats.replicates import Replicates, mean_of_enough, pair_error, shrinkage

Values = NDArray[np.float64]

_LOWEST_CEILING = 0.05
"""Ceiling below which the corrected score would be mostly noise."""
_Z = 1.96
_STILL_RISING = 1.05
"""Rise of the median with the last doubling of the text from which on the text was too short."""


@dataclass(frozen=True)
class FeatureReliability:
    """How sure the score of each feature is; all of shape (F,), NaN where nothing can be said."""

    se: Values
    """Standard error of sfal that comes from the choice of documents."""
    low: Values
    """Lower end of the 95 % interval."""
    high: Values
    """Upper end."""
    ceiling: Values
    """How well the feature's functional order agrees with itself on other text: no explanation can be
    expected to reach more."""
    sfal_corrected: Values
    """What sfal would be with endless text."""


@dataclass(frozen=True)
class SourceReliability:
    """How sure the median of a source is."""

    n_features: int
    """Features scored in all the text and in every replicate, which the medians are of."""
    median: float
    """Median sfal of all the text."""
    se: float
    """Standard error that comes from the choice of documents."""
    se_features: float
    """Standard error that comes from the choice of features, which are resampled in clusters of similar
    labels; NaN if no clusters were given."""
    corrected: float
    """Median corrected score."""
    split_half: float
    """Mean correlation, over features, of the scores of both halves."""
    reliability: float
    """The same for all the text, by Spearman and Brown."""
    curve: tuple[float, float, float]
    """Median sfal with a quarter of the text, half of it, and all."""

    @property
    def still_rising(self) -> bool:
        """Whether the last doubling of the text raised the median by more than 5 %."""
        _quarter, half, whole = self.curve
        return whole > _STILL_RISING * half


def feature_reliability(sfal: Values, replicates: Replicates) -> FeatureReliability:
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
    replicates : Replicates
        Scores of its parts.

    Returns
    -------
    FeatureReliability
        A feature with fewer than six usable splits has no standard error, and none of it that needs
        agreement with fewer than six. The corrected score needs a ceiling of at least .05.

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
    _check(sfal, replicates)
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


def source_reliability(
    sfal: Values,
    replicates: Replicates,
    clusters: NDArray[np.int64] | None = None,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> SourceReliability:
    """Compute how sure the median of a source is, and how it grew with the text.

    The standard error over documents comes from the medians of the halves, as that of a feature does
    from its scores; it shrinks as fast as the features' errors do.

    Parameters
    ----------
    sfal, replicates
        As in :func:`feature_reliability`.
    clusters : ndarray of shape (F,), int64, optional
        Clusters of similar labels, from :func:`sfal.stats.clusters.label_clusters`: features are not
        independent, and a standard error that takes them so is too small.
    n_resamples, seed : int
        Resamples of the clusters; seed of the random numbers.

    Returns
    -------
    SourceReliability
        NaN throughout if no feature is scored everywhere.

    Raises
    ------
    InvalidInputError
        If the numbers of features differ.
    """
    _check(sfal, replicates)
    halves, quarters = replicates.halves, replicates.quarters
    everywhere = ~(
        np.isnan(sfal) | np.isnan(halves).any(axis=(0, 1)) | np.isnan(quarters).any(axis=(0, 1))
    )
    n = int(everywhere.sum())
    if not n:
        nothing = (np.nan, np.nan, np.nan)
        return SourceReliability(0, *nothing, np.nan, np.nan, np.nan, nothing)
    scores, halves, quarters = (
        sfal[everywhere],
        halves[:, :, everywhere],
        quarters[:, :, everywhere],
    )
    se2, se4 = pair_error(halves), pair_error(quarters)
    of_halves, of_quarters = np.median(halves, axis=2), np.median(quarters, axis=2)
    median = float(np.median(scores))
    se = float(pair_error(of_halves[:, :, None])[0] * shrinkage(se2, se4))
    r = _split_half(halves)
    corrected = feature_reliability(sfal, replicates).sfal_corrected
    known = corrected[~np.isnan(corrected)]
    return SourceReliability(
        n_features=n,
        median=median,
        se=se,
        se_features=_median_se(scores, clusters[everywhere], n_resamples, seed)
        if clusters is not None
        else np.nan,
        corrected=float(np.median(known)) if len(known) else np.nan,
        split_half=r,
        reliability=float(2 * r / (1 + r)) if r > -1 else np.nan,
        curve=(float(of_quarters.mean()), float(of_halves.mean()), median),
    )


def _check(sfal: Values, replicates: Replicates) -> None:
    if sfal.shape != replicates.halves.shape[2:]:
        raise InvalidInputError(
            f"sfal has shape {sfal.shape}, the replicates are of {replicates.halves.shape[2]} features"
        )


def _split_half(halves: Values) -> float:
    """Return the mean over the splits of the correlation, over features, of both halves."""
    centred = halves - halves.mean(axis=2, keepdims=True)
    covariance = (centred[:, 0] * centred[:, 1]).sum(axis=1)
    size = np.sqrt((centred**2).sum(axis=2).prod(axis=1))
    return float((covariance[size > 0] / size[size > 0]).mean()) if np.any(size > 0) else np.nan


def _median_se(scores: Values, clusters: NDArray[np.int64], n_resamples: int, seed: int) -> float:
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    groups = np.unique(clusters[order], return_inverse=True)[1].astype(np.int64)
    if groups.max() < 1:
        return np.nan
    values = resample(groups, lambda w: weighted_median(ordered, w), n_resamples, seed)
    return float(np.std(values, ddof=1))
