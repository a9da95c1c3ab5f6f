"""Data in which nothing is to be found, or in which the errors are known."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sfal._core import Occurrences

_BLOCK_BYTES = 64 << 20


def exchange_pairs(n: int, share: float, seed: int = 0) -> NDArray[np.int64]:
    """Choose items at random and exchange them in pairs.

    Parameters
    ----------
    n : int
        Number of items, at least 2.
    share : float
        Share of them that is exchanged, rounded to whole pairs; at least one pair.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    order : ndarray of shape (n,), int64
        Where each item is taken from; an item that stays, from itself.

    Examples
    --------
    >>> order = exchange_pairs(40, 0.1)
    >>> int((order != np.arange(40)).sum()), bool((order[order] == np.arange(40)).all())
    (4, True)
    """
    n_pairs = min(n // 2, max(1, round(share * n / 2)))
    chosen = np.random.default_rng(seed).permutation(n)[: 2 * n_pairs]
    order = np.arange(n)
    order[chosen] = chosen.reshape(n_pairs, 2)[:, ::-1].ravel()
    return order


def permute_occurrences(occurrences: "Occurrences", seed: int = 0) -> "Occurrences":
    """Move the occurrences of each feature to random windows, independently of other features.

    Parameters
    ----------
    occurrences : Occurrences
    seed : int
        Seed of the random numbers.

    Returns
    -------
    permuted : Occurrences
        Every feature occurs as often as before, and no two of them together more than by chance.

    Notes
    -----
    Memory: both sets of bits.
    """
    from sfal import _core

    n, n_features = occurrences.n_windows, occurrences.n_features
    rng = np.random.default_rng(seed)
    bits = np.zeros((n_features, -(-n // 8)), dtype=np.uint8)
    for feature, count in enumerate(occurrences.counts().tolist()):
        fires = np.zeros(n, dtype=np.uint8)
        fires[rng.choice(n, count, replace=False, shuffle=False)] = 1
        bits[feature] = np.packbits(fires)
    permuted = _core.Occurrences(n_features)
    n_bytes = max(1, _BLOCK_BYTES // (8 * n_features))
    for first in range(0, bits.shape[1], n_bytes):
        block = np.unpackbits(bits[:, first : first + n_bytes], axis=1)[:, : n - 8 * first]
        windows, features = np.nonzero(block.T)
        indptr = np.searchsorted(windows, np.arange(block.shape[1] + 1)).astype(np.int64)
        permuted.extend(indptr, features.astype(np.uint32))
    return permuted


def random_vectors(matrix: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """Return normal random vectors of the same shape, which mean nothing."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(matrix.shape, dtype=np.float32)


def label_numbers(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return a number for each vector, the same for equal ones.

    Parameters
    ----------
    vectors : ndarray of shape (n, D), float32

    Returns
    -------
    numbers : ndarray of shape (n,), int64
    """
    numbers: dict[bytes, int] = {}
    # + 0.0 makes -0.0 and 0.0 the same bytes.
    found = [numbers.setdefault((row + 0.0).tobytes(), len(numbers)) for row in vectors]
    return np.array(found, dtype=np.int64)
