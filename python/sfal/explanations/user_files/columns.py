"""The columns of label files, under the names that people give them, and which rows apply."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from sfal.errors import InvalidInputError

Row = Mapping[str, Any]
"""One row of a label file, by column."""

_NAMES = {
    "feature": (
        "feature",
        "feature_id",
        "feature_index",
        "feature_idx",
        "latent",
        "latent_id",
        "latent_index",
        "latent_idx",
        "neuron",
        "index",
    ),
    "explanation": ("explanation", "description", "label", "interpretation"),
    "explainer": ("explainer", "explanationModelName", "explainer_model"),
    "type": ("type", "typeName"),
    "layer": ("layer", "hookpoint"),
}
"""Names of each column in our files, in Neuronpedia's and in those of others; the first that a
row has counts. ``index`` comes last, since pandas adds a column of that name."""

NESTED = "explanations"
"""Field of Neuronpedia's API records that holds a list of explanations."""

OTHER_LAYER = "of another layer"
OTHER_SOURCE_ID = "of another source of this model"

_LAYER = re.compile(r"(?<![A-Za-z0-9])(?:[Ll](?:ayers?)?[._ -]?)?([0-9]{1,4})(?![0-9])")
_SOURCE_ID = re.compile(r"[0-9]+-[A-Za-z].*")


def column_of(name: object) -> str | None:
    """Return the column that a name stands for, in any case, with or without separators."""
    return _COLUMNS.get(_plain(name)) if isinstance(name, str) else None


def value(row: Row, column: str) -> Any:
    """Return a column's value under the first of its names that the row has, or None."""
    key = _keys(tuple(row)).get(column)
    return None if key is None else row[key]


def has(row: Row, column: str) -> bool:
    """Return whether a row has a column under any of its names."""
    return column in _keys(tuple(row))


def wanted(name: str) -> bool:
    """Return whether a file's column is read at all."""
    return column_of(name) is not None or name == NESTED


def check_columns(row: Row, path: object) -> None:
    """Refuse a file without a feature or an explanation column.

    Raises
    ------
    InvalidInputError
        If one is missing; the message lists the columns of the file.
    """
    for column in ("feature", "explanation"):
        if not has(row, column) and not (column == "explanation" and NESTED in row):
            first, *_, last = _NAMES[column]
            shown = f"{first} or {last if column == 'feature' else _NAMES[column][1]}"
            raise InvalidInputError(
                f"{path} has no column {shown}; "
                f"it has {', '.join(str(name)[:40] for name in list(row)[:12])}"
            )


def unnested(row: Row) -> Iterator[Row]:
    """Yield a row, or each of the explanations that it holds as a list.

    Neuronpedia's API describes a feature with its explanations inside; each of
    them takes over what it does not state itself, such as the index.
    """
    inner = row.get(NESTED)
    if not isinstance(inner, list) or has(row, "explanation"):
        yield row
        return
    outer = {name: field for name, field in row.items() if name != NESTED}
    for item in inner or [{"explanation": None}]:
        yield {**outer, **(item if isinstance(item, dict) else {"explanation": item})}


def layer_number(field: object) -> int | None:
    """Return the layer that a field names, or None if it names none.

    Examples
    --------
    >>> [layer_number(x) for x in (3, "3", 3.0, "layers.3.mlp", "3-gemmascope-res-16k", "x")]
    [3, 3, 3, 3, 3, None]
    """
    if isinstance(field, bool):
        return None
    if isinstance(field, float):
        return int(field) if math.isfinite(field) and field == int(field) else None
    if isinstance(field, int):
        return field
    match = _LAYER.search(field) if isinstance(field, str) else None
    return None if match is None else int(match[1])


class LayerFilter:
    """Which rows of a file with a layer column are those of a source.

    Parameters
    ----------
    layer : int or None
        Layer of the source, if known.
    source_id : str or None
        Name of the source within its model, such as ``3-gemmascope-res-16k``,
        if it is on Neuronpedia.
    """

    def __init__(self, layer: int | None, source_id: str | None = None) -> None:
        self._layer = layer
        self._source_id = source_id
        self._seen: set[str] = set()

    def reason(self, row: Row) -> str | None:
        """Return why a row does not apply, or None if it does.

        Raises
        ------
        InvalidInputError
            If the rows are of several layers and that of the source is unknown.
        """
        field = value(row, "layer")
        if field is None or field == "" or (isinstance(field, float) and math.isnan(field)):
            return None
        if field == self._source_id:
            return None
        if isinstance(field, str) and self._source_id and _SOURCE_ID.fullmatch(field.strip()):
            return OTHER_SOURCE_ID
        number = layer_number(field)
        if self._layer is None:
            self._seen.add(str(field))
            if len(self._seen) > 1:
                raise InvalidInputError(
                    f"the labels are of several layers ({', '.join(sorted(self._seen))}), and the "
                    "layer of the source is unknown",
                    hint="count the source first, or give a file with the labels of one layer",
                )
            return None
        if number is None:
            return "layer is not a number"
        return None if number == self._layer else OTHER_LAYER


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_COLUMNS = {_plain(name): column for column, names in _NAMES.items() for name in names}


@lru_cache(maxsize=256)
def _keys(names: tuple[object, ...]) -> dict[str, str]:
    """Return the name in a row of each column that it has."""
    by_plain: dict[str, str] = {}
    for name in names:
        if isinstance(name, str):
            by_plain.setdefault(_plain(name), name)
    found: dict[str, str] = {}
    for column, accepted in _NAMES.items():
        for name in map(_plain, accepted):
            if name in by_plain:
                found[column] = by_plain[name]
                break
    return found
