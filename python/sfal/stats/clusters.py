"""Clusters of features with similar labels, whose scores are not independent."""

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 25
_BLOCK_BYTES = 64 << 20
"""Bytes of the cosines that are held at a time."""


def label_clusters(
    vectors: NDArray[np.float32], n_clusters: int | None = None, seed: int = 0
) -> NDArray[np.int64]:
    """Cluster features by the direction of their label vectors: k-means on the sphere.

    Parameters
    ----------
    vectors : ndarray of shape (n, D), float32
        Label vectors, of any length. Zero vectors form a cluster of their own.
    n_clusters : int, optional
        Number of clusters of the others; default: the square root of their number. Clusters that
        lose all members disappear.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    clusters : ndarray of shape (n,), int64
        Numbered from 0 without gaps.

    References
    ----------
    .. [1] Hornik, Feinerer, Kober and Buchta, "Spherical k-means clustering", Journal of Statistical
       Software 50 (2012), 10, with the fixed-point algorithm.
    """
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    labelled = np.flatnonzero(norms)
    clusters = np.zeros(len(vectors), dtype=np.int64)
    if not len(labelled):
        return clusters
    units = (vectors[labelled] / norms[labelled, None]).astype(np.float32)
    wanted = max(1, round(len(units) ** 0.5)) if n_clusters is None else n_clusters
    rng = np.random.default_rng(seed)
    centres = units[rng.choice(len(units), min(wanted, len(units)), replace=False)]
    nearest = _nearest(units, centres)
    for _ in range(_ROUNDS):
        centres = _means(units, nearest, len(centres))
        moved = _nearest(units, centres)
        if np.array_equal(moved, nearest):
            break
        nearest = moved
    clusters[labelled] = nearest + 1
    return np.unique(clusters, return_inverse=True)[1].astype(np.int64)


def _nearest(units: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    rows = max(1, _BLOCK_BYTES // (4 * len(centres)))
    blocks = [
        np.argmax(units[first : first + rows] @ centres.T, axis=1)
        for first in range(0, len(units), rows)
    ]
    return np.concatenate(blocks)


def _means(
    units: NDArray[np.float32], nearest: NDArray[np.int64], n_clusters: int
) -> NDArray[np.float32]:
    """Return the mean direction of each cluster; zero for an empty one, which nothing is near to."""
    order = np.argsort(nearest, kind="stable")
    firsts = np.flatnonzero(np.diff(nearest[order], prepend=-1))
    sums = np.zeros((n_clusters, units.shape[1]), dtype=np.float32)
    sums[nearest[order][firsts]] = np.add.reduceat(units[order], firsts, axis=0)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    np.divide(sums, norms, out=sums, where=norms > 0)
    return sums
