"""Features that avoid each other: the most negative phi."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.report.lists import Lists, empty_lists
from sfal.scoring.status import is_live

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences

N_OPPOSITES = 5
"""Features listed for each, at most."""

_FREQUENT = 2048
"""Features that are tried first: only frequent ones can be avoided much."""
_ROWS = 512
_LEAST = -0.0005
"""Highest phi that is listed: others would be shown as 0."""


def opposites(counts: "Occurrences | Histogram", wanted: NDArray[np.int64] | None = None) -> Lists:
    """List the features with the most negative phi for every feature.

    Parameters
    ----------
    counts : Occurrences or Histogram
    wanted : ndarray of int64, optional
        Features whose lists are filled; default: all.

    Returns
    -------
    lists : Lists
        At most `N_OPPOSITES` each, the most negative first, among the features that fire in some
        windows but not in all.

    Notes
    -----
    No phi is below ``-sqrt(o_i o_j)``, where ``o = c / (n - c)`` are the odds of firing. So the
    most frequent features are tried first, and all others only where the bound of the most
    frequent one among them is below what was found.
    """
    windows = counts.counts()
    live = np.flatnonzero(is_live(windows, counts.n_windows))
    lists = empty_lists(len(windows), N_OPPOSITES)
    by_frequency = live[np.argsort(-windows[live].astype(np.float64), kind="stable")]
    first, rest = np.sort(by_frequency[:_FREQUENT]), by_frequency[_FREQUENT:]
    odds = windows / np.maximum(counts.n_windows - windows.astype(np.float64), 1)
    bounds = -np.sqrt(odds * odds[rest[0]]) if len(rest) else np.zeros(len(windows))
    filled = live if wanted is None else wanted[np.isin(wanted, live)]
    for at in range(0, len(filled), _ROWS):
        rows = filled[at : at + _ROWS]
        found = _lowest(counts, rows, first, lists)
        unsure = rows[(bounds[rows] < found) & (bounds[rows] <= _LEAST)]
        if len(unsure):
            _lowest(counts, unsure, live, lists)
    return lists


def _lowest(
    counts: "Occurrences | Histogram",
    rows: NDArray[np.int64],
    candidates: NDArray[np.int64],
    lists: Lists,
) -> NDArray[np.float32]:
    """Fill the lists of some rows, and return the value below which others would be listed, too."""
    from sfal import _core

    ranked, phi = _core.functional_neighbours(counts, len(candidates), "phi", rows, candidates)
    last, value = ranked[:, ::-1][:, :N_OPPOSITES], phi[:, ::-1][:, :N_OPPOSITES]
    order = np.lexsort((last, value))
    last, value = np.take_along_axis(last, order, 1), np.take_along_axis(value, order, 1)
    width = value.shape[1]
    kept = value <= _LEAST
    lists.n[rows] = kept.sum(axis=1)
    lists.feature[rows, :width] = np.where(kept, last, 0)
    lists.value[rows, :width] = np.where(kept, value, 0)
    return value[:, -1] if width == N_OPPOSITES else np.zeros(len(rows), np.float32)
