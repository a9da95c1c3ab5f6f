"""What an NDCG is worth beyond chance."""

import numpy as np
from numpy.typing import NDArray


def beyond_chance(ndcg: NDArray[np.float64], chance: float) -> NDArray[np.float64]:
    """Rescale NDCG so that chance is 0 and perfect agreement is 1.

    ``(ndcg - chance) / (1 - chance)``. Chance depends on the width of the SAE,
    so raw values of different widths do not compare, and these do.

    Parameters
    ----------
    ndcg : ndarray of shape (F,), float64
        From 0 to 1; NaN stays NaN.
    chance : float
        Expected NDCG of a random order, as :func:`sfal._core.chance` gives it.

    Returns
    -------
    sfal : ndarray of shape (F,), float64
        NaN throughout where chance is 1: every order is then perfect.

    Examples
    --------
    >>> beyond_chance(np.array([0.2, 0.6, 1.0]), 0.2)
    array([0. , 0.5, 1. ])
    """
    if not chance < 1:
        return np.full_like(ndcg, np.nan)
    return (ndcg - chance) / (1 - chance)
