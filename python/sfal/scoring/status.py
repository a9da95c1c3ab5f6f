"""Why a feature has no score."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Status = Literal["scored", "dead", "always_on", "unexplained"]
STATUSES: tuple[Status, ...] = ("scored", "dead", "always_on", "unexplained")
"""Each status at the place of its code."""

SCORED, DEAD, ALWAYS_ON, UNEXPLAINED = range(4)
"""Codes of the statuses."""


def statuses(
    windows: NDArray[np.uint64], n_windows: int, explained: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return the status of each feature: the first of dead, always on, unexplained that holds.

    Parameters
    ----------
    windows : ndarray of shape (F,), uint64
        Windows in which each feature fires.
    n_windows : int
        Windows counted.
    explained : ndarray of shape (F,), bool

    Returns
    -------
    status : ndarray of shape (F,), uint8
        Indices into `STATUSES`.
    """
    conditions = [windows == 0, windows == n_windows, ~explained]
    return np.select(conditions, [DEAD, ALWAYS_ON, UNEXPLAINED], SCORED).astype(np.uint8)


def overall_status(each: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the status of each feature over several embeddings: scored if one of them scores it."""
    least: NDArray[np.uint8] = np.min(each, axis=0)
    return least


def is_live(windows: NDArray[np.uint64], n_windows: int) -> NDArray[np.bool_]:
    """Return which features fire in some windows but not in all; the others have no phi."""
    return (windows > 0) & (windows < n_windows)
