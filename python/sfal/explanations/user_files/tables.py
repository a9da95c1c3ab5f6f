"""Rows of label files: CSV, TSV, JSON, JSON lines and Parquet, gzipped or not."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from sfal.errors import InvalidInputError
from sfal.explanations.user_files.columns import Row, column_of, has, wanted
from sfal.explanations.user_files.json_documents import json_rows
from sfal.io.gzip_lines import ExpansionLimits, expand, lines

_ROWS = 256
_LIMITS = ExpansionLimits(max_ratio=500)
"""A user's file may be more repetitive than an export."""
_MAX_JSON_BYTES = 1 << 30
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"


def rows_of_file(path: Path, ending: str, left_out: Counter[str]) -> Iterator[Row]:
    """Yield the rows of a label file.

    Parameters
    ----------
    path : Path
        The file.
    ending : str
        One of `ENDINGS`.
    left_out : Counter
        Receives the number of lines or items that are not rows, by reason.

    Raises
    ------
    InvalidInputError
        If a JSON document is too long to be read at once.
    ValueError, csv.Error, DamagedGzipError, OSError, ArrowException
        If the content cannot be parsed.
    """
    return _READERS[ending.removesuffix(".gz")](path, left_out)


class _Expanded(io.RawIOBase):
    """The expanded content of a gzip file, within limits, as a file."""

    def __init__(self, path: Path) -> None:
        self._blocks = expand(path, _LIMITS)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n


def _open(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return cast(BinaryIO, io.BufferedReader(_Expanded(path)))
    return path.open("rb")


def _text(file: BinaryIO) -> TextIO:
    """Decode a file; spreadsheets write UTF-8 with a mark, or UTF-16."""
    start = cast(io.BufferedReader, file).peek(2)[:2]
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def _table_rows(path: Path, left_out: Counter[str]) -> Iterator[Row]:
    with _open(path) as file, _text(file) as text:
        header = text.readline()
        delimiter = _delimiter(header, path)
        names = next(csv.reader([header], delimiter=delimiter), [])
        if names and header.count('"') % 2:
            raise csv.Error("the quotes of its header do not close")
        yield from csv.DictReader(text, [name.strip() for name in names], delimiter=delimiter)


def _delimiter(header: str, path: Path) -> str:
    """Return the delimiter with which a header names both columns, else the usual one."""
    for delimiter in _DELIMITERS:
        found = {column_of(name) for name in next(csv.reader([header], delimiter=delimiter), [])}
        if {"feature", "explanation"} <= found:
            return delimiter
    return "\t" if ".tsv" in path.suffixes[-2:] else ","


def _line_rows(path: Path, left_out: Counter[str]) -> Iterator[Row]:
    is_compressed = path.name.lower().endswith(".gz")
    with nullcontext(lines(path, _LIMITS)) if is_compressed else path.open("rb") as found:
        for number, line in enumerate(found):
            if line is None:
                left_out["line too long"] += 1
                continue
            content = line.removeprefix(_BOM) if number == 0 else line
            if not content.strip():
                continue
            try:
                row = json.loads(content.decode("utf-8"))
            except UnicodeDecodeError:
                left_out["invalid UTF-8"] += 1
                continue
            except (ValueError, RecursionError):
                left_out["invalid JSON"] += 1
                continue
            if not isinstance(row, dict):
                left_out["not a JSON object"] += 1
            elif has(row, "feature") or has(row, "explanation") or not _is_map(row):
                yield row
            else:
                yield from json_rows(row, left_out)


def _is_map(row: dict[str, Any]) -> bool:
    return bool(row) and all(key.isdecimal() for key in row)


def _json_rows(path: Path, left_out: Counter[str]) -> Iterator[Row]:
    with _open(path) as file:
        content = file.read(_MAX_JSON_BYTES + 1)
    if len(content) > _MAX_JSON_BYTES:
        raise InvalidInputError(
            f"{path} is longer than {_MAX_JSON_BYTES:,} bytes, which a JSON document may not be",
            hint="write JSON lines (.jsonl) or Parquet",
        )
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = content.decode("utf-16" if utf16 else "utf-8-sig")
    try:
        document = json.loads(text)
    except RecursionError as e:
        raise ValueError("its arrays are nested too deep") from e
    except json.JSONDecodeError as e:
        # Several tools write JSON lines into a file that ends in .json.
        if e.msg != "Extra data":
            raise
        yield from _line_rows(path, left_out)
        return
    yield from json_rows(document, left_out)


def _parquet_rows(path: Path, left_out: Counter[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        present = [name for name in file.schema_arrow.names if wanted(name)]
        if not present:
            yield dict.fromkeys(file.schema_arrow.names)
        # Few rows at a time: a small file can repeat a long text very often.
        for batch in file.iter_batches(_ROWS, columns=present):
            yield from batch.to_pylist()


_READERS: dict[str, Callable[[Path, Counter[str]], Iterator[Row]]] = {
    ".csv": _table_rows,
    ".tsv": _table_rows,
    ".jsonl": _line_rows,
    ".ndjson": _line_rows,
    ".json": _json_rows,
    ".parquet": _parquet_rows,
}

ENDINGS = (
    ".csv",
    ".tsv",
    ".json",
    ".jsonl",
    ".ndjson",
    *(f"{e}.gz" for e in (".csv", ".tsv", ".json", ".jsonl", ".ndjson")),
    ".parquet",
)
"""Endings of files that can be read."""
