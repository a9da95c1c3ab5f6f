"""Where the windows of documents begin and end."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError

Tail = Literal["drop", "keep"]
"""What becomes of the tokens after a document's last whole window."""


def window_bounds(n_tokens: int, window_size: int, tail: Tail = "drop") -> NDArray[np.int64]:
    """Cut a document into windows.

    Parameters
    ----------
    n_tokens : int
        Tokens of the document.
    window_size : int
        Tokens a window. Must be > 0.
    tail : {"drop", "keep"}
        What to do with the tokens after the last whole window: drop them, or
        keep them as a shorter window when they are at least half a window.

    Returns
    -------
    bounds : ndarray of shape (n_windows, 2), int64
        First token of each window, and the one behind its last.

    Raises
    ------
    InvalidInputError
        If `window_size` or `tail` is none of these.

    Examples
    --------
    >>> window_bounds(11, 4).tolist()
    [[0, 4], [4, 8]]
    >>> window_bounds(11, 4, "keep").tolist()
    [[0, 4], [4, 8], [8, 11]]
    """
    if window_size <= 0:
        raise InvalidInputError(f"window size must be > 0, got {window_size}")
    if tail not in ("drop", "keep"):
        raise InvalidInputError(f"tail {tail!r}: it is drop or keep")
    rest = n_tokens % window_size
    stops = np.arange(window_size, n_tokens + 1, window_size, dtype=np.int64)
    starts = stops - window_size
    if tail == "keep" and rest and 2 * rest >= window_size:
        starts, stops = np.append(starts, n_tokens - rest), np.append(stops, n_tokens)
    return np.stack([starts, stops], axis=1)


def document_windows(
    n_tokens: int,
    document_lengths: Sequence[int] | NDArray[np.integer[Any]] | None,
    window_size: int,
    tail: Tail,
) -> NDArray[np.int64]:
    """First token of each window of all documents, and the one behind its last."""
    if document_lengths is None:
        return window_bounds(n_tokens, window_size, tail)
    lengths = np.asarray(document_lengths)
    if lengths.ndim != 1 or (lengths.size and lengths.dtype.kind not in "iu"):
        raise InvalidInputError(
            f"document_lengths: shape {lengths.shape}, dtype {lengths.dtype}; "
            "it must be one integer a document"
        )
    if lengths.size and lengths.min() < 0:
        raise InvalidInputError(
            f"document_lengths: document {int(lengths.argmin())} has {lengths.min()} tokens"
        )
    total = sum(map(int, lengths))
    if total != n_tokens:
        raise InvalidInputError(
            f"document_lengths add up to {total} tokens, but there are activations of {n_tokens}"
        )
    starts = np.cumsum(lengths, dtype=np.int64) - lengths.astype(np.int64)
    found = [
        start + window_bounds(int(length), window_size, tail)
        for start, length in zip(starts, lengths, strict=True)
    ]
    return np.concatenate([window_bounds(0, window_size, tail), *found])


def window_batches(bounds: NDArray[np.int64], max_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Runs of windows of at most `max_tokens` together, one window at least."""
    ends = np.cumsum(bounds[:, 1] - bounds[:, 0])
    first, before = 0, 0
    while first < len(bounds):
        stop = max(first + 1, int(np.searchsorted(ends, before + max_tokens, side="right")))
        yield bounds[first:stop]
        first, before = stop, int(ends[stop - 1])


def positions(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of windows, in their order."""
    lengths = bounds[:, 1] - bounds[:, 0]
    first = np.cumsum(lengths) - lengths
    return np.repeat(bounds[:, 0] - first, lengths) + np.arange(lengths.sum())
