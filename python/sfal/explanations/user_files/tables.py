"""Rows of label files: CSV, TSV, JSON, JSON lines and Parquet, gzipped or not."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sfal.errors import InvalidInputError, Note
from sfal.explanations.user_files.columns import (
    FRAME_INDEX,
    NESTED,
    LabelColumns,
    Row,
    columns_of,
    has,
)
from sfal.explanations.user_files.delimited import delimited_rows
from sfal.explanations.user_files.json_documents import json_rows
from sfal.explanations.user_files.layers import is_feature
from sfal.explanations.user_files.opened import LIMITS, open_bytes
from sfal.io.gzip_lines import lines

_ROWS = 256
_MAX_JSON_BYTES = 1 << 30
_BOM = b"\xef\xbb\xbf"


def rows_of_file(
    path: Path, ending: str, left_out: Counter[str], columns: LabelColumns, notes: list[Note]
) -> Iterator[Row]:
    """Yield the rows of a label file.

    Parameters
    ----------
    path : Path
        The file.
    ending : str
        One of `ENDINGS`.
    left_out : Counter
        Receives the number of lines or items that are not rows, by reason.
    columns : LabelColumns
        The columns that the user names.
    notes : list of Note
        Receives what the user should know about the file.

    Raises
    ------
    InvalidInputError
        If a JSON document is too long to be read at once.
    ValueError, csv.Error, DamagedGzipError, OSError, ArrowException
        If the content cannot be parsed.
    """
    return _READERS[ending.removesuffix(".gz")](path, left_out, columns, notes)


def _table_rows(
    path: Path, left_out: Counter[str], columns: LabelColumns, notes: list[Note]
) -> Iterator[Row]:
    return delimited_rows(path, columns, notes)


def _line_rows(
    path: Path, left_out: Counter[str], columns: LabelColumns, notes: list[Note]
) -> Iterator[Row]:
    is_compressed = path.name.lower().endswith(".gz")
    with nullcontext(lines(path, LIMITS)) if is_compressed else path.open("rb") as found:
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
    return bool(row) and all(map(is_feature, row))


def _json_rows(
    path: Path, left_out: Counter[str], columns: LabelColumns, notes: list[Note]
) -> Iterator[Row]:
    with open_bytes(path) as file:
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
        yield from _line_rows(path, left_out, columns, notes)
        return
    yield from json_rows(document, left_out)


def _parquet_rows(
    path: Path, left_out: Counter[str], columns: LabelColumns, notes: list[Note]
) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        present = [name for name in names if columns.wanted(name)]
        has_feature = "feature" in {**columns_of(present), **columns.named}
        index = None if has_feature else _frame_index(file.schema_arrow.pandas_metadata)
        if isinstance(index, str) and index in names and index not in present:
            present.append(index)
        known = present if index is None else [*present, FRAME_INDEX]
        if not columns.are_in(known) and NESTED not in present:
            yield dict.fromkeys(names)  # what the message about them lists
            return
        numbers = iter(index) if isinstance(index, range) else None
        # Few rows at a time: a small file can repeat a long text very often.
        for batch in file.iter_batches(_ROWS, columns=present):
            for row in batch.to_pylist():
                if isinstance(index, str):
                    yield {FRAME_INDEX: row.get(index), **row}
                elif numbers is not None:
                    yield {FRAME_INDEX: next(numbers, None), **row}
                else:
                    yield row


def _frame_index(metadata: Any) -> str | range | None:
    """Return the column or the numbers that pandas says are a frame's index."""
    stored = metadata.get("index_columns") if isinstance(metadata, dict) else None
    if not isinstance(stored, list) or len(stored) != 1:
        return None
    if isinstance(stored[0], dict):
        start, stop, step = (stored[0].get(name) for name in ("start", "stop", "step"))
        if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int) and step:
            return range(start, stop, step)
        return None
    return stored[0] if isinstance(stored[0], str) else None


_READERS: dict[str, Callable[..., Iterator[Row]]] = {
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
