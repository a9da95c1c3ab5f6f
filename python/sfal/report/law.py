"""The law of chance on the scale of scores, for a plot."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sfal.scoring.settings import ScoreSettings

LOWEST, HIGHEST, BINS = -0.2, 1.0, 60
"""Scores between which a page plots, and the steps between them."""


def survival_of_chance(
    scores: NDArray[np.float64], n_features: int, n_scored: int, settings: ScoreSettings
) -> NDArray[np.float64] | None:
    """Return the share of random orders that reach each score.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
    n_features, n_scored : int
        All features, and those that are scored.
    settings : ScoreSettings
        Which of them are candidates, and how long the lists are.

    Returns
    -------
    survival : ndarray of shape (n,), float64, or None
        None if there is no other candidate.
    """
    from sfal import _core

    n_candidates = (n_scored if settings.candidates == "comparable" else n_features) - 1
    if n_candidates < 1:
        return None
    chance = _core.chance(n_candidates, settings.top_n)
    return np.interp(chance + scores * (1 - chance), *_law(n_candidates, settings.top_n))


@cache
def _law(n_candidates: int, top_n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sfal import _core

    return _core.chance_law(n_candidates, top_n)
