"""Neighbour lists in blocks of rows, so that an SAE of any width fits into memory.

Each block of rows is ranked once, by co-occurrence and by cosine, and then handed to
every computation that was asked for: a new measure of agreement is one more
object with a method `add`, not another pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from sfal.errors import SfalError
from sfal.scoring.near_ties import MARGIN, in_true_order
from sfal.scoring.settings import ScoreSettings

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences, Ranking

Lists: TypeAlias = Union["Ranking", NDArray[np.uint32]]
"""Ranked lists, nearest first: with their ties, or with ties by index."""

KEEP_BYTES = 1 << 31
"""Most bytes of functional lists that are kept for the next set of embeddings."""

# The lists in memory while a block is made: functional, semantic, and the cosines of the latter.
_LISTS_PER_BLOCK = 3


@dataclass(frozen=True)
class Block:
    """Both neighbour lists of some features, by ascending index."""

    rows: NDArray[np.int64]
    """Shape (R,): the features."""
    functional: Lists
    """A list for each: neighbours by co-occurrence."""
    semantic: Lists
    """A list for each: neighbours by cosine."""


class Computation(Protocol):
    """What is computed from neighbour lists, block by block."""

    def add(self, block: Block) -> None:
        """Take the next block; each feature comes once."""


@dataclass(frozen=True)
class Plan:
    """Which features get a list, and which may stand in it."""

    n_features: int
    """Width of the SAE."""
    scored: NDArray[np.int64]
    """Shape (S,): features that are scored, ascending; they get a list."""
    settings: ScoreSettings
    """How neighbours are ranked."""

    @property
    def candidates(self) -> NDArray[np.int64] | None:
        """Features that may stand in a list; None: all."""
        return self.scored if self.settings.candidates == "comparable" else None

    @property
    def n_candidates(self) -> int:
        """Number of features that may stand in the list of one of them: all but its own."""
        pool = self.candidates
        return max(0, (self.n_features if pool is None else len(pool)) - 1)

    def blocks(self) -> list[NDArray[np.int64]]:
        """Split the scored features into runs whose lists fit into memory.

        Returns
        -------
        blocks : list of ndarray of int64
            Together all scored features, in order.
        """
        width = max(1, min(self.settings.top_n, self.n_candidates))
        n_rows = max(1, self.settings.block_bytes // (_LISTS_PER_BLOCK * 4 * width))
        return [self.scored[i : i + n_rows] for i in range(0, len(self.scored), n_rows)]

    def functional(self, counts: "Occurrences | Histogram", rows: NDArray[np.int64]) -> Lists:
        """Rank the neighbours of some features by co-occurrence."""
        from sfal import _core

        top_n, measure = self.settings.top_n, self.settings.measure
        if self.settings.ties == "average":
            return _core.functional_ranking(counts, top_n, measure, *self._ranked(rows))
        walked, pool = self._ranked(rows)
        lists, _ = _core.functional_neighbours(counts, top_n, measure, walked, pool)
        return self._of(lists, rows)

    def semantic(
        self, embeddings: NDArray[np.float32], rows: NDArray[np.int64], top_n: int | None = None
    ) -> Lists:
        """Rank the neighbours of some features by the cosine of their embeddings."""
        from sfal import _core

        top_n = top_n or self.settings.top_n
        walked, pool = self._ranked(rows)
        if self.settings.ties == "average":
            return _core.semantic_ranking(embeddings, top_n, walked, pool)
        found = _core.semantic_neighbours(embeddings, top_n + MARGIN, walked, pool)
        lists, cosines = (self._of(one, rows) for one in found)
        settled = in_true_order(embeddings, rows, lists, cosines)
        return np.ascontiguousarray(settled[:, :top_n])

    def _ranked(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """Return rows and candidates for the core, so that it computes each pair once if it can."""
        pool = self.candidates
        if len(rows) == self.n_features or self._walks_all(rows):
            return None, None
        return rows, pool

    def _walks_all(self, rows: NDArray[np.int64]) -> bool:
        """Return whether ranking all features costs less than ranking some against all.

        Rows that are also the candidates meet each other once; others cost twice as much for each
        pair. Rankings cannot be cut to some of their rows.
        """
        whole = len(rows) == len(self.scored)
        mostly = 2 * len(rows) > self.n_features
        return whole and mostly and self.candidates is None and self.settings.ties == "index"

    def _of(self, lists: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        return lists if len(lists) == len(rows) else lists[rows]


class FunctionalLists:
    """Functional neighbours of one source, ranked once and kept where they fit.

    Parameters
    ----------
    counts : callable
        Returns the occurrences or the histogram.
    several : bool
        Whether the lists may be needed more than once.
    """

    def __init__(
        self, counts: "Callable[[], Occurrences | Histogram]", several: bool = False
    ) -> None:
        self._counts = counts
        self._several = several
        self._kept: dict[int, Lists] = {}
        self._kept_for: Plan | None = None
        self.failed = False
        """Whether the counts could not be read or ranked, so that no other embeddings can help."""

    def of(self, rows: NDArray[np.int64], plan: Plan) -> Lists:
        """Return the neighbours of a block of rows.

        Raises
        ------
        SfalError
            If the counts cannot be read or ranked.
        """
        first = int(rows[0])
        if self._kept_for is None or not np.array_equal(self._kept_for.scored, plan.scored):
            self._kept, self._kept_for = {}, plan
        if first in self._kept:
            return self._kept[first]
        try:
            lists = plan.functional(self._counts(), rows)
        except SfalError:
            self.failed = True
            raise
        size = 4 * len(plan.scored) * min(plan.settings.top_n, plan.n_candidates)
        if self._several and size <= KEEP_BYTES:
            self._kept[first] = lists
        return lists


def pass_blocks(
    plan: Plan,
    functional: FunctionalLists,
    embeddings: NDArray[np.float32],
    computations: Sequence[Computation],
) -> None:
    """Rank the neighbours of one block of rows after another, and compute what is wanted.

    Parameters
    ----------
    plan : Plan
        Which features are ranked, and how.
    functional : FunctionalLists
        Lists of the source.
    embeddings : ndarray of shape (F, D), float32
        One row per feature, zero where there is no explanation.
    computations : sequence of Computation
        Each is given every block, in order.

    Raises
    ------
    SfalError
        If the counts cannot be read or ranked, or the embeddings cannot be ranked.
    """
    for rows in plan.blocks():
        block = Block(rows, functional.of(rows, plan), plan.semantic(embeddings, rows))
        for computation in computations:
            computation.add(block)
        del block  # before the next one is ranked
