"""How precise the median of a source is, from replicates: the scores of parts of the documents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.reliability.features import PartScores, feature_reliability
from sfal.scoring.reliability.medians import median_reliability, scored_everywhere
from sfal.stats.bootstrap import RESAMPLES, resample, weighted_median

Values = NDArray[np.float64]

_STILL_RISING = 0.05
"""If the last doubling of the text raises the median by more than this share of it, and by more
than twice its standard error, the text was too short."""
_ERRORS = 2


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
        """Whether the last doubling of the text raised the median by more than 5 %, and not by accident."""
        _quarter, half, whole = self.curve
        return whole - half > max(_STILL_RISING * abs(half), _ERRORS * self.se)


def source_reliability(
    sfal: Values,
    replicates: PartScores,
    clusters: NDArray[np.int64] | None = None,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> SourceReliability:
    """Compute how precise the median of a source is, and how it grew with the text.

    The standard error over documents is that of
    :func:`sfal.scoring.reliability.medians.median_reliability`.

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
    found = median_reliability(sfal, replicates)
    corrected = feature_reliability(sfal, replicates).sfal_corrected
    known = corrected[~np.isnan(corrected)]
    r = found.split_half
    se_features = np.nan
    if clusters is not None and found.n_features:
        everywhere = scored_everywhere(sfal, replicates)
        se_features = _median_se(sfal[everywhere], clusters[everywhere], n_resamples, seed)
    return SourceReliability(
        n_features=found.n_features,
        median=found.median,
        se=found.se,
        se_features=se_features,
        corrected=float(np.median(known)) if len(known) and found.n_features else np.nan,
        split_half=r,
        reliability=float(2 * r / (1 + r)) if r > -1 else np.nan,
        curve=found.curve,
    )


def _median_se(scores: Values, clusters: NDArray[np.int64], n_resamples: int, seed: int) -> float:
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    groups = np.unique(clusters[order], return_inverse=True)[1].astype(np.int64)
    if groups.max() < 1:
        return np.nan
    values = resample(groups, lambda w: weighted_median(ordered, w), n_resamples, seed)
    return float(np.std(values, ddof=1))
