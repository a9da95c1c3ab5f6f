"""The columns of label files, under the names that people give them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sfal.errors import InvalidInputError, Note
from sfal.sources.feature_names import FEATURE_NAMES, plain

Row = Mapping[str, Any]
"""One row of a label file, by column."""

FRAME_INDEX = "__index_level_0__"
"""Name that pandas gives to a frame's unnamed index in Parquet."""

_NAMES: dict[str, tuple[str, ...]] = {
    "feature": (
        *FEATURE_NAMES,
        "sae_index",
        "index",
        "idx",
        "id",
        "unit",
        "dimension",
        "dim",
        FRAME_INDEX,
        "Unnamed: 0",
    ),
    "explanation": (
        "explanation",
        "description",
        "label",
        "interpretation",
        *(
            f"{first}_{noun}"
            for noun in ("explanation", "description", "label", "interpretation", "summary", "text")
            for first in ("feature", "latent", "auto_interp", "autointerp", "short", "explanation")
        ),
        "summary",
        "text",
        "autointerp",
        "interp",
        "hypothesis",
        "concept",
        "meaning",
        "title",
        "caption",
        "annotation",
        "name",
    ),
    "explainer": ("explainer", "explanationModelName", "explainer_model"),
    "type": ("type", "typeName"),
    "layer": ("layer", "hookpoint"),
}
"""Names of each column in our files, in Neuronpedia's and in those of others.

The first that a row has counts. ``index``, ``id`` and the index of a pandas frame come last, since
they may number the rows.
"""

NESTED = "explanations"
"""Field of Neuronpedia's API records that holds a list of explanations."""


def column_of(name: object) -> str | None:
    """Return the column that a name stands for, in any case, with or without separators."""
    return _COLUMNS.get(plain(name)) if isinstance(name, str) else None


def columns_of(names: Iterable[object]) -> dict[str, str]:
    """Return which of a table's columns holds what: the first of the names that are known."""
    return dict(_keys(tuple(names)))


def key_of(row: Row, column: str) -> str | None:
    """Return the name under which a row has a column, or None."""
    return _keys(tuple(row)).get(column)


def is_vague(name: str) -> bool:
    """Return whether a feature column of that name may number the rows instead."""
    return plain(name) in _VAGUE


def value(row: Row, column: str) -> Any:
    """Return a column's value under the first of its names that the row has, or None."""
    key = key_of(row, column)
    return None if key is None else row[key]


def has(row: Row, column: str) -> bool:
    """Return whether a row has a column under any of its names."""
    return key_of(row, column) is not None


@dataclass(frozen=True)
class LabelColumns:
    """The columns that the user names; those that are None are found by their usual names."""

    feature: str | None = None
    """Column with the features."""
    label: str | None = None
    """Column with the explanations."""

    @property
    def named(self) -> dict[str, str]:
        """The named columns, by what they hold."""
        both = {"feature": self.feature, "explanation": self.label}
        return {column: name for column, name in both.items() if name is not None}

    def wanted(self, name: str) -> bool:
        """Return whether a file's column is read at all."""
        return column_of(name) is not None or name == NESTED or name in self.named.values()

    def are_in(self, names: Sequence[str]) -> bool:
        """Return whether a table has a feature column and an explanation column."""
        found = {**columns_of(names), **self.named}
        return all(found.get(column) in names for column in ("feature", "explanation"))

    def applied(self, row: Row) -> Row:
        """Return a row with the named columns under the usual names, and without their rivals."""
        if not self.named:
            return row
        rest = {name: field for name, field in row.items() if column_of(name) not in self.named}
        return {**rest, **{column: row.get(name) for column, name in self.named.items()}}

    def check(self, row: Row, path: object) -> None:
        """Refuse a file without a feature or an explanation column.

        Raises
        ------
        InvalidInputError
            If one is missing; the message lists the columns of the file.
        """
        for column, setting in (("feature", "feature_column"), ("explanation", "label_column")):
            name = self.named.get(column)
            nested = column == "explanation" and NESTED in row
            if name in row or (name is None and (has(row, column) or nested)):
                continue
            first, second, *_ = [n for n in _NAMES[column] if "_" not in n]
            there = ", ".join(str(name)[:40] or "one without a name" for name in list(row)[:12])
            raise InvalidInputError(
                f"{path} has no column {name or f'{first} or {second}'}; it has {there}",
                hint=f"name the column with the {column}s with ${setting}",
            )

    def notes(self, row: Row, path: object) -> Iterator[Note]:
        """Yield a note on each column of which a file has several, and on an index that is read."""
        for column, setting in (("feature", "feature_column"), ("explanation", "label_column")):
            chosen = key_of(row, column)
            if column in self.named or chosen is None:
                continue
            rivals = [
                str(name)
                for name in row
                if name != chosen and column_of(name) == column and not is_vague(str(name))
            ]
            if rivals and not is_vague(chosen):
                yield Note(
                    f"{path}: {column}s are taken from the column {chosen}, not from "
                    f"{', '.join(rivals[:6])}",
                    f"name another column with ${setting}",
                )
            if column_of(chosen) == "feature" and plain(chosen) in _FRAMES:
                yield Note(
                    f"{path}: features are taken from the table's index, since no column is named "
                    "like them",
                    f"name another column with ${setting}",
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


_VAGUE = frozenset(
    map(plain, ("index", "idx", "id", "unit", "dimension", "dim", FRAME_INDEX, "Unnamed: 0"))
)
"""Names of feature columns that may number the rows instead."""

_FRAMES = frozenset(map(plain, (FRAME_INDEX, "Unnamed: 0")))

_COLUMNS = {plain(name): column for column, names in _NAMES.items() for name in names}


@lru_cache(maxsize=256)
def _keys(names: tuple[object, ...]) -> dict[str, str]:
    """Return the name in a row of each column that it has."""
    by_plain: dict[str, str] = {}
    for name in names:
        if isinstance(name, str):
            by_plain.setdefault(plain(name), name)
    found: dict[str, str] = {}
    for column, accepted in _NAMES.items():
        for name in map(plain, accepted):
            if name in by_plain:
                found[column] = by_plain[name]
                break
    return found
