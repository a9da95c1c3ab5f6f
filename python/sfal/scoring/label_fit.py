"""How well every label fits every feature: the rank of a feature's own, and the better ones."""

from collections import Counter
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.neighbour_lists import Block, Lists, Plan

N_BETTER = 5
"""Better labels that are named for each feature."""
NONE = 2**32 - 1
"""Stands for no feature."""

# The gains of so many semantic neighbours decide the ranks; more of them change values by 1e-5.
_DECIDING = 128
# Numbers of a vector that tell it from most others.
_FIRST = 8


class LabelFit:
    """Rank of each feature's own label among all, filled in block by block.

    Parameters
    ----------
    plan : Plan
        Which features are ranked; the labels of the scored ones are compared.
    embeddings : ndarray of shape (F, D), float32
        Of the explanations; equal ones are equal labels.
    """

    def __init__(self, plan: Plan, embeddings: NDArray[np.float32]) -> None:
        n = plan.n_features
        self._plan = plan
        self._embeddings = embeddings
        self._same = equal_vectors(embeddings, plan.scored)
        self._semantic: Lists | None = None
        self.rank: NDArray[np.uint32] = np.zeros(n, np.uint32)
        """Shape (F,): labels that fit at least as well, the own one included; 0 where none is ranked."""
        self.mean: NDArray[np.float64] = np.full(n, np.nan)
        """Shape (F,): mean NDCG that the other labels would give."""
        self.better: NDArray[np.uint32] = np.full((n, N_BETTER), NONE, np.uint32)
        """Shape (F, 5): features whose labels fit better, best first; `NONE` where there are fewer."""
        self.value: NDArray[np.float32] = np.full((n, N_BETTER), np.nan, np.float32)
        """Shape (F, 5): NDCG that these would give; NaN where there are fewer."""

    def add(self, block: Block) -> None:
        """Compare all labels on a block's features."""
        from sfal import _core

        rows = block.rows
        fit = _core.label_fit(
            block.functional,
            self._semantic_of_all(block),
            self._plan.settings.top_n,
            rows=rows,
            best=N_BETTER,
            labels=self._plan.scored,
            same=self._same,
        )
        self.rank[rows], self.mean[rows], self.better[rows], self.value[rows] = fit

    def _semantic_of_all(self, block: Block) -> Lists:
        """Return the semantic lists of all labels; if they come in blocks, those of the first ranks."""
        scored = self._plan.scored
        if len(block.rows) == len(scored):
            return block.semantic
        if self._semantic is None:
            depth = min(_DECIDING, self._plan.settings.top_n)
            self._semantic = self._plan.semantic(self._embeddings, scored, depth)
        return self._semantic


def equal_vectors(embeddings: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each row, equal where vectors are equal.

    Returns
    -------
    numbers : ndarray of shape (len(rows),), int64
    """
    # Adding 0 makes -0 and 0 the same bytes. Most vectors differ in their first numbers already.
    keys = [first.tobytes() for first in embeddings[rows, :_FIRST] + np.float32(0)]
    n_alike = Counter(keys)
    seen: dict[bytes, int] = {}
    numbers = np.empty(len(rows), dtype=np.int64)
    for i, (row, key) in enumerate(zip(rows, keys, strict=True)):
        if n_alike[key] > 1:
            # Digests, since wide SAEs have gigabytes of vectors.
            rest = (embeddings[row, _FIRST:] + np.float32(0)).tobytes()
            key += blake2b(rest, digest_size=16).digest()
        numbers[i] = seen.setdefault(key, len(seen))
    return numbers
