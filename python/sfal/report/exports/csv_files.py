"""Features and neighbours as CSV, safe to open in a spreadsheet."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sfal.io.atomic import atomic_path
from sfal.report.exports.exported import Exported, labelled
from sfal.report.lists import Lists

FEATURES, NEIGHBOURS = "features.csv", "neighbours.csv"

# A spreadsheet would run a cell that begins like a formula.
_FORMULA = re.compile(r"[=+\-@\t\r]")

_NEIGHBOUR_COLUMNS = (
    "feature",
    "label",
    "list",
    "place",
    "neighbour",
    "neighbour_label",
    "similarity",
    "place_in_other_list",
)


def write_csv(exported: Exported, folder: Path, neighbours: int) -> None:
    """Write ``features.csv`` and ``neighbours.csv``, both or neither.

    Texts that begin with ``=``, ``+``, ``-`` or ``@`` get an apostrophe before them, which
    spreadsheets do not show; numbers stay as they are. Missing values are empty cells.

    Parameters
    ----------
    exported : Exported
    folder : Path
        Folder of the files, which appear whole or not at all.
    neighbours : int
        Neighbours of each list.
    """
    with ExitStack() as stack:
        features = stack.enter_context(atomic_path(folder / FEATURES))
        lists = stack.enter_context(atomic_path(folder / NEIGHBOURS))
        table = labelled(exported, "label")
        columns = (column.to_pylist() for column in table.columns)
        _write(features, table.column_names, zip(*columns, strict=True))
        _write(lists, _NEIGHBOUR_COLUMNS, _neighbours(exported, neighbours))


def _neighbours(exported: Exported, neighbours: int) -> Iterator[tuple[Any, ...]]:
    listed = exported.lists
    both = (
        ("functional", listed.functional, listed.functional_place),
        ("semantic", listed.semantic, listed.semantic_place),
    )
    for feature, label in enumerate(exported.labels):
        for name, lists, places in both:
            for place, (other, value) in enumerate(_row(lists, feature, neighbours)):
                yield (
                    feature,
                    label,
                    name,
                    place + 1,
                    other,
                    exported.labels[other],
                    value,
                    int(places[feature, place]) or None,
                )


def _row(lists: Lists, feature: int, neighbours: int) -> Iterator[tuple[int, float]]:
    n = min(int(lists.n[feature]), neighbours)
    return zip(lists.feature[feature, :n].tolist(), lists.value[feature, :n].tolist(), strict=True)


def _write(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    if value is None or value != value:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        # Programs that read C strings would stop at a NUL, and some refuse it.
        text = value.replace("\x00", "\ufffd")
        return f"'{text}" if _FORMULA.match(text) else text
    return value
