"""Files of rows: JSON lines, CSV, Parquet, Arrow."""

import csv
import json
from collections.abc import Container, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sfal.collect.corpus.document import USUAL
from sfal.collect.corpus.files import open_packed
from sfal.collect.corpus.lines import LONGEST, lines
from sfal.errors import CorruptError, InvalidInputError, Note

_LARGEST_ARRAY = 256 << 20
"""Bytes of a JSON file that is a single array, which can only be read as a whole."""
_DELIMITERS = {"CSV": ",", "TSV": "\t"}
FIRST_ROWS = 1000
"""Rows that are looked at to find the column that holds the documents."""


def json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each object of a JSON file stands, and the object.

    A file has an object per line; blank lines are passed over. One that ends in
    ``.json`` may also be a single array of objects.

    Raises
    ------
    CorruptError
        If it is damaged; the message names the line.
    """
    found = lines(path)
    if ".json" in path.name.lower().removesuffix(".gz").removesuffix(".zst")[-5:]:
        first = next(((where, line) for where, line in found if line.strip()), None)
        if first is None:
            return
        if first[1].lstrip().startswith("["):
            yield from _array(path)
            return
        found = chain([first], found)
    for where, line in found:
        if line.strip():
            yield where, _object(_parsed(line, where), where)


def _array(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with open_packed(path) as file:
        content = file.read(_LARGEST_ARRAY + 1)
    if len(content) > _LARGEST_ARRAY:
        raise InvalidInputError(
            f"{path} is a JSON array of more than {_LARGEST_ARRAY >> 20} MiB",
            hint="write it as JSON lines, an object per line",
        )
    value = _parsed(content, str(path))
    if not isinstance(value, list):
        raise CorruptError(f"{path}: {type(value).__name__}, not an array of JSON objects")
    for number, one in enumerate(value, 1):
        where = f"{path}, object {number}"
        yield where, _object(one, where)


def _parsed(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise CorruptError(f"{where}: invalid JSON ({e})") from e


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CorruptError(f"{where}: {type(value).__name__}, not a JSON object")
    return value


def table_columns(path: Path, kind: str) -> list[str]:
    """Return the names of a table's columns."""
    if kind in _DELIMITERS:
        return next(_records(path, kind), ("", []))[1]
    import pyarrow.parquet as pq

    if kind == "Parquet":
        with pq.ParquetFile(path) as file:
            return list(file.schema_arrow.names)
    with _arrow_reader(path) as reader:
        return list(reader.schema.names)


def columns_with_content(path: Path, kind: str) -> dict[str, bool]:
    """Return whether each column of a table may hold documents.

    It is looked up in the first rows only where a column of text and one of
    conversations or token ids could be meant.
    """
    names = table_columns(path, kind)
    rivals = [name for name in ("text", *USUAL) if name in names]
    found = dict.fromkeys(names, True)
    if "text" in names and len(rivals) > 1:
        for name in rivals:
            first = islice(table_values(path, kind, name), FIRST_ROWS)
            found[name] = any(has_content(value) for _, value in first)
    return found


def table_values(
    path: Path, kind: str, column: str, *, any_type: bool = False
) -> Iterator[tuple[str, object]]:
    """Yield where each row of a table stands, and its value in a column.

    Parameters
    ----------
    path : Path
        The table.
    kind : str
        Kind of the file.
    column : str
        Name of the column.
    any_type : bool
        Whether the column need not be able to hold documents.

    Raises
    ------
    CorruptError
        If the table is damaged.
    InvalidInputError
        If the column holds neither text nor lists.
    """
    if kind in _DELIMITERS:
        yield from _csv_values(path, kind, column)
        return
    import pyarrow.parquet as pq

    number = 0
    if kind == "Parquet":
        with pq.ParquetFile(path) as file:
            if not any_type:
                _check_type(path, column, file.schema_arrow.field(column).type)
            for batch in file.iter_batches(batch_size=64, columns=[column]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield f"{path}, row {number}", value
        return
    with _arrow_reader(path) as reader:
        if not any_type:
            _check_type(path, column, reader.schema.field(column).type)
        for batch in reader:
            # Reading a row at a damaged offset would abort the process.
            batch.validate(full=True)
            for value in batch.column(column):
                number += 1
                yield f"{path}, row {number}", value.as_py()


def _arrow_reader(path: Path) -> Any:
    """Open an Arrow file: the stream that `datasets` writes, or the file format."""
    import pyarrow as pa

    source = pa.memory_map(str(path))
    if source.read(6) == b"ARROW1":
        return _Batches(pa.ipc.open_file(source))
    source.seek(0)
    return pa.ipc.open_stream(source)


class _Batches:
    """The batches of an Arrow file, read like those of a stream."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.schema = file.schema

    def __enter__(self) -> "_Batches":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return map(self._file.get_batch, range(self._file.num_record_batches))


def _check_type(path: Path, column: str, kind: Any) -> None:
    """Refuse a column of numbers, say, before a row is read."""
    import pyarrow as pa

    inner = kind
    while True:
        if isinstance(inner, pa.BaseExtensionType):
            inner = inner.storage_type
        elif pa.types.is_dictionary(inner) or pa.types.is_run_end_encoded(inner):
            inner = inner.value_type
        else:
            break
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    lists = (
        *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
        *(pa.types.is_list_view, pa.types.is_large_list_view, pa.types.is_struct),
    )
    if not any(is_kind(inner) for is_kind in (*texts, *lists, pa.types.is_null)):
        raise InvalidInputError(
            f"corpus {path}: column {column!r} is {kind}, not text",
            hint="name another column with $text_column, or one of token ids with $tokens_column",
        )


def _csv_values(path: Path, kind: str, column: str) -> Iterator[tuple[str, object]]:
    records = _records(path, kind)
    _, names = next(records)
    at = names.index(column)
    for where, record in records:
        if len(record) > len(names):
            raise CorruptError(f"{where}: {len(record)} fields, but there are {len(names)} columns")
        if record:
            yield where, record[at] if at < len(record) else None


def _records(path: Path, kind: str) -> Iterator[tuple[str, list[str]]]:
    """Yield where each record of a CSV file ends, and its fields; the first holds the names."""
    where = str(path)

    def texts() -> Iterator[str]:
        nonlocal where
        for where, line in lines(path):  # noqa: B007
            yield line

    csv.field_size_limit(LONGEST)  # of this process; the default is 128 KiB
    rows = texts()
    first = next(rows, "")
    reader = csv.reader(chain([first], rows), delimiter=_delimiter(first, kind), strict=True)
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            raise CorruptError(f"{where}: invalid {kind} ({e})") from e
        yield where, record


def _delimiter(header: str, kind: str) -> str:
    """Return the usual delimiter, or the one that a header has in its place."""
    usual = _DELIMITERS[kind]
    return usual if usual in header else next((one for one in ",;\t|" if one in header), usual)


def has_content(value: object) -> bool:
    """Return whether a row's value is a document that is not empty."""
    return value is not None and value != "" and value != []


def choose_column(
    names: Mapping[str, bool], text_column: str, tokens_column: str | None
) -> str | None:
    """Return the column that holds the documents; None if there is none.

    Where a corpus has no text and no column was named, it is one of
    conversations or of token ids, if it has a column by the name that these
    usually have.

    Parameters
    ----------
    names : mapping of str to bool
        Whether each column holds something in the first rows.
    text_column : str
        The column of text that the user named, or ``text``.
    tokens_column : str or None
        The column of token ids that the user named.
    """
    if tokens_column is not None:
        return tokens_column if tokens_column in names else None
    usual = [name for name in USUAL if name in names] if text_column == "text" else []
    if names.get(text_column):
        return text_column
    filled = next((name for name in usual if names[name]), None)
    if filled is not None or text_column in names:
        return filled or text_column
    return next(iter(usual), None)


def note_on_column(corpus: str, names: Container[str], named: str, read: str) -> tuple[Note, ...]:
    """Return a note if a corpus has the column that was asked for, but another one is read."""
    if read == named or named not in names:
        return ()
    said = f"corpus {corpus}: {named!r} holds nothing in its first rows, so {read!r} is read"
    return (Note(said, "see $text_column"),)
