"""The law of chance on the scale of scores, for a plot."""

from functools import cache

import numpy as np

from sfal.scoring.settings import ScoreSettings

LOWEST, HIGHEST, BINS = -0.2, 1.0, 60
"""Scores between which a page plots, and the steps between them."""


def survival_of_chance(n_features: int, n_scored: int, chance: float | None) -> list[float] | None:
    """Return how many random orders score at least as much, at each step from lowest to highest.

    Parameters
    ----------
    n_features, n_scored : int
        All features, and those with a score: either may have been the candidates.
    chance : float or None
        Expected NDCG of a random order, as stored with the scores.

    Returns
    -------
    survival : list of BINS + 1 floats, or None
        None if the stored chance is of other settings than the usual ones.
    """
    from sfal import _core

    top_n = ScoreSettings().top_n
    if chance is None:
        return None
    for n_candidates in (n_scored - 1, n_features - 1):
        if n_candidates > 0 and np.isclose(_core.chance(n_candidates, top_n), chance, atol=1e-12):
            return _survival(n_candidates, top_n)
    return None


@cache
def _survival(n_candidates: int, top_n: int) -> list[float]:
    from sfal import _core

    chance = _core.chance(n_candidates, top_n)
    scores = np.linspace(LOWEST, HIGHEST, BINS + 1)
    survival = np.interp(chance + scores * (1 - chance), *_core.chance_law(n_candidates, top_n))
    return [round(float(p), 6) for p in survival]
