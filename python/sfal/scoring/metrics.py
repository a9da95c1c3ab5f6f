"""What neighbour lists are worth: NDCG, and how much of it is beyond chance."""

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.neighbour_lists import Block


class Ndcg:
    """NDCG of every feature, filled in block by block.

    Parameters
    ----------
    n_features, top_n : int
        Width of the SAE; neighbours that carry a gain.
    """

    def __init__(self, n_features: int, top_n: int) -> None:
        self._top_n = top_n
        self.values: NDArray[np.float64] = np.full(n_features, np.nan)
        """Shape (F,); NaN for features that no block has held yet."""

    def add(self, block: Block) -> None:
        """Compute the NDCG of a block's features."""
        from sfal import _core

        self.values[block.rows] = _core.ndcg(block.functional, block.semantic, self._top_n)


def beyond_chance(ndcg: NDArray[np.float64], chance: float) -> NDArray[np.float64]:
    """Rescale NDCG so that chance is 0 and perfect agreement is 1.

    ``(ndcg - chance) / (1 - chance)``. Chance depends on the width of the SAE,
    so raw values of different widths cannot be compared, and these can.

    Parameters
    ----------
    ndcg : ndarray of shape (F,), float64
        From 0 to 1; NaN stays NaN.
    chance : float
        Expected NDCG of a random order, from :func:`sfal._core.chance`.

    Returns
    -------
    sfal : ndarray of shape (F,), float64
        NaN throughout if chance is 1, since every order is then perfect.

    Examples
    --------
    >>> beyond_chance(np.array([0.2, 0.6, 1.0]), 0.2)
    array([0. , 0.5, 1. ])
    """
    if not chance < 1:
        return np.full_like(ndcg, np.nan)
    return (ndcg - chance) / (1 - chance)
