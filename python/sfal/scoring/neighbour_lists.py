"""Neighbour lists in blocks of rows, so that an SAE of any width fits into memory.

Each block of rows is ranked once, by phi and by cosine, and then handed to
every computation that was asked for: a new measure of agreement is one more
object with a method `add`, not another pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sfal.errors import SfalError

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences

Lists = NDArray[np.uint32]

BLOCK_BYTES = 1 << 31
"""Most bytes of lists in one block of rows; below it all rows are one block."""

KEEP_BYTES = 1 << 31
"""Most bytes of functional lists that are kept for the next set of embeddings."""

# The lists in memory while a block is made: functional, semantic, and the cosines of the latter.
_LISTS_PER_BLOCK = 3


@dataclass(frozen=True)
class Block:
    """Both neighbour lists of consecutive features, nearest first."""

    rows: NDArray[np.int64]
    """Shape (R,): the features."""
    functional: Lists
    """Shape (R, w), uint32: neighbours by phi."""
    semantic: Lists
    """Shape (R, w), uint32: neighbours by cosine."""


class Computation(Protocol):
    """What is computed from neighbour lists, block by block."""

    def add(self, block: Block) -> None:
        """Take the next block; each feature comes once."""


def row_blocks(
    n_features: int, top_n: int, block_bytes: int = BLOCK_BYTES
) -> list[NDArray[np.int64]]:
    """Split the features into runs whose lists fit into memory.

    Parameters
    ----------
    n_features : int
        Width of the SAE.
    top_n : int
        Neighbours per row.
    block_bytes : int
        Most bytes of lists in one block.

    Returns
    -------
    blocks : list of ndarray of int64
        Consecutive features; together all of them.
    """
    width = max(1, min(top_n, n_features - 1))
    n_rows = max(1, block_bytes // (_LISTS_PER_BLOCK * 4 * width))
    return [
        np.arange(start, min(start + n_rows, n_features), dtype=np.int64)
        for start in range(0, n_features, n_rows)
    ]


class FunctionalLists:
    """Functional neighbours of one source, ranked once and kept where they fit.

    Parameters
    ----------
    load : callable
        Returns the occurrences or the histogram; called when they are first needed.
    n_features, top_n : int
        Width of the SAE, neighbours per row.
    several : bool
        Whether the lists will be needed more than once.
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
        """Whether the counts could not be read or ranked, so that no other embeddings can help."""

    def of(self, rows: NDArray[np.int64]) -> Lists:
        """Return the neighbours of a block of rows.

        Returns
        -------
        indices : ndarray of shape (len(rows), w), uint32

        Raises
        ------
        SfalError
            If the counts cannot be read or ranked.
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


def pass_blocks(
    blocks: Sequence[NDArray[np.int64]],
    functional: FunctionalLists,
    embeddings: NDArray[np.float32],
    top_n: int,
    computations: Sequence[Computation],
) -> None:
    """Rank the neighbours of one block of rows after another, and compute what is wanted.

    Parameters
    ----------
    blocks : sequence of ndarray of int64
        Rows, as :func:`row_blocks` splits them.
    functional : FunctionalLists
        Lists of the source.
    embeddings : ndarray of shape (F, D), float32
        One row per feature, zero where there is no explanation.
    top_n : int
        Neighbours per row.
    computations : sequence of Computation
        Each is given every block, in order.

    Raises
    ------
    SfalError
        If the counts cannot be read or ranked, or the embeddings cannot be ranked.
    """
    from sfal import _core

    for rows in blocks:
        whole = len(rows) == len(embeddings)
        # The semantic lists first: they need no counts, which may still be loading.
        semantic, _cosine = _core.semantic_neighbours(
            embeddings, top_n, rows=None if whole else rows
        )
        del _cosine
        block = Block(rows, functional.of(rows), semantic)
        del semantic
        for computation in computations:
            computation.add(block)
        del block  # before the next one is ranked
