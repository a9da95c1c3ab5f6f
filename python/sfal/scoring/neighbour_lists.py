"""Neighbour lists by blocks of rows, so that an SAE of any width fits into memory."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import SfalError

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences

Lists = NDArray[np.uint32]

BLOCK_BYTES = 1 << 31
"""Most bytes that the lists of one block of rows take; below it all rows are one block."""

KEEP_BYTES = 1 << 31
"""Most bytes of functional lists that are kept for the next embedding."""

# While a block is made there are its functional lists, and the semantic ones with their cosines.
_LISTS_A_BLOCK = 3


def row_blocks(
    n_features: int, top_n: int, block_bytes: int = BLOCK_BYTES
) -> list[NDArray[np.int64]]:
    """Split the features into runs whose lists fit into memory.

    Parameters
    ----------
    n_features : int
        Width of the SAE.
    top_n : int
        Neighbours a row.
    block_bytes : int
        Most bytes that the lists of one block take.

    Returns
    -------
    blocks : list of ndarray of int64
        Consecutive features; together all of them.
    """
    width = max(1, min(top_n, n_features - 1))
    n_rows = max(1, block_bytes // (_LISTS_A_BLOCK * 4 * width))
    return [
        np.arange(start, min(start + n_rows, n_features), dtype=np.int64)
        for start in range(0, n_features, n_rows)
    ]


class FunctionalLists:
    """Functional neighbours of one source, counted once and kept where they fit.

    Parameters
    ----------
    load : callable
        Gives the occurrences or the histogram; called once, when first needed.
    n_features, top_n : int
        Width of the SAE, neighbours a row.
    several : bool
        Whether the lists will be asked for more than once.
    """

    def __init__(
        self,
        load: "Callable[[], Occurrences | Histogram]",
        n_features: int,
        top_n: int,
        several: bool,
    ) -> None:
        self._load = load
        self._top_n = top_n
        self._n_features = n_features
        fits = 4 * n_features * min(top_n, n_features - 1) <= KEEP_BYTES
        self._kept: dict[int, Lists] | None = {} if several and fits else None
        self.failed = False
        """Whether the counts could not be read or ranked: no embeddings can help then."""

    def of(self, rows: NDArray[np.int64]) -> Lists:
        """Neighbours of a block of rows.

        Returns
        -------
        indices : ndarray of shape (len(rows), w), uint32
        """
        from sfal import _core

        first = int(rows[0])
        if self._kept is not None and first in self._kept:
            return self._kept[first]
        whole = len(rows) == self._n_features
        try:
            lists, _phi = _core.functional_neighbours(
                self._load(), self._top_n, rows=None if whole else rows
            )
        except SfalError:
            self.failed = True
            raise
        if self._kept is not None:
            self._kept[first] = lists
        return lists


def ndcg_by_blocks(
    functional: FunctionalLists,
    embeddings: NDArray[np.float32],
    top_n: int,
    blocks: list[NDArray[np.int64]],
) -> Iterator[NDArray[np.float64]]:
    """NDCG of block after block of rows.

    Parameters
    ----------
    functional : FunctionalLists
        Lists of the source.
    embeddings : ndarray of shape (F, D), float32
        One row a feature, zero where there is no explanation.
    top_n : int
        Neighbours a row.
    blocks : list of ndarray
        As :func:`row_blocks` gives them.

    Yields
    ------
    ndcg : ndarray of shape (rows in the block,), float64
    """
    from sfal import _core

    for rows in blocks:
        whole = len(rows) == len(embeddings)
        # The semantic lists first: they need no counts, which may still be on their way.
        semantic, _cosine = _core.semantic_neighbours(
            embeddings, top_n, rows=None if whole else rows
        )
        del _cosine
        yield _core.ndcg(functional.of(rows), semantic, top_n)
