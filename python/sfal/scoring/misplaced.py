"""Labels that, taken together, fit no better than chance: as if they were on other features."""

import numpy as np
from numpy.typing import NDArray

from sfal.errors import Note

FEWEST = 20
"""Labels below which nothing is concluded from their ranks."""
_ERRORS = 3
_SLIGHT = 0.05
"""Distance of the median from 0.5 that is chance however many labels there are: the ranks of similar
features depend on each other, so that the median errs more than that of n independent ones."""


def at_chance(p_label: NDArray[np.float64]) -> bool:
    """Return whether the ranks of labels are, as a whole, what chance would give.

    By chance ``p_label`` is uniform, and the median of n uniform numbers has a
    standard error of 1 / (2√n). Labels are at chance if their median is above
    0.5 less three of these, or less 0.05 if that is more; fewer than 20 labels
    are never said to be.

    Parameters
    ----------
    p_label : ndarray of shape (F,), float64
        Rank of each label over the number of labels; NaN where there is none.

    Examples
    --------
    >>> at_chance(np.arange(1, 101) / 100)
    True
    >>> at_chance(np.arange(1, 101) / 200)
    False
    """
    known = p_label[~np.isnan(p_label)]
    n = len(known)
    return n >= FEWEST and bool(np.median(known) > 0.5 - max(_SLIGHT, _ERRORS / (2 * np.sqrt(n))))


def chance_note(
    source: str, embedder: str, explainer: str, p_label: NDArray[np.float64]
) -> Note | None:
    """Return a note if the labels of a source are at chance, as :func:`at_chance` says.

    Parameters
    ----------
    source, embedder, explainer : str
        Names of the source, of the embedder of its labels, and of their author.
    p_label : ndarray of shape (F,), float64
        As for :func:`at_chance`.
    """
    if not at_chance(p_label):
        return None
    known = p_label[~np.isnan(p_label)]
    n = len(known)
    rank = round(float(np.median(known)) * n)
    return Note(
        f"{source}: as a whole, the labels by {explainer}, embedded by {embedder}, fit no better "
        f"than chance (the median label rank is {rank:,} of {n:,})",
        hint="check that they are on the right features: they may be shifted by one, or belong to "
        "another layer or SAE",
    )
