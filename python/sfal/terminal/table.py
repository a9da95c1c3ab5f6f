"""Tables in a terminal: columns aligned by what is displayed, cut with ``…`` where they must be."""

import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

ELLIPSIS = "…"

_NARROWEST = 8
"""Width below which no column is cut: nothing of use would be left."""


@dataclass(frozen=True)
class Column:
    """How one column of a table is shown."""

    title: str = ""
    """Its heading; a table without any heading has no row of headings."""
    align: Literal["left", "right"] = "left"
    """Where its cells are aligned; numbers on the right."""
    shrinks: bool = False
    """Whether its cells may be cut where the table is wider than it may be."""


def terminal_width(fallback: int = 120) -> int:
    """Return the columns of the terminal, or of ``$COLUMNS``; elsewhere `fallback`."""
    return shutil.get_terminal_size((fallback, 24)).columns


def display_width(text: str) -> int:
    """Return the columns that a text takes in a terminal.

    Wide and full-width characters of East Asian scripts take two, combining
    marks none.

    Examples
    --------
    >>> [display_width(text) for text in ("naïve", "nai\\u0308ve", "語学")]
    [5, 5, 4]
    """
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def one_line(text: str) -> str:
    """Put a text on one line: whatever does not print, line breaks included, becomes a space.

    Examples
    --------
    >>> one_line("  red,\\n green \\x1b[31m")
    'red, green [31m'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def cut(text: str, width: int) -> str:
    """Cut a text to a number of columns, with ``…`` in the place of what is left out.

    Examples
    --------
    >>> [cut("neighbours", width) for width in (10, 6)]
    ['neighbours', 'neigh…']
    """
    if display_width(text) <= width:
        return text
    room = width - 1
    kept = 0
    for character in text:
        room -= _character_width(character)
        if room < 0:
            break
        kept += 1
    return text[:kept].rstrip() + ELLIPSIS


def pad(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """Fill a text with spaces up to a number of columns."""
    space = " " * (width - display_width(text))
    return space + text if align == "right" else text + space


def figure(value: float, form: str) -> str:
    """Format a number, ``-`` for NaN.

    Examples
    --------
    >>> figure(0.5, ".1%"), figure(float("nan"), ".1%")
    ('50.0%', '-')
    """
    return "-" if value != value else format(value, form)


def render_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    indent: str = "",
    separator: str = "  ",
) -> list[str]:
    """Lay out a table, one line per row.

    Parameters
    ----------
    columns : sequence of Column
        From left to right.
    rows : iterable of sequence of str
        One cell for each column.
    width : int, optional
        Columns of the terminal that the table may take: cells of columns that
        shrink are cut. By default nothing is cut, so that names can be copied.
    indent, separator : str
        What precedes each line, and what stands between two cells.

    Returns
    -------
    lines : list of str
        Headings first, if there are any; without spaces at the end.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    if any(column.title for column in columns):
        cells.insert(0, [column.title for column in columns])
    widths = [max((display_width(row[i]) for row in cells), default=0) for i in range(len(columns))]
    if width is not None:
        taken = len(indent) + len(separator) * (len(columns) - 1)
        _shrink(widths, [i for i, c in enumerate(columns) if c.shrinks], width - taken)
    return [
        indent
        + separator.join(
            pad(cut(cell, n), n, column.align)
            for cell, n, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in cells
    ]


def _shrink(widths: list[int], shrinking: Sequence[int], room: int) -> None:
    """Take from the widest columns that shrink until all fit, in place."""
    for _ in range(max(0, sum(widths) - room)):
        widest = max(shrinking, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def side_by_side(
    left: Sequence[str], right: Sequence[str], width: int, separator: str = " | "
) -> list[str]:
    """Join lines in pairs, the left ones filled up to `width` columns."""
    return [
        f"{pad(a, width)}{separator}{b}".rstrip() for a, b in zip_longest(left, right, fillvalue="")
    ]
