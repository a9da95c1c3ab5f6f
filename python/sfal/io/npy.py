"""Headers of ``.npy`` arrays from untrusted files."""

from tokenize import TokenError
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.lib import format as npy

_LIMIT = 1 << 16
"""Most bytes of a header; those that numpy writes for plain arrays have 128."""

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NpyHeader(NamedTuple):
    """Header of an array as ``numpy.save`` writes it."""

    length: int
    """Bytes before the data."""
    shape: tuple[int, ...]
    """Shape of the array, unchecked: the data may be of any length."""
    fortran_order: bool
    """Whether columns are contiguous."""
    dtype: np.dtype[Any]
    """Item type."""


class _Bounded:
    """A file that refuses to read a long header.

    A header may claim to be 4 GiB long, and numpy reads it before it objects.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.consumed = 0

    def read(self, n: int) -> bytes:
        if n > _LIMIT:
            raise ValueError(f"an array with a header of {n:,} bytes")
        content = self._file.read(n)
        self.consumed += len(content)
        return content


def read_npy_header(file: IO[bytes]) -> NpyHeader:
    """Read the header of an array, and leave the file at the beginning of the data.

    Parameters
    ----------
    file : binary file
        At the beginning of the array.

    Raises
    ------
    ValueError
        If there is no header, or not one that numpy writes.
    """
    bounded = _Bounded(file)
    stream = cast(IO[bytes], bounded)
    try:
        version = npy.read_magic(stream)
        if version not in _READERS:
            raise ValueError(f"an array of format version {version}")
        shape, fortran_order, dtype = _READERS[version](stream)
    # The header is a Python literal; these are what parsing a forged one ends in.
    except (SyntaxError, TokenError, TypeError, RecursionError, MemoryError, UserWarning) as e:
        raise ValueError(f"an array whose header is not as numpy writes it: {e}") from e
    return NpyHeader(bounded.consumed, shape, fortran_order, dtype)
