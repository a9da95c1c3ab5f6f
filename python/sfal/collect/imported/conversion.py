"""Columns of tables as numbers: those that are, and texts and truth values that stand for some."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sfal.collect.imported.rows import Integers, whole_numbers
from sfal.errors import InvalidInputError
from sfal.io.arrow import to_numpy

_TRUTH = {"true": "1", "false": "0"}


def as_integers(path: Path, first: int, column: Any, role: str) -> Integers:
    """Return a column of documents, places or features as int64.

    Raises
    ------
    InvalidInputError
        If a value is not a whole number.
    """
    return whole_numbers(path, first, as_numbers(path, first, column, role), role)


def as_numbers(path: Path, first: int, column: Any, role: str) -> NDArray[Any]:
    """Return a column without nulls as numbers.

    Texts of numbers are converted; those of activations may have decimal commas,
    or be truth values.

    Parameters
    ----------
    path : Path
        The file, for messages.
    first : int
        Number of the column's first row.
    column : Array
        The column.
    role : str
        What it holds.

    Raises
    ------
    InvalidInputError
        If it holds something else.
    """
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_boolean(kind) and role == "activation":
        column = column.cast(pa.int8())
    elif types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif _is_text(kind):
        return _parsed(path, first, column, role)
    elif not (types.is_integer(kind) or types.is_floating(kind)):
        raise InvalidInputError(
            f"{path}: its {role} column holds {kind}, not numbers",
            hint="name another column with $columns",
        )
    return to_numpy(column)


def holds_numbers(kind: Any, values: Iterable[object]) -> bool:
    """Return whether a column holds numbers, truth values, texts of them, or lists of numbers.

    Parameters
    ----------
    kind : DataType
        Its Arrow type.
    values : iterable
        Some of its values, which are looked at if they are texts.
    """
    import pyarrow.types as types

    while types.is_dictionary(kind) or is_list(kind):
        kind = kind.value_type
    if _is_text(kind):
        return all(is_number(text) for text in values if isinstance(text, str) and text)
    return any(
        is_kind(kind)
        for is_kind in (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    )


def is_list(kind: Any) -> bool:
    """Return whether an Arrow type is one of lists."""
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_number(text: str) -> bool:
    """Return whether a text is a number, perhaps with a decimal comma, or a truth value."""
    try:
        float(_TRUTH.get(text.strip().lower(), text.strip().replace(",", ".")))
    except ValueError:
        return False
    return True


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _parsed(path: Path, first: int, column: Any, role: str) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    if role == "activation":
        # Only the sign counts, so that even a comma between thousands changes nothing.
        texts = pc.replace_substring(pc.utf8_lower(texts), ",", ".")
        for truth, number in _TRUTH.items():
            texts = pc.replace_substring_regex(texts, f"^{truth}$", number)
    else:
        texts = pc.replace_substring_regex(texts, ",0$", "")
    for kind in (pa.float64(),) if role == "activation" else (pa.int64(), pa.float64()):
        try:
            return to_numpy(pc.cast(texts, kind))
        except pa.ArrowInvalid:
            continue
    for row, text in enumerate(column.to_pylist(), first):
        if not is_number(text) or (role != "activation" and "," in text):
            raise InvalidInputError(
                f"{path}: row {row} has {role} {text[:40]!r}, which is not a number",
                hint="name another column with $columns, or correct the file",
            )
    raise InvalidInputError(f"{path}: its {role} column holds text, not numbers")
