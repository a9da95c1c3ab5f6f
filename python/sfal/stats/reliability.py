"""How precise the median of a source is, from replicates: the scores of parts of the documents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.reliability.features import (
    PartScores,
    check_replicates,
    feature_reliability,
    pair_error,
    shrinkage,
)
from sfal.stats.bootstrap import RESAMPLES, resample, weighted_median

Values = NDArray[np.float64]

_STILL_RISING = 1.05
"""If the last doubling of the text raises the median by more than this factor, the text was too
short."""


@dataclass(frozen=True)
class SourceReliability:
    """How precise the median of a source is."""

    n_features: int
    """Features scored in all the text and in every replicate, over which the medians are taken."""
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


def source_reliability(
    sfal: Values,
    replicates: PartScores,
    clusters: NDArray[np.int64] | None = None,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> SourceReliability:
    """Compute how precise the median of a source is, and how it grew with the text.

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
    check_replicates(sfal, replicates)
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
