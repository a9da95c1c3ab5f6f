"""Votes: what raters think of the explanations of features."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError, Note

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Votes:
    """Scores of explanations, one row per vote."""

    features: NDArray[np.int64]
    """Shape (n,)."""
    scores: Values
    """Shape (n,): finite; higher is better."""
    raters: tuple[str, ...]
    """Who voted, one per row; empty texts if nobody says."""
    weights: Values
    """Shape (n,): how much each vote counts in the mean of its feature; at least 0."""
    columns: Mapping[str, Values] = field(default_factory=dict)
    """Further numbers of each row, such as a model's score; NaN where missing."""
    notes: tuple[Note, ...] = ()
    """What was left out, and why."""

    def __post_init__(self) -> None:
        """Check that no rater voted twice on a feature.

        Raises
        ------
        InvalidInputError
            If one did, or a weight is negative.
        """
        seen: set[tuple[int, str]] = set()
        for feature, rater in zip(self.features.tolist(), self.raters, strict=True):
            if rater and (feature, rater) in seen:
                raise InvalidInputError(f"rater {rater} has two votes on feature {feature}")
            seen.add((feature, rater))
        if len(self.weights) and not self.weights.min() >= 0:
            raise InvalidInputError(f"a vote has weight {self.weights.min():g}, which is below 0")

    def means(self) -> tuple[NDArray[np.int64], Values]:
        """Return the weighted mean vote on each feature.

        Returns
        -------
        features : ndarray of shape (m,), int64
            Ascending, without those whose votes all have weight 0.
        means : ndarray of shape (m,), float64
        """
        return self._means(self.scores)

    def column_means(self, name: str) -> tuple[NDArray[np.int64], Values]:
        """Return the weighted mean of a further column for each feature, as :meth:`means` does."""
        return self._means(self.columns[name])

    def _means(self, values: Values) -> tuple[NDArray[np.int64], Values]:
        counted = ~np.isnan(values) & (self.weights > 0)
        features, place = np.unique(self.features[counted], return_inverse=True)
        weights = self.weights[counted]
        total = np.bincount(place, weights, len(features))
        return features, np.bincount(place, weights * values[counted], len(features)) / total

    @property
    def n_raters(self) -> int:
        """Raters who are named; 0 if nobody says who voted."""
        return len({rater for rater in self.raters if rater})
