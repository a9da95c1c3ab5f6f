"""Compact letters: groups that a set of tests cannot tell apart."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def compact_letters(differ: NDArray[np.bool_]) -> list[str]:
    """Name groups by letters: two share a letter if, and only if, they cannot be told apart.

    Parameters
    ----------
    differ : ndarray of shape (n, n), bool
        Symmetric; True where two groups differ. Best group first.

    Returns
    -------
    letters : list of str
        One text per group, such as ``a``, ``ab``, ``b``; the first group has an ``a``.

    Notes
    -----
    Insert and absorb: begin with one letter for all; for every two groups that differ, split each
    letter that both have; drop a letter whose groups all share another one.

    References
    ----------
    .. [1] Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons",
       Journal of Computational and Graphical Statistics 13 (2004), 456-466.

    Examples
    --------
    >>> compact_letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool))
    ['a', 'ab', 'b']
    """
    n = len(differ)
    columns = {frozenset(range(n))}
    for i, j in zip(*np.nonzero(np.triu(differ)), strict=True):
        split = {
            column - {int(left_out)}
            for column in columns
            if i in column and j in column
            for left_out in (i, j)
        }
        columns = _absorbed({c for c in columns if not (i in c and j in c)} | split)
    ordered = sorted(columns, key=sorted)
    return ["".join(_letter(k) for k, c in enumerate(ordered) if i in c) for i in range(n)]


def _absorbed(columns: Iterable[frozenset[int]]) -> set[frozenset[int]]:
    """Drop columns that are part of another one."""
    found = set(columns)
    return {column for column in found if not any(column < other for other in found)}


def _letter(index: int) -> str:
    """Return a, b, … z, then a2, b2, …: a letter never runs out."""
    round_, place = divmod(index, 26)
    return chr(ord("a") + place) + (str(round_ + 1) if round_ else "")
