"""Arrays of text as they are written in a pickled pandas frame, kept by Python or by pyarrow.

What pyarrow would trust is checked here: the offsets of text must rise inside
their buffer.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from sfal.store.published import frame_values as fv
from sfal.store.published.pickle_records import Built, Dict, List, Name, Refused, Tuple

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
ARROW = (
    "pyarrow.lib._restore_array",
    "pyarrow.lib.chunked_array",
    "pyarrow.lib.py_buffer",
    "pyarrow.lib.type_for_alias",
)

NAMES = frozenset((*TEXT_ARRAY, *ARROW_TEXT_ARRAY, *TEXT_DTYPE, *UNPICKLE_BACKED, *ARROW))
"""Every global that an array of text may refer to."""

_OFFSETS = {"string": "<i4", "utf8": "<i4", "large_string": "<i8", "large_utf8": "<i8"}


def is_text_array(value: Any) -> bool:
    """Return whether this is one of pandas' arrays of text."""
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
        if type(part) is Built and part.callee in (*fv.RECONSTRUCT, *fv.FROM_BUFFER):
            content = fv.array(part)
            if isinstance(content, fv.Objects):
                return [_text_or_none(v) for v in content.values]
    raise Refused("an array of text without its objects")


def _text_or_none(value: Any) -> str | None:
    plain = fv.scalar(value)
    if plain is not None and type(plain) is not str:
        raise Refused("an array of text that holds something other than text")
    return plain


def _arrow_texts(value: Any) -> list[str | None]:
    if type(value) is not Built or not value.args:
        raise Refused("expected text of pyarrow")
    if value.callee == "pyarrow.lib.chunked_array" and type(value.args[0]) is List:
        return [text for chunk in value.args[0].values for text in _arrow_texts(chunk)]
    if value.callee != "pyarrow.lib._restore_array" or type(value.args[0]) is not Tuple:
        raise Refused(f"{value.callee} instead of text of pyarrow")
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
        return fv.binary(value.args[0])
    raise Refused("expected a buffer of pyarrow")


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
        raise Refused("text of pyarrow that is not UTF-8") from e
    if valid is not None:
        bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[offset:stop]
        for i in np.flatnonzero(bits == 0):
            found[i] = None
    return found
