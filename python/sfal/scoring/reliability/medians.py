"""How precise the median of a source is, and how it grew with the text."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.reliability.features import PartScores, check_replicates, pair_error, shrinkage

Values = NDArray[np.float64]


@dataclass(frozen=True)
class MedianReliability:
    """What parts of the documents say about the median of a source; NaN where they say nothing."""

    n_features: int
    """Features scored in all the text and in every replicate, over which the medians are taken."""
    median: float
    """Median sfal of all the text."""
    se: float
    """Standard error that comes from the choice of documents."""
    split_half: float
    """Mean correlation, over features, of the scores of both halves."""
    curve: tuple[float, float, float]
    """Median sfal with a quarter of the text, half of it, and all."""

    def facts(self) -> dict[str, Any]:
        """Return the fields for JSON, None for NaN."""

        def known(value: Any) -> Any:
            return None if value != value else value

        facts = {name: known(value) for name, value in asdict(self).items()}
        return facts | {"curve": [known(value) for value in self.curve]}


def median_reliability(sfal: Values, replicates: PartScores) -> MedianReliability:
    """Compute how precise the median of a source is.

    The standard error comes from the medians of the halves, as that of a feature does from its
    scores; it shrinks as fast as the features' errors do.

    Parameters
    ----------
    sfal, replicates
        As in :func:`sfal.scoring.reliability.features.feature_reliability`.

    Raises
    ------
    InvalidInputError
        If the numbers of features differ.
    """
    check_replicates(sfal, replicates)
    everywhere = scored_everywhere(sfal, replicates)
    n = int(everywhere.sum())
    if not n:
        return MedianReliability(0, np.nan, np.nan, np.nan, (np.nan, np.nan, np.nan))
    halves = replicates.halves[:, :, everywhere]
    quarters = replicates.quarters[:, :, everywhere]
    se2, se4 = pair_error(halves), pair_error(quarters)
    of_halves, of_quarters = np.median(halves, axis=2), np.median(quarters, axis=2)
    median = float(np.median(sfal[everywhere]))
    return MedianReliability(
        n_features=n,
        median=median,
        se=float(pair_error(of_halves[:, :, None])[0] * shrinkage(se2, se4)),
        split_half=_split_half(halves),
        curve=(float(of_quarters.mean()), float(of_halves.mean()), median),
    )


def scored_everywhere(sfal: Values, replicates: PartScores) -> NDArray[np.bool_]:
    """Return whether each feature is scored in all the text and in every replicate."""
    parts = (replicates.halves, replicates.quarters)
    unknown = [np.isnan(part).any(axis=(0, 1)) for part in parts]
    found: NDArray[np.bool_] = ~(np.isnan(sfal) | unknown[0] | unknown[1])
    return found


def _split_half(halves: Values) -> float:
    """Return the mean over the splits of the correlation, over features, of both halves."""
    centred = halves - halves.mean(axis=2, keepdims=True)
    covariance = (centred[:, 0] * centred[:, 1]).sum(axis=1)
    size = np.sqrt((centred**2).sum(axis=2).prod(axis=1))
    return float((covariance[size > 0] / size[size > 0]).mean()) if np.any(size > 0) else np.nan
