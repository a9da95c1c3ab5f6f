"""Tables of firings in Parquet, read a piece at a time, and what a piece of any table holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.collect.imported.columns import Columns, choose_columns
from sfal.collect.imported.conversion import as_integers, as_numbers, holds_numbers, is_list
from sfal.collect.imported.rows import Facts, Rows, reading
from sfal.errors import InvalidInputError
from sfal.io.arrow import to_numpy

_SAMPLE = 1000
"""Rows of a column of text that are looked at to see whether it holds numbers."""


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file of firings, or of windows with a list of features each."""

    path: Path
    """The file."""
    named: Mapping[str, str]
    """Columns that the user named, by role."""

    @cached_property
    def _found(self) -> tuple[Columns, Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with reading(self.path, "Parquet", pa.ArrowException):
            schema = pq.read_schema(self.path)

        def numeric(name: str) -> bool:
            kind = schema.field(name).type
            return holds_numbers(kind, self._sample(name))

        return choose_columns(self.path, schema.names, dict(self.named), numeric), schema

    def _sample(self, column: str) -> Iterator[object]:
        """Yield the first values of a column; nothing is read before it is asked for one."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with reading(self.path, "Parquet", pa.ArrowException), pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=_SAMPLE, columns=[column]):
                yield from batch.column(0).to_pylist()
                return

    @cached_property
    def facts(self) -> Facts:
        """What the file says about the whole."""
        chosen, schema = self._found
        found = chosen.found
        lists = [role for role, name in found.items() if is_list(schema.field(name).type)]
        if lists and (lists[0] != "feature" or ("activation" in found) != ("activation" in lists)):
            raise InvalidInputError(
                f"{self.path}: {' and '.join(found[role] for role in lists)} hold lists; lists "
                "of features go with lists of activations or with none"
            )
        return Facts(
            "Parquet",
            tuple(found),
            bool(lists),
            apart=chosen.apart,
            strengths=chosen.strengths,
        )

    def rows(self, size: int) -> Iterator[Rows]:
        """Read the file in order, about `size` rows at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        found = self._found[0].found
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
                        refuse_nulls(self.path, first, column, role)
                if batch.num_rows:
                    yield table_rows(self.path, first, columns, lists=self.facts.lists)
                first += batch.num_rows


def table_rows(path: Path, first: int, columns: dict[str, Any], *, lists: bool) -> Rows:
    """Return a batch of a table as rows; of a list each entry becomes a row."""
    place = "window" if "window" in columns else "position"
    documents = as_integers(path, first, columns["document"], "document")
    places = as_integers(path, first, columns[place], place)
    if not lists:
        activation = columns.get("activation")
        return Rows(
            first,
            documents,
            places,
            as_integers(path, first, columns["feature"], "feature"),
            None if activation is None else as_numbers(path, first, activation, "activation"),
        )
    lengths, features = _entries(columns["feature"])
    refuse_nulls(path, first, features, "feature")
    # An empty list still names a window: it becomes a row that does not fire.
    numbers = np.repeat(np.arange(len(documents)), np.maximum(lengths, 1))
    listed = np.repeat(lengths > 0, np.maximum(lengths, 1))
    flat = np.zeros(len(numbers), np.int64)
    flat[listed] = as_integers(path, first, features, "feature")
    activation = None if listed.all() else listed.astype(np.int8)
    if "activation" in columns:
        same, strengths = _entries(columns["activation"])
        if not np.array_equal(same, lengths):
            row = first + int((same != lengths).argmax())
            raise InvalidInputError(f"{path}: row {row} has more features or more activations")
        refuse_nulls(path, first, strengths, "activation")
        activation = np.zeros(len(numbers), np.float64)
        activation[listed] = as_numbers(path, first, strengths, "activation")
    return Rows(first, documents[numbers], places[numbers], flat, activation, numbers)


def _entries(column: Any) -> tuple[NDArray[np.int64], Any]:
    """Return how long the lists of a column are, and what they hold."""
    import pyarrow.compute as pc

    return to_numpy(pc.list_value_length(column)).astype(np.int64), column.flatten()


def refuse_nulls(path: Path, first: int, column: Any, role: str) -> None:
    """Refuse a column with a missing value; the message names the row."""
    if column.null_count:
        import pyarrow.compute as pc

        row = first + int(pc.index(column.is_null(), True).as_py())
        raise InvalidInputError(
            f"{path}: row {row} has no {role}", hint="remove rows with missing values"
        )
