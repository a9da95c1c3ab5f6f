"""The nearest features by cosine, of one feature at a time and without a pass over all vectors' norms."""

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 13
"""Vectors whose norms are computed at a time."""
_MARGIN = 1e-3
"""Most by which a cosine in float32 arithmetic may be wrong."""
_NORMS = (1e-12, 1e12)
"""Norms for which that holds; dot products of others could overflow or vanish."""


class CosineRows:
    """Semantic lists of single features, equal to those of :func:`sfal.semantic_neighbours`.

    The kernel checks and normalises all vectors before it ranks any, which takes
    seconds for a wide SAE. Here the norms are kept, a product of the matrix with one
    vector tells which features can be among the nearest, and the kernel ranks those
    alone.

    Parameters
    ----------
    matrix : ndarray of shape (F, D), float32
    """

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self._matrix = matrix
        norms = np.empty(len(matrix))
        for first in range(0, len(matrix), _CHUNK):
            part = matrix[first : first + _CHUNK].astype(np.float64)
            norms[first : first + _CHUNK] = np.sqrt(np.einsum("ij,ij->i", part, part))
        others = norms[norms > 0]
        low, high = _NORMS
        self._safe = bool(len(others)) and bool(low < others.min() and others.max() < high)
        self._inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)

    def neighbours(
        self, feature: int, top_n: int, candidates: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Rank the features whose vectors have the largest cosine with that of one.

        Parameters
        ----------
        feature : int
            Index.
        top_n : int
            Neighbours wanted.
        candidates : ndarray of int64, optional
            Features that may stand in the list, ascending; default: all.

        Returns
        -------
        indices : ndarray of shape (w,), uint32
        cosines : ndarray of shape (w,), float32
            As :func:`sfal.semantic_neighbours` ranks them, ties by index.
        """
        from sfal import _core

        row = np.array([feature])
        near = self._near(feature, top_n, candidates) if self._safe else None
        if near is None:
            found, cosines = _core.semantic_neighbours(self._matrix, top_n, row, candidates)
            return found[0], cosines[0]
        # The row's own feature is first, and never among its neighbours.
        chosen = np.concatenate([row, near])
        among = np.arange(1, len(chosen))
        ranked, cosines = _core.semantic_neighbours(
            self._matrix[chosen], top_n, np.array([0]), among
        )
        return chosen[ranked[0]].astype(np.uint32), cosines[0]

    def _near(
        self, feature: int, top_n: int, candidates: NDArray[np.int64] | None
    ) -> NDArray[np.int64] | None:
        """Return all that can be among the nearest, ascending; None if the arithmetic cannot tell."""
        query = self._matrix[feature]
        cosines = (self._matrix @ query) * (self._inverse * self._inverse[feature])
        pool = np.arange(len(cosines)) if candidates is None else candidates
        pool = pool[pool != feature]
        of_pool = cosines[pool]
        if not np.isfinite(of_pool).all():
            return None
        if len(pool) > top_n:
            last = np.partition(of_pool, len(pool) - top_n)[len(pool) - top_n]
            pool = pool[of_pool >= last - 2 * _MARGIN]
        return pool if len(pool) else None
