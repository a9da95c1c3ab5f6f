"""Arrays, text and scalars as they stand in a pickled pandas frame.

Everything here works on the inert records of :mod:`sfal.store.published.pickle_records`. What
numpy and pyarrow would check or trust is checked here: item types come from a
short list, the bytes of an array must be exactly as many as its shape says,
and the offsets of text must rise inside their buffer.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sfal.store.published.pickle_records import Built, Dict, List, Name, Refused, Tuple

RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
SCALAR = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
BYTE_ARRAY = ("builtins.bytearray", "__builtin__.bytearray")
ENCODE = ("_codecs.encode",)
TEXT_ARRAY = (
    "pandas.arrays.StringArray",
    "pandas.arrays.NumpyStringArray",
    "pandas.arrays.StringArrayNumpySemantics",
    "pandas.core.arrays.string_.StringArray",
    "pandas.core.arrays.string_.StringArrayNumpySemantics",
)
ARROW_TEXT_ARRAY = (
    "pandas.arrays.ArrowStringArray",
    "pandas.arrays.ArrowStringArrayNumpySemantics",
    "pandas.core.arrays.string_arrow.ArrowStringArray",
    "pandas.core.arrays.string_arrow.ArrowStringArrayNumpySemantics",
)
TEXT_DTYPE = ("pandas.StringDtype", "pandas.core.arrays.string_.StringDtype")
UNPICKLE_BACKED = ("pandas._libs.arrays.__pyx_unpickle_NDArrayBacked",)
MISSING = ("pandas.NA", "pandas._libs.missing.NA")
ARROW = (
    "pyarrow.lib._restore_array",
    "pyarrow.lib.chunked_array",
    "pyarrow.lib.py_buffer",
    "pyarrow.lib.type_for_alias",
)

NAMES = frozenset(
    (
        *RECONSTRUCT,
        *FROM_BUFFER,
        *SCALAR,
        *BYTE_ARRAY,
        *ENCODE,
        *TEXT_ARRAY,
        *ARROW_TEXT_ARRAY,
        *TEXT_DTYPE,
        *UNPICKLE_BACKED,
        *MISSING,
        *ARROW,
        "numpy.ndarray",
        "numpy.dtype",
    )
)

_ITEM_TYPES = frozenset(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "b1"])
_OFFSETS = {"string": "<i4", "utf8": "<i4", "large_string": "<i8", "large_utf8": "<i8"}


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
        raise Refused("something else where an array belongs")
    if value.callee in FROM_BUFFER and value.state is None:
        return _from_buffer(value.args)
    if value.callee in RECONSTRUCT and type(value.state) is Tuple:
        return _reconstructed(value.state.values)
    raise Refused(f"{value.callee} where an array belongs")


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
            raise Refused("an array whose axes are in no order")
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
        raise Refused("something else where a tuple of integers belongs")
    return tuple(value.values)


def _shape(value: Any) -> tuple[int, ...]:
    dims = _integers(value)
    if len(dims) > 2 or any(not 0 <= n < 1 << 40 for n in dims):
        raise Refused(f"an array of shape {dims[:8]}")
    return dims


def _item_type(value: Any) -> np.dtype[Any] | None:
    """Item type of an array, None for objects; never built from the pickled state itself."""
    if type(value) is not Built or value.callee != "numpy.dtype" or not value.args:
        raise Refused("something else where an item type belongs")
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
    """Bytes, however the protocol wrote them."""
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
    raise Refused("something else where bytes belong")


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
    raise Refused("something else where a text or a number belongs")


def is_text_array(value: Any) -> bool:
    """Whether this is one of pandas' arrays of text."""
    return type(value) is Built and value.callee in (*UNPICKLE_BACKED, *ARROW_TEXT_ARRAY)


def texts(value: Built) -> list[str | None]:
    """Read one of pandas' arrays of text, kept as Python objects or by pyarrow."""
    if value.callee in UNPICKLE_BACKED:
        return _backed_texts(value)
    if type(value.state) is not Dict:
        raise Refused("an array of text without its parts")
    data = value.state.get("_pa_array")
    return _arrow_texts(value.state.get("_data") if data is None else data)


def _backed_texts(value: Built) -> list[str | None]:
    kind = value.args[0] if value.args else None
    if type(kind) is not Name or kind.path not in TEXT_ARRAY:
        raise Refused("an extension array that is not of text")
    for part in value.state.values if type(value.state) is Tuple else []:
        if type(part) is Built and part.callee in (*RECONSTRUCT, *FROM_BUFFER):
            content = array(part)
            if isinstance(content, Objects):
                return [_text_or_none(v) for v in content.values]
    raise Refused("an array of text without its objects")


def _text_or_none(value: Any) -> str | None:
    plain = scalar(value)
    if plain is not None and type(plain) is not str:
        raise Refused("an array of text that holds something else")
    return plain


def _arrow_texts(value: Any) -> list[str | None]:
    if type(value) is not Built or not value.args:
        raise Refused("something else where text of pyarrow belongs")
    if value.callee == "pyarrow.lib.chunked_array" and type(value.args[0]) is List:
        return [text for chunk in value.args[0].values for text in _arrow_texts(chunk)]
    if value.callee != "pyarrow.lib._restore_array" or type(value.args[0]) is not Tuple:
        raise Refused(f"{value.callee} where text of pyarrow belongs")
    parts = value.args[0].values
    if len(parts) < 5 or type(parts[4]) is not List or len(parts[4].values) != 3:
        raise Refused("text of pyarrow with too many or too few parts")
    kind, length, offset = parts[0], parts[1], parts[3]
    alias = kind.args[0] if type(kind) is Built and kind.args else None
    if type(alias) is not str or alias not in _OFFSETS:
        raise Refused("an array of pyarrow that is not of text")
    if type(length) is not int or type(offset) is not int or length < 0 or offset < 0:
        raise Refused("text of pyarrow with a negative length")
    valid, offsets, content = (_arrow_buffer(b) for b in parts[4].values)
    return _decode(length, offset, valid, np.dtype(_OFFSETS[alias]), offsets or b"", content or b"")


def _arrow_buffer(value: Any) -> bytes | None:
    if value is None:
        return None
    if type(value) is Built and value.callee == "pyarrow.lib.py_buffer" and len(value.args) == 1:
        return binary(value.args[0])
    raise Refused("something else where a buffer of pyarrow belongs")


def _decode(
    length: int,
    offset: int,
    valid: bytes | None,
    item: np.dtype[Any],
    offsets: bytes,
    content: bytes,
) -> list[str | None]:
    if length == 0:
        return []
    stop = offset + length
    if len(offsets) < (stop + 1) * item.itemsize or (valid and len(valid) * 8 < stop):
        raise Refused(f"text of pyarrow that is shorter than its length of {length:,}")
    ends = np.frombuffer(offsets, dtype=item, count=stop + 1)[offset:]
    if ends[0] < 0 or ends[-1] > len(content) or np.any(ends[1:] < ends[:-1]):
        raise Refused("text of pyarrow whose offsets do not rise inside its buffer")
    bounds = ends.tolist()
    try:
        found: list[str | None] = [content[a:b].decode("utf-8") for a, b in pairwise(bounds)]
    except UnicodeDecodeError as e:
        raise Refused("text of pyarrow that is no UTF-8") from e
    if valid is not None:
        bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[offset:stop]
        for i in np.flatnonzero(bits == 0):
            found[i] = None
    return found
