"""Replicates of scores that were just computed, for all sets of embeddings with the same lists at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfal._core import Histogram, Occurrences
from sfal.errors import InvalidInputError, MemoryLimitError
from sfal.scoring.neighbour_lists import Block, Lists, Plan
from sfal.scoring.reliability.replicates import Replicates, replicates

NOT_WANTED = "it was left out"
"""Why nothing is known about how precise scores are: the settings say so."""
NO_DOCUMENTS = "a histogram alone does not say which windows are of one document"
"""Why nothing is known: there are no occurrences."""


@dataclass
class SemanticLists:
    """Semantic lists of one set of embeddings: kept if they are one block, otherwise ranked again."""

    plan: Plan
    """Which features are ranked."""
    embeddings: NDArray[np.float32]
    """Shape (F, D): vectors of the labels."""
    _kept: Lists | None = None

    def add(self, block: Block) -> None:
        """Keep the lists of a block that holds all features."""
        if len(block.rows) == len(self.plan.scored):
            self._kept = block.semantic

    def of(self, rows: NDArray[np.int64]) -> Lists:
        """Return the lists of a block of rows."""
        if self._kept is not None:
            return self._kept
        return self.plan.semantic(self.embeddings, rows)


def replicate_scores(
    counts: Occurrences | Histogram,
    documents: NDArray[np.uint64] | None,
    sets: Sequence[SemanticLists],
) -> tuple[list[Replicates | None], str]:
    """Score parts of the documents by each set of embeddings.

    Sets of embeddings that explain the same features share the counting.

    Parameters
    ----------
    counts : Occurrences or Histogram
        All windows.
    documents : ndarray of shape (n_windows,), uint64, optional
        Document of each window, if known.
    sets : sequence of SemanticLists
        Lists of each set of embeddings.

    Returns
    -------
    found : list of Replicates or None
        One for each set; None where there are none.
    reason : str
        Why some have none; empty if all have some.
    """
    found: list[Replicates | None] = [None] * len(sets)
    if documents is None or not isinstance(counts, Occurrences):
        return found, NO_DOCUMENTS
    groups: dict[bytes, list[int]] = {}
    for i, one in enumerate(sets):
        groups.setdefault(one.plan.scored.tobytes(), []).append(i)
    for members in groups.values():
        chosen = [sets[i] for i in members]
        plan = chosen[0].plan
        pool = plan.candidates
        try:
            each = replicates(
                counts,
                documents,
                _blocks(plan, chosen),  # type: ignore[arg-type]  # one kind of lists: one rule for ties
                np.arange(plan.n_features) if pool is None else pool,
                top_n=plan.settings.top_n,
                measure=plan.settings.measure,
            )
        except (InvalidInputError, MemoryLimitError) as e:
            return found, e.message
        for i, replicated in zip(members, each, strict=False):  # none without a scored feature
            found[i] = replicated
    return found, ""


def _blocks(
    plan: Plan, sets: Sequence[SemanticLists]
) -> Iterator[tuple[NDArray[np.int64], list[Lists]]]:
    for rows in plan.blocks():
        yield rows, [one.of(rows) for one in sets]
