"""Tables of firings as text: CSV and its relatives, read a block at a time."""

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

from sfal.collect.imported.columns import Columns, choose_columns
from sfal.collect.imported.conversion import is_number
from sfal.collect.imported.rows import Facts, Rows, reading
from sfal.collect.imported.tables import refuse_nulls, table_rows
from sfal.errors import InvalidInputError

_BLOCK_BYTES = 8 << 20
"""Bytes of text that are parsed at once."""
_HEAD_BYTES = 1 << 16
"""Bytes in which the columns are looked at before the file is read."""
_SEPARATORS = ",;\t|"
_NULLS = ["", "NA", "N/A", "null", "NULL", "None"]
"""Texts that stand for a missing number; that of NaN is a number."""


@dataclass(frozen=True)
class _Head:
    """The beginning of a table."""

    encoding: str
    """``utf-8``, or ``utf-16``, which spreadsheets write."""
    separator: str
    """Character between fields."""
    names: list[str]
    """Names of the columns."""
    values: list[tuple[str, ...]]
    """First values of each column."""
    empty: bool
    """Whether no row follows the names."""

    def are_numbers(self, name: str) -> bool:
        """Return whether the first values of a column are numbers."""
        return all(is_number(value) for value in self._values(name))

    def is_plain(self, name: str) -> bool:
        """Return whether they are numbers as programs write them."""
        values = self._values(name)
        return self.are_numbers(name) and not any("," in v or v[:1].isalpha() for v in values)

    def _values(self, name: str) -> list[str]:
        index = self.names.index(name)
        values = self.values[index] if index < len(self.values) else ()
        return [value for value in values if value.strip() not in _NULLS]


@dataclass(frozen=True)
class CsvTable:
    """A file of firings separated by commas, semicolons, tabs or bars, plain or gzipped."""

    path: Path
    """The file."""
    named: Mapping[str, str]
    """Columns that the user named, by role."""

    @cached_property
    def _head(self) -> _Head:
        with reading(self.path, "CSV", ValueError, zlib.error), ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(self.path.open("rb"))
            if self.path.suffix.lower() == ".gz":
                file = cast(IO[bytes], stack.enter_context(gzip.open(file)))
            content = file.read(_HEAD_BYTES)
            wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            whole = len(content) < _HEAD_BYTES
            decoder = codecs.getincrementaldecoder("utf-16" if wide else "utf-8-sig")()
            lines = decoder.decode(content, final=whole).splitlines()
        if not whole and len(lines) > 1:
            lines.pop()  # it is cut off
        first = lines[0] if lines else ""
        separator = max(_SEPARATORS, key=first.count)
        with reading(self.path, "CSV", csv.Error):
            names, *rows = [*csv.reader(lines, delimiter=separator)] or [[]]
        names = [name.strip() for name in names]
        if lines and (not names or all(is_number(name) for name in names)):
            raise InvalidInputError(
                f"{self.path} has no header: its first line is {first[:60] or 'empty'}",
                hint="begin it with a line such as document,position,feature",
            )
        values = list(zip(*(row for row in rows if len(row) == len(names)), strict=True))
        return _Head("utf-16" if wide else "utf-8", separator, names, values, whole and not rows)

    @cached_property
    def _columns(self) -> Columns:
        head = self._head
        return choose_columns(self.path, head.names, dict(self.named), head.are_numbers)

    @cached_property
    def facts(self) -> Facts:
        """What the file says about the whole."""
        chosen = self._columns
        return Facts("CSV", tuple(chosen.found), apart=chosen.apart, strengths=chosen.strengths)

    def rows(self, size: int) -> Iterator[Rows]:
        """Read the file in order, a block of text at a time, at most `size` rows."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        head, found = self._head, self._columns.found
        if head.empty:
            return
        first = 0
        with reading(self.path, "CSV", pa.ArrowException, ValueError):
            packed = self.path.suffix.lower() == ".gz"
            stream = pa.input_stream(str(self.path), compression="gzip" if packed else None)
        with closing(stream):
            with reading(self.path, "CSV", pa.ArrowException, ValueError):
                batches = arrow_csv.open_csv(
                    stream,
                    arrow_csv.ReadOptions(
                        block_size=max(_BLOCK_BYTES // 8, min(_BLOCK_BYTES, 16 * size)),
                        column_names=head.names,
                        skip_rows=1,
                        encoding="utf8" if head.encoding == "utf-8" else head.encoding,
                    ),
                    arrow_csv.ParseOptions(delimiter=head.separator),
                    arrow_csv.ConvertOptions(
                        include_columns=list(found.values()),
                        column_types=self._types(),
                        null_values=_NULLS,
                        strings_can_be_null=True,
                    ),
                )
            with closing(batches):
                while True:
                    with reading(self.path, "CSV", pa.ArrowException, ValueError):
                        batch = next(iter(batches), None)
                    if batch is None:
                        return
                    columns = {role: batch[name] for role, name in found.items()}
                    for role, column in columns.items():
                        refuse_nulls(self.path, first, column, role)
                    if batch.num_rows:
                        yield table_rows(self.path, first, columns, lists=False)
                    first += batch.num_rows

    def _types(self) -> dict[str, Any]:
        """Return types for columns that would be inferred from the first block, which may mislead."""
        import pyarrow as pa

        types = {}
        for role, name in self._columns.found.items():
            if not self._head.is_plain(name):
                types[name] = pa.string()
            elif role == "activation":
                types[name] = pa.float64()  # the first ones may all be whole
        return types
