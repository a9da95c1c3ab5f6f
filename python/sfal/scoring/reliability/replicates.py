"""Scores of parts of the documents, which tell how precise a score of all of them is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError
from sfal.scoring.metrics import beyond_chance

if TYPE_CHECKING:
    from sfal._core import Occurrences, Ranking, _Measure

N_GROUPS = 16
"""Groups of documents, which the core makes all replicates of."""
FEWEST_DOCUMENTS = 64
"""Documents with windows that are needed: four in each group."""
N_SPLITS = 8
"""Ways to split the groups into two halves."""

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Replicates:
    """Scores of parts of the documents by one set of embeddings.

    NaN for features that were not scored, and where a feature never or always
    fires in a part.
    """

    halves: Scores
    """Shape (8, 2, F): sfal of both halves of each split."""
    quarters: Scores
    """Shape (8, 2, F): sfal of two disjoint quarters, which are halves of one of these halves."""
    agreement: Scores
    """Shape (8, 2, F): sfal of each half, with the functional order of the other half for the
    semantic order."""


def replicates(
    occurrences: "Occurrences",
    documents: NDArray[np.uint64],
    semantic: "Iterable[tuple[NDArray[np.int64], list[Ranking] | list[NDArray[np.uint32]]]]",
    candidates: NDArray[np.int64],
    *,
    top_n: int = 1023,
    base: float = 1.1,
    measure: "_Measure" = "phi",
) -> tuple[Replicates, ...]:
    """Score features in halves and quarters of the documents.

    The documents are dealt into 16 groups (:func:`document_groups`). The 8
    splits into halves come from a Hadamard matrix: any two groups lie in the
    same half in four of the splits or in none [1]_. In each part, the same
    candidates are ranked by the same rule as in all the text, also where they
    do not fire.

    Parameters
    ----------
    occurrences : Occurrences
        All windows.
    documents : ndarray of shape (n_windows,), uint64
        Document of each window, as
        :func:`sfal.store.occurrences.read_occurrences_and_documents` reads them.
    semantic : iterable of (rows int64[R], lists)
        Blocks of features that are scored, each with their semantic lists for
        each set of embeddings: rankings, whose ties are averaged, or arrays,
        whose ties go by index. A block is dropped before the next one is asked
        for. All sets of embeddings have the same candidates; score others in
        another call.
    candidates : ndarray of shape (C,), int64
        Features that may appear in the lists, increasing.
    top_n : int
        Neighbours per row.
    base : float
        Base of the gains.
    measure : str
        Measure of co-occurrence, as for :func:`sfal._core.functional_neighbours`.

    Returns
    -------
    tuple of Replicates
        One for each set of embeddings.

    Raises
    ------
    InvalidInputError
        If fewer than 64 documents have windows, or the arguments do not fit
        each other.
    MemoryLimitError
        If the bits once more and 1 GiB of counts exceed the available memory.

    Notes
    -----
    Time: about four times that of ranking and scoring once, whatever the number
    of sets of embeddings. The windows are brought into the order of the groups
    once for each block.

    References
    ----------
    .. [1] Wolter, "Introduction to Variance Estimation", 2nd ed., Springer (2007), chapter 3:
       balanced half-samples from Hadamard matrices.
    """
    from sfal import _core

    groups = document_groups(documents)
    chance = _core.chance(max(0, len(candidates) - 1), top_n, base)
    found: list[Replicates] = []
    for rows, lists in semantic:
        halves, quarters, agreement = _core.replicates(
            occurrences, groups, lists, top_n, base, measure, rows, candidates
        )
        if not found:
            found = [_empty(occurrences.n_features) for _ in lists]
        for one, half, quarter in zip(found, halves, quarters, strict=True):
            one.halves[:, :, rows] = beyond_chance(half, chance)
            one.quarters[:, :, rows] = beyond_chance(quarter, chance)
            one.agreement[:, :, rows] = beyond_chance(agreement, chance)
    return tuple(found)


def document_groups(documents: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Deal the documents into groups, and return the group of each window.

    The documents that have windows are dealt out in turn, in the order of a
    hash of their ordinal. So the groups are balanced and random, and depend
    neither on the order of the parts nor on where a run was stopped.

    Parameters
    ----------
    documents : ndarray of shape (n_windows,), uint64
        Ordinal in the corpus of each window's document.

    Returns
    -------
    groups : ndarray of shape (n_windows,), uint8
        From 0 to 15.

    Raises
    ------
    InvalidInputError
        If fewer than 64 documents have windows.
    """
    known, of_window = np.unique(documents, return_inverse=True)
    if len(known) < FEWEST_DOCUMENTS:
        raise InvalidInputError(
            f"{len(known)} documents have windows: a standard error needs at least "
            f"{FEWEST_DOCUMENTS}",
            hint="count more with a larger $n_docs",
        )
    groups = np.empty(len(known), dtype=np.uint8)
    groups[np.argsort(_splitmix64(known))] = np.arange(len(known)) % N_GROUPS
    return groups[of_window]


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a hash of each number; no two numbers have the same one."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _empty(n_features: int) -> Replicates:
    halves, quarters, agreement = (np.full((N_SPLITS, 2, n_features), np.nan) for _ in range(3))
    return Replicates(halves, quarters, agreement)
