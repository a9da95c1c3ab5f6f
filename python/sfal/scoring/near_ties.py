"""The order of cosines that single precision cannot tell apart.

Cosines are ranked in float32, whose sums are wrong in the seventh digit, so two that nearly tie
may stand in either order. Where ties count by the mean over their orders that makes little difference;
where the published rule breaks them, published numbers hold only if the order is the true one.
"""

import numpy as np
from numpy.typing import NDArray

MARGIN = 16
"""Neighbours to rank beyond the last one that counts, since some may belong before it."""
_CLOSE = 1e-6
"""Difference that the sums of two float32 cosines can hide, for vectors of a few thousand numbers."""
_DIGITS = 13
"""Decimals to which equal vectors have equal cosines, wherever they lie in memory."""
_PAIRS = 1 << 13


def in_true_order(
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    lists: NDArray[np.uint32],
    cosines: NDArray[np.float32],
) -> NDArray[np.uint32]:
    """Rank neighbours whose cosines nearly tie by their cosines in float64, ties by index.

    Parameters
    ----------
    embeddings : ndarray of shape (F, D), float32
        One row per feature.
    rows : ndarray of shape (R,), int64
        Features.
    lists : ndarray of shape (R, w), uint32
        Their neighbours, as float32 ranks them.
    cosines : ndarray of shape (R, w), float32
        Descending.

    Returns
    -------
    lists : ndarray of shape (R, w), uint32
    """
    close = np.diff(cosines, axis=1) >= -_CLOSE
    near = np.zeros(lists.shape, dtype=bool)
    near[:, 1:] |= close
    near[:, :-1] |= close
    row, column = np.nonzero(near)
    if not len(row):
        return lists
    exact = cosines.astype(np.float64)
    for start in range(0, len(row), _PAIRS):
        at = row[start : start + _PAIRS], column[start : start + _PAIRS]
        exact[at] = _cosines(embeddings[rows[at[0]]], embeddings[lists[at]])
    changed = np.unique(row)
    order = np.lexsort((lists[changed], -exact[changed]))
    settled = lists.copy()
    settled[changed] = np.take_along_axis(lists[changed], order, axis=1)
    return settled


def _cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each pair of rows; 0 where one is zero."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    products = np.einsum("pd,pd->p", a, b)
    lengths = np.sqrt(np.einsum("pd,pd->p", a, a) * np.einsum("pd,pd->p", b, b))
    found = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    rounded: NDArray[np.float64] = np.round(found, _DIGITS)
    return rounded
