"""Tables of firings: Parquet and CSV, read a piece at a time."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from sfal.collect.imported.rows import (
    Facts,
    Rows,
    choose_columns,
    reading,
    telling_apart,
    whole_numbers,
)
from sfal.errors import InvalidInputError
from sfal.io.arrow import to_numpy

_BLOCK_BYTES = 8 << 20
"""Bytes of CSV that are parsed at once."""
_HEADER_BYTES = 1 << 16
_NULLS = ["", "NA", "N/A", "null", "NULL", "None"]
"""Texts that stand for a missing number; that of NaN is a number."""


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file of firings, or of windows with a list of features each."""

    path: Path
    """The file."""
    named: Mapping[str, str]
    """Columns that the user named, by role."""

    @cached_property
    def _found(self) -> tuple[dict[str, str], list[str], Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with reading(self.path, "Parquet", pa.ArrowException):
            schema = pq.read_schema(self.path)
        return choose_columns(self.path, schema.names, dict(self.named)), schema.names, schema

    @cached_property
    def facts(self) -> Facts:
        """What the file says about the whole."""
        import pyarrow.types as types

        found, there, schema = self._found
        lists = [
            role
            for role, name in found.items()
            if types.is_list(schema.field(name).type)
            or types.is_large_list(schema.field(name).type)
            or types.is_fixed_size_list(schema.field(name).type)
        ]
        if lists and (lists[0] != "feature" or ("activation" in found) != ("activation" in lists)):
            raise InvalidInputError(
                f"{self.path}: {' and '.join(found[role] for role in lists)} hold lists; lists "
                "of features go with lists of activations or with none"
            )
        return Facts("Parquet", tuple(found), bool(lists), unused=telling_apart(there, found))

    def rows(self, size: int) -> Iterator[Rows]:
        """Read the file in order, about `size` rows at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        found = self._found[0]
        first = 0
        with reading(self.path, "Parquet", pa.ArrowException):
            # Without a buffer for whole columns, a row group may be larger than the memory.
            file = pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20)
        with file:
            rows = size if not self.facts.lists else max(1, size // 256)
            batches = file.iter_batches(batch_size=rows, columns=list(found.values()))
            while True:
                with reading(self.path, "Parquet", pa.ArrowException):
                    batch = next(batches, None)
                    if batch is None:
                        return
                    columns = {role: batch[name] for role, name in found.items()}
                    for role, column in columns.items():
                        _refuse_nulls(self.path, first, column, role)
                if batch.num_rows:
                    yield _table_rows(self.path, first, columns, lists=self.facts.lists)
                first += batch.num_rows


@dataclass(frozen=True)
class CsvTable:
    """A file of comma-, semicolon- or tab-separated firings, plain or gzipped."""

    path: Path
    """The file."""
    named: Mapping[str, str]
    """Columns that the user named, by role."""

    @cached_property
    def _found(self) -> tuple[dict[str, str], list[str], str]:
        with reading(self.path, "CSV", ValueError, zlib.error), ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(self.path.open("rb"))
            if self.path.suffix == ".gz":
                file = cast(IO[bytes], stack.enter_context(gzip.open(file)))
            line = file.readline(_HEADER_BYTES).decode("utf-8-sig").rstrip("\r\n")
        separator = max(",;\t", key=line.count)
        there = [name.strip().strip('"') for name in line.split(separator)] if line else []
        if there and all(_is_number(name) for name in there):
            raise InvalidInputError(
                f"{self.path} has no header: its first line is {line[:60]}",
                hint="begin it with a line such as document,position,feature",
            )
        return choose_columns(self.path, there, dict(self.named)), there, separator

    @cached_property
    def facts(self) -> Facts:
        """What the file says about the whole."""
        found, there, _ = self._found
        return Facts("CSV", tuple(found), unused=telling_apart(there, found))

    def rows(self, size: int) -> Iterator[Rows]:
        """Read the file in order, a block of text at a time, at most `size` rows."""
        import pyarrow as pa
        from pyarrow import csv

        found, there, separator = self._found
        first = 0
        with reading(self.path, "CSV", pa.ArrowException, ValueError):
            stream = pa.input_stream(
                str(self.path), compression="gzip" if self.path.suffix == ".gz" else None
            )
        with closing(stream):
            with reading(self.path, "CSV", pa.ArrowException, ValueError):
                batches = csv.open_csv(
                    stream,
                    csv.ReadOptions(
                        block_size=max(_BLOCK_BYTES // 8, min(_BLOCK_BYTES, 16 * size)),
                        column_names=there,
                        skip_rows=1,
                    ),
                    csv.ParseOptions(delimiter=separator),
                    csv.ConvertOptions(include_columns=list(found.values()), null_values=_NULLS),
                )
            with closing(batches):
                while True:
                    with reading(self.path, "CSV", pa.ArrowException, ValueError):
                        batch = next(iter(batches), None)
                    if batch is None:
                        return
                    columns = {role: batch[name] for role, name in found.items()}
                    for role, column in columns.items():
                        _refuse_nulls(self.path, first, column, role)
                    if batch.num_rows:
                        yield _table_rows(self.path, first, columns, lists=False)
                    first += batch.num_rows


def _table_rows(path: Path, first: int, columns: dict[str, Any], *, lists: bool) -> Rows:
    """Return a batch of a table as rows; of a list each entry becomes a row."""
    place = "window" if "window" in columns else "position"
    documents = _integers(path, first, columns["document"], "document")
    places = _integers(path, first, columns[place], place)
    if not lists:
        activation = columns.get("activation")
        return Rows(
            first,
            documents,
            places,
            _integers(path, first, columns["feature"], "feature"),
            None if activation is None else _numbers(path, activation, "activation"),
        )
    lengths, features = _entries(columns["feature"])
    _refuse_nulls(path, first, features, "feature")
    # An empty list still names a window: it becomes a row that does not fire.
    numbers = np.repeat(np.arange(len(documents)), np.maximum(lengths, 1))
    listed = np.repeat(lengths > 0, np.maximum(lengths, 1))
    flat = np.zeros(len(numbers), np.int64)
    flat[listed] = _integers(path, first, features, "feature")
    activation = None if listed.all() else listed.astype(np.int8)
    if "activation" in columns:
        same, strengths = _entries(columns["activation"])
        if not np.array_equal(same, lengths):
            row = first + int((same != lengths).argmax())
            raise InvalidInputError(f"{path}: row {row} has more features or more activations")
        _refuse_nulls(path, first, strengths, "activation")
        activation = np.zeros(len(numbers), np.float64)
        activation[listed] = _numbers(path, strengths, "activation")
    return Rows(first, documents[numbers], places[numbers], flat, activation, numbers)


def _entries(column: Any) -> tuple[NDArray[np.int64], Any]:
    """Return how long the lists of a column are, and what they hold."""
    import pyarrow.compute as pc

    return to_numpy(pc.list_value_length(column)).astype(np.int64), column.flatten()


def _integers(path: Path, first: int, column: Any, role: str) -> NDArray[np.int64]:
    return whole_numbers(path, first, _numbers(path, column, role), role)


def _numbers(path: Path, column: Any, role: str) -> NDArray[Any]:
    import pyarrow.types as types

    if types.is_integer(column.type) or types.is_floating(column.type):
        return to_numpy(column)
    raise InvalidInputError(
        f"{path}: its {role} column holds {column.type}, not numbers",
        hint="name another column with $columns",
    )


def _refuse_nulls(path: Path, first: int, column: Any, role: str) -> None:
    if column.null_count:
        import pyarrow.compute as pc

        row = first + int(pc.index(column.is_null(), True).as_py())
        raise InvalidInputError(
            f"{path}: row {row} has no {role}", hint="remove rows with missing values"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
