"""Arrays, scalars, and cells as they are written in a pickled pandas frame.

Everything here works on the inert records of :mod:`sfal.store.published.pickle_records`. What
numpy would check or trust is checked here: item types come from a short list, and
an array must have exactly as many bytes as its shape requires.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sfal.store.published.pickle_records import Built, List, Name, Refused, Tuple

RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
SCALAR = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
BYTE_ARRAY = ("builtins.bytearray", "__builtin__.bytearray")
ENCODE = ("_codecs.encode",)
MISSING = ("pandas.NA", "pandas._libs.missing.NA")

NAMES = frozenset(
    (
        *RECONSTRUCT,
        *FROM_BUFFER,
        *SCALAR,
        *BYTE_ARRAY,
        *ENCODE,
        *MISSING,
        "numpy.ndarray",
        "numpy.dtype",
    )
)

_ITEM_TYPES = frozenset(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "b1"])


class Objects:
    """An array of objects: its shape, and the values row by row."""

    __slots__ = ("shape", "values")

    def __init__(self, shape: tuple[int, ...], values: list[Any]) -> None:
        self.shape = shape
        self.values = values


Numbers = npt.NDArray[Any]


def array(value: Any) -> Numbers | Objects:
    """Read a pickled numpy array.

    Returns
    -------
    ndarray or Objects
        A view of the pickle's bytes for numbers.

    Raises
    ------
    Refused
        If shape, item type and bytes do not agree.
    """
    if type(value) is not Built:
        raise Refused("expected an array")
    if value.callee in FROM_BUFFER and value.state is None:
        return _from_buffer(value.args)
    if value.callee in RECONSTRUCT and type(value.state) is Tuple:
        return _reconstructed(value.state.values)
    raise Refused(f"{value.callee} instead of an array")


def _from_buffer(args: list[Any]) -> Numbers:
    if len(args) not in (4, 5):
        raise Refused("an array with too many or too few parts")
    item, dims, order = _item_type(args[1]), _shape(args[2]), args[3]
    if item is None:
        raise Refused("an array of objects given as bytes")
    flat = _numbers(args[0], item, dims)
    axes = args[4] if len(args) == 5 else None
    if order == "K" and type(axes) is Tuple:
        if sorted(_integers(axes)) != list(range(len(dims))):
            raise Refused("an array whose axes are not a permutation")
        return flat.reshape(dims).transpose(_integers(axes))
    if order not in ("C", "F"):
        raise Refused("an array whose order is neither C nor F")
    return flat.reshape(dims, order=order)


def _reconstructed(state: list[Any]) -> Numbers | Objects:
    if len(state) != 5:
        raise Refused("an array with too many or too few parts")
    _version, shape, dtype, fortran, content = state
    item, dims = _item_type(dtype), _shape(shape)
    if item is not None:
        return _numbers(content, item, dims).reshape(dims, order="F" if fortran is True else "C")
    if type(content) is not List:
        raise Refused("an array of objects without a list of them")
    values = flat_values(content)
    if len(values) != _product(dims):
        raise Refused(f"an array of shape {dims} with {len(values):,} objects")
    return Objects(dims, values)


def _numbers(content: Any, item: np.dtype[Any], dims: tuple[int, ...]) -> Numbers:
    raw = binary(content)
    if len(raw) != _product(dims) * item.itemsize:
        raise Refused(f"an array of shape {dims} and {item} with {len(raw):,} bytes")
    return np.frombuffer(raw, dtype=item)


def _product(dims: tuple[int, ...]) -> int:
    product = 1
    for n in dims:
        product *= n
    return product


def _integers(value: Any) -> tuple[int, ...]:
    if type(value) is not Tuple or not all(type(n) is int for n in value.values):
        raise Refused("expected a tuple of integers")
    return tuple(value.values)


def _shape(value: Any) -> tuple[int, ...]:
    dims = _integers(value)
    if len(dims) > 2 or any(not 0 <= n < 1 << 40 for n in dims):
        raise Refused(f"an array of shape {dims[:8]}")
    return dims


def _item_type(value: Any) -> np.dtype[Any] | None:
    """Return the item type of an array, None for objects; it is never built from the pickled state."""
    if type(value) is not Built or value.callee != "numpy.dtype" or not value.args:
        raise Refused("expected an item type")
    code = value.args[0]
    state = value.state
    order: Any = "<"
    if type(state) is Tuple and len(state.values) > 1:
        if any(part is not None for part in state.values[2:5]):
            raise Refused("an item type with fields or a shape")
        order = state.values[1]
    if code in ("O", "O4", "O8"):
        return None
    if type(code) is not str or code not in _ITEM_TYPES or order not in ("<", ">", "|", "="):
        raise Refused(f"the item type {str(code)[:20]!r}")
    return np.dtype(("<" if order in "=|" else order) + code)


def binary(value: Any) -> bytes:
    """Return bytes, however the protocol wrote them."""
    if type(value) is bytes:
        return value
    if type(value) is Built and value.state is None:
        if value.callee in ENCODE and len(value.args) == 2 and type(value.args[0]) is str:
            return _latin1(*value.args)
        if value.callee in BYTE_ARRAY:
            if not value.args:
                return b""
            if len(value.args) == 2 and type(value.args[0]) is str:
                return _latin1(*value.args)
            # bytearray(n) would be n zero bytes: only the copy of given bytes is known.
            if len(value.args) == 1 and type(value.args[0]) in (bytes, Built):
                return binary(value.args[0])
    raise Refused("expected bytes")


def _latin1(text: str, encoding: Any) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"bytes written as text in {str(encoding)[:20]!r}")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as e:
        raise Refused("bytes written as text beyond latin-1") from e


def flat_values(value: List) -> list[Any]:
    """Return the values of a list, with runs of floats as floats."""
    if not any(type(v) is np.ndarray for v in value.values):
        return value.values
    flat: list[Any] = []
    for v in value.values:
        flat.extend(v.tolist()) if type(v) is np.ndarray else flat.append(v)
    return flat


def scalar(value: Any) -> Any:
    """Read a plain value: text, number, truth value or None (for every kind of missing)."""
    if value is None or type(value) in (str, int, float, bool):
        return None if type(value) is float and value != value else value
    if type(value) is Name and value.path in MISSING:
        return None
    if type(value) is Built and value.callee in SCALAR and len(value.args) == 2:
        item = _item_type(value.args[0])
        if item is None:
            raise Refused("a scalar of objects")
        return scalar(_numbers(value.args[1], item, (1,))[0].item())
    raise Refused("expected a text or a number")


def plain(value: Any) -> Any:
    """Read a cell: a plain value, or a list of plain values."""
    if type(value) is List:
        return [scalar(v) for v in flat_values(value)]
    if type(value) is Built and value.callee in (*RECONSTRUCT, *FROM_BUFFER):
        content = array(value)
        return [scalar(v) for v in (content.values if isinstance(content, Objects) else
                                       content.ravel().tolist())]  # fmt: skip
    return scalar(value)


def vector_pieces(cell: Any) -> list[npt.NDArray[Any]]:
    """Return the runs of numbers that make up a vector."""
    if type(cell) is List:
        if all(type(v) is np.ndarray for v in cell.values):
            return cell.values
        numbers = [scalar(v) for v in flat_values(cell)]
        # A missing number becomes NaN, which scoring refuses with its position.
        if any(type(v) in (str, bool) for v in numbers):
            raise Refused("a vector that holds text")
        return [np.array(numbers, dtype=np.float64)]
    if type(cell) is Built:
        content = array(cell)
        if isinstance(content, np.ndarray) and content.ndim == 1 and content.dtype.kind in "fiu":
            return [content]
    if type(cell) is Name or cell is None or type(cell) is float:
        raise Refused("a row without a vector")
    raise Refused("expected a vector")
