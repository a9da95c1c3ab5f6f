"""What neighbour lists are worth: NDCG, how much of it is beyond chance, and overlaps."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.neighbour_lists import Block, Plan

LEAST_P = 1e-9
"""Least probability that is stated."""


class Ndcg:
    """NDCG of every feature, filled in block by block."""

    def __init__(self, plan: Plan) -> None:
        self._top_n = plan.settings.top_n
        self.values: NDArray[np.float64] = np.full(plan.n_features, np.nan)
        """Shape (F,); NaN for features that no block has held yet."""

    def add(self, block: Block) -> None:
        """Compute the NDCG of a block's features."""
        from sfal import _core

        self.values[block.rows] = _core.ndcg(block.functional, block.semantic, self._top_n)


class Overlaps:
    """What both lists have in common: among the first ten, and at all depths.

    Parameters
    ----------
    plan : Plan
        Which features are ranked.
    """

    DEPTH = 10
    PERSISTENCE = 0.98

    def __init__(self, plan: Plan) -> None:
        self._top_n = plan.settings.top_n
        self.overlap10: NDArray[np.float64] = np.full(plan.n_features, np.nan)
        """Shape (F,): share of the first ten in common."""
        self.rbo98: NDArray[np.float64] = np.full(plan.n_features, np.nan)
        """Shape (F,): rank-biased overlap with a persistence of .98."""

    def add(self, block: Block) -> None:
        """Compute the overlaps of a block's features."""
        from sfal import _core

        lists = (block.functional, block.semantic)
        self.overlap10[block.rows] = _core.overlap(*lists, self.DEPTH)
        self.rbo98[block.rows] = _core.rank_biased_overlap(*lists, self._top_n, self.PERSISTENCE)


def beyond_chance(ndcg: NDArray[np.float64], chance: float) -> NDArray[np.float64]:
    """Rescale NDCG so that chance is 0 and perfect agreement is 1.

    ``(ndcg - chance) / (1 - chance)``. Chance depends on the width of the SAE,
    so raw values of different widths cannot be compared, and these can.

    Parameters
    ----------
    ndcg : ndarray of float64
        From 0 to 1; NaN stays NaN.
    chance : float
        Expected NDCG of a random order, from :func:`sfal._core.chance`.

    Returns
    -------
    sfal : ndarray of the same shape, float64
        NaN throughout if chance is 1, since every order is then perfect.

    Examples
    --------
    >>> beyond_chance(np.array([0.2, 0.6, 1.0]), 0.2)
    array([0. , 0.5, 1. ])
    """
    if not chance < 1:
        return np.full_like(ndcg, np.nan)
    return (ndcg - chance) / (1 - chance)


def chance_p(ndcg: NDArray[np.float64], n_candidates: int, top_n: int) -> NDArray[np.float64]:
    """Return how likely a random functional order scores at least this much.

    Parameters
    ----------
    ndcg : ndarray of shape (F,), float64
        NaN stays NaN.
    n_candidates, top_n : int
        Features that may stand in a list; its depth.

    Returns
    -------
    p : ndarray of shape (F,), float64
        From `LEAST_P` to 1.
    """
    if np.isnan(ndcg).all():
        return np.full_like(ndcg, np.nan)
    # NumPy passes NaN on.
    found = np.interp(ndcg, *_law(n_candidates, top_n))
    return np.maximum(found, LEAST_P, out=found)


@lru_cache(maxsize=8)
def _law(n_candidates: int, top_n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sfal import _core

    return _core.chance_law(n_candidates, top_n)


def false_discovery_rate(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust probabilities so that a threshold bounds the share of false discoveries [1]_.

    Equal to ``scipy.stats.false_discovery_control``, whose import takes longer than a small source.

    Parameters
    ----------
    p : ndarray of shape (F,), float64
        NaN where there is no test.

    Returns
    -------
    q : ndarray of shape (F,), float64
        NaN where `p` is NaN.

    References
    ----------
    .. [1] Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal
       Statistical Society B 57 (1995), 289-300.

    Examples
    --------
    >>> false_discovery_rate(np.array([0.01, np.nan, 0.04, 0.03])).tolist()
    [0.03, nan, 0.04, 0.04]
    """
    q = np.full_like(p, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested])]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return q
