"""Scores of a choice of features among themselves, in blocks of rows, ties averaged."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.metrics import beyond_chance

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences

_BLOCK_BYTES = 2 << 30
"""Bytes of both rankings that are held at a time."""
_ENTRY_BYTES = 16
"""Bytes of a neighbour in two rankings: its index and the start of its tie class in each."""

Features = NDArray[np.int64]


def comparable_features(
    occurrences: "Occurrences | Histogram", explained: NDArray[np.bool_]
) -> Features:
    """Return the features that fire, not always, and have an explanation.

    Parameters
    ----------
    occurrences : Occurrences or Histogram
    explained : ndarray of shape (F,), bool

    Returns
    -------
    features : ndarray of shape (n,), int64
        Increasing.
    """
    windows = occurrences.counts()
    return np.flatnonzero(explained & (windows > 0) & (windows < occurrences.n_windows))


def blocks(features: Features, top_n: int) -> Iterator[Features]:
    """Split features into blocks whose rankings fit into 2 GiB."""
    width = max(1, min(top_n, len(features) - 1))
    rows = max(1, _BLOCK_BYTES // (_ENTRY_BYTES * width))
    for first in range(0, len(features), rows):
        yield features[first : first + rows]


def sfal_among(
    occurrences: "Occurrences | Histogram",
    matrix: NDArray[np.float32],
    features: Features,
    top_n: int,
    measure: str = "phi",
) -> NDArray[np.float64]:
    """Score features, with only themselves as neighbours.

    Parameters
    ----------
    occurrences : Occurrences or Histogram
    matrix : ndarray of shape (F, D), float32
        Label vectors.
    features : ndarray of shape (n,), int64
        Increasing.
    top_n : int
        Neighbours that carry a gain.
    measure : str
        Measure of co-occurrence.

    Returns
    -------
    sfal : ndarray of shape (n,), float64

    Raises
    ------
    InvalidInputError
        If a vector is not finite, or there is no such measure.
    """
    from sfal import _core

    ndcg = [
        _core.ndcg(
            _core.functional_ranking(
                occurrences,
                top_n,
                measure,  # type: ignore[arg-type]  # checked there
                rows=rows,
                candidates=features,
            ),
            _core.semantic_ranking(matrix, top_n, rows=rows, candidates=features),
            top_n,
        )
        for rows in blocks(features, top_n)
    ]
    chance = _core.chance(len(features) - 1, top_n)
    return beyond_chance(np.concatenate(ndcg), chance)
