"""Rows of CSV and TSV files, with or without a header, whatever their delimiter."""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

from sfal.errors import Note
from sfal.explanations.user_files.columns import FRAME_INDEX, LabelColumns, Row
from sfal.explanations.user_files.layers import is_feature
from sfal.explanations.user_files.opened import open_text

_DELIMITERS = ",;\t|"
_DECLARED = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE)
"""A first line by which spreadsheets declare the delimiter."""
_NUMBER = re.compile(r"\s*[-+]?[0-9.,]+(?:[eE][-+]?[0-9]+)?\s*")


def delimited_rows(path: Path, columns: LabelColumns, notes: list[Note]) -> Iterator[Row]:
    """Yield the rows of a CSV or TSV file.

    A header names the columns. Its first name may be missing, as pandas writes a
    frame with its index. Without a header, two columns are the feature and the
    explanation, which a note says.

    Parameters
    ----------
    path : Path
        The file.
    columns : LabelColumns
        The columns that the user names.
    notes : list of Note
        Receives what the user should know.

    Raises
    ------
    csv.Error, ValueError, OSError
        If the content cannot be parsed.
    """
    with open_text(path, notes) as text:
        first = text.readline()
        declared = _DECLARED.fullmatch(first)
        if declared:
            first = text.readline()
        if first.count('"') % 2:
            raise csv.Error("the quotes of its header do not close")
        usual = "\t" if ".tsv" in path.suffixes[-2:] else ","
        delimiters = declared[1] if declared else _DELIMITERS
        for delimiter in delimiters:
            names = _names(first, delimiter)
            if columns.are_in(names):
                yield from _rows(text, names, delimiter)
                return
        for delimiter in delimiters:
            if _is_row(_cells(first, delimiter)) and not columns.named:
                notes.append(
                    Note(
                        f"{path} has no header: its first column is taken as the features, its "
                        "second as the explanations",
                        "write a first line with the names of the columns to say otherwise",
                    )
                )
                yield from _rows(chain([first], text), ("feature", "explanation"), delimiter)
                return
        # No header that can be used: the delimiter matters for the message about it only.
        by_columns = sorted(delimiters, key=lambda d: (-len(_cells(first, d)), d != usual))
        delimiter = by_columns[0]
        yield from _rows(text, _names(first, delimiter), delimiter)


def _rows(lines: TextIO | chain[str], names: Sequence[str], delimiter: str) -> Iterator[Row]:
    yield from csv.DictReader(lines, names, delimiter=delimiter)


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


def _names(line: str, delimiter: str) -> list[str]:
    """Return the names in a header; pandas leaves that of an index empty."""
    names = _cells(line, delimiter)
    if names == ["", "0"]:  # a series without a name
        return [FRAME_INDEX, "explanation"]
    return [FRAME_INDEX, *names[1:]] if len(names) > 1 and not names[0] else names


def _is_row(cells: Sequence[str]) -> bool:
    """Return whether a first line is a row of a feature and a text, not a header."""
    return len(cells) == 2 and is_feature(cells[0]) and not _NUMBER.fullmatch(cells[1] or "0")
