"""Where the windows of documents begin and end."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError

Tail = Literal["drop", "keep"]
"""What happens to the tokens after a document's last whole window."""
Positions = NDArray[np.int64]
"""Positions of a window's tokens in its document, increasing."""


def window_bounds(n_tokens: int, window_size: int, tail: Tail = "drop") -> NDArray[np.int64]:
    """Cut a document into windows.

    Parameters
    ----------
    n_tokens : int
        Tokens of the document.
    window_size : int
        Tokens per window, > 0.
    tail : {"drop", "keep"}
        Whether the tokens after the last whole window are dropped, or kept as a
        shorter window if they are at least half a window.

    Returns
    -------
    bounds : ndarray of shape (n_windows, 2), int64
        First token of each window, and the one after its last.

    Raises
    ------
    InvalidInputError
        If `window_size` or `tail` is invalid.

    Examples
    --------
    >>> window_bounds(11, 4).tolist()
    [[0, 4], [4, 8]]
    >>> window_bounds(11, 4, "keep").tolist()
    [[0, 4], [4, 8], [8, 11]]
    """
    if window_size <= 0:
        raise InvalidInputError(f"window_size is {window_size}, but must be at least 1")
    if tail not in ("drop", "keep"):
        raise InvalidInputError(f"tail is {tail!r}, but must be drop or keep")
    rest = n_tokens % window_size
    stops = np.arange(window_size, n_tokens + 1, window_size, dtype=np.int64)
    starts = stops - window_size
    if tail == "keep" and rest and 2 * rest >= window_size:
        starts, stops = np.append(starts, n_tokens - rest), np.append(stops, n_tokens)
    return np.stack([starts, stops], axis=1)


def plan_windows(
    ids: Sequence[int],
    special_ids: Collection[int],
    window_size: int,
    tail: Tail = "drop",
) -> list[Positions]:
    """Return the positions of a document's tokens, window by window.

    Special ids do not count as tokens: windows skip over them.

    Parameters
    ----------
    ids : sequence of int
        Token ids of one document.
    special_ids : collection of int
        BOS, EOS and PAD.
    window_size : int
        Tokens per window, > 0.
    tail : {"drop", "keep"}
        Whether the tokens after the last whole window are dropped, or kept as a
        shorter window if they are at least half a window.

    Returns
    -------
    list of ndarray of shape (tokens,), int64
        One per window, increasing; all `window_size` long except perhaps the last.
    """
    special = np.fromiter(special_ids, np.int64)
    tokens = np.flatnonzero(np.isin(np.asarray(ids, np.int64), special, invert=True))
    return [tokens[start:stop] for start, stop in window_bounds(tokens.size, window_size, tail)]


def document_windows(
    n_tokens: int,
    document_lengths: Sequence[int] | NDArray[np.integer[Any]] | None,
    window_size: int,
    tail: Tail,
) -> NDArray[np.int64]:
    """Cut consecutive documents into windows.

    Parameters
    ----------
    n_tokens : int
        Tokens of all documents together.
    document_lengths : sequence of int, optional
        Tokens of each document; None: all tokens are one document.
    window_size, tail
        As in :func:`window_bounds`.

    Returns
    -------
    bounds : ndarray of shape (n_windows, 2), int64
        First token of each window, and the one after its last.

    Raises
    ------
    InvalidInputError
        If the lengths are not integers, are negative, or do not sum to `n_tokens`.
    """
    if document_lengths is None:
        return window_bounds(n_tokens, window_size, tail)
    lengths = np.asarray(document_lengths)
    if lengths.ndim != 1 or (lengths.size and lengths.dtype.kind not in "iu"):
        raise InvalidInputError(
            f"document_lengths: shape {lengths.shape}, dtype {lengths.dtype}; "
            "it must be one integer per document"
        )
    if lengths.size and lengths.min() < 0:
        raise InvalidInputError(
            f"document_lengths: document {int(lengths.argmin())} has {lengths.min()} tokens"
        )
    total = sum(map(int, lengths))
    if total != n_tokens:
        raise InvalidInputError(
            f"document_lengths sum to {total} tokens, but there are activations of {n_tokens}"
        )
    starts = np.cumsum(lengths, dtype=np.int64) - lengths.astype(np.int64)
    found = [
        start + window_bounds(int(length), window_size, tail)
        for start, length in zip(starts, lengths, strict=True)
    ]
    return np.concatenate([window_bounds(0, window_size, tail), *found])


def window_batches(bounds: NDArray[np.int64], max_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Yield consecutive windows that total at most `max_tokens` tokens, at least one at a time."""
    ends = np.cumsum(bounds[:, 1] - bounds[:, 0])
    first, before = 0, 0
    while first < len(bounds):
        stop = max(first + 1, int(np.searchsorted(ends, before + max_tokens, side="right")))
        yield bounds[first:stop]
        first, before = stop, int(ends[stop - 1])


def window_tokens(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the tokens of windows, in order."""
    lengths = bounds[:, 1] - bounds[:, 0]
    first = np.cumsum(lengths) - lengths
    return np.repeat(bounds[:, 0] - first, lengths) + np.arange(lengths.sum())
