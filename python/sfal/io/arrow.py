"""Conversion between numpy and Arrow without pandas, which `pyarrow.array` and `to_numpy` import."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


def to_numpy(column: "pa.Array | pa.ChunkedArray") -> NDArray[Any]:
    """Return numbers without missing values as a numpy array, copying only if they are chunked.

    Parameters
    ----------
    column : Array or ChunkedArray
        Integers or floats, without nulls.

    Returns
    -------
    values : ndarray of shape (len(column),)
        The numbers, possibly in a read-only array.
    """
    whole = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    values: NDArray[Any] = np.from_dlpack(whole)
    return values


def from_numpy(values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> "pa.Array":
    """Return numbers as an Arrow array, without a copy.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Integers or floats in this machine's byte order.
    valid : ndarray of shape (n,), bool, optional
        False where a value is missing.
    """
    import pyarrow as pa

    content = np.ascontiguousarray(values)
    bitmap = None
    if valid is not None and not valid.all():
        bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    type_ = pa.from_numpy_dtype(content.dtype)
    return pa.Array.from_buffers(type_, len(content), [bitmap, pa.py_buffer(content)])


def from_texts(texts: Sequence[str], chosen: NDArray[np.int32]) -> "pa.Array":
    """Return an Arrow array of text with few distinct values.

    Parameters
    ----------
    texts : sequence of str
        The distinct values.
    chosen : ndarray of shape (n,), int32
        Position in `texts` of each value.
    """
    return from_strings(texts).take(from_numpy(chosen))


def from_strings(texts: Sequence[str]) -> "pa.Array":
    """Return an Arrow array of text, of at most 2 GiB in all."""
    import pyarrow as pa

    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(raw))]
    return pa.Array.from_buffers(pa.string(), len(raw), buffers)
