"""Rows of a file of firings, as a reader hands them on, and what is refused in them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CorruptError, InvalidInputError, SfalError
from sfal.io.first_line import first_line

Integers = NDArray[np.int64]

FEATURE_LIMIT = 1 << 32
"""Features are stored as uint32."""


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a file."""

    first: int
    """Number of the first row, from 0."""
    document: Integers
    """Document of each row."""
    place: Integers
    """Position of its token in the document, or its window."""
    feature: Integers
    """Feature of each row."""
    activation: NDArray[Any] | None = None
    """Activation; None: every row fires."""
    numbers: Integers | None = None
    """Row of the file that each comes from, counted from `first`; None: one row each."""

    def number(self, index: int) -> int:
        """Return the number in the file of a row."""
        return self.first + (index if self.numbers is None else int(self.numbers[index]))


class Reader(Protocol):
    """A file of firings."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def facts(self) -> "Facts":
        """What the file says about the whole."""

    def rows(self, size: int) -> Iterator[Rows]:
        """Read the file in order, about `size` rows at a time."""


@dataclass(frozen=True)
class Facts:
    """What a file says about its documents and its SAE."""

    layout: str
    """``Parquet``, ``CSV``, ``npz`` or ``delphi``."""
    columns: tuple[str, ...]
    """Which of :data:`sfal.collect.imported.settings.ROLES` it has."""
    lists: bool = False
    """Whether its rows are whole windows with a list of features each."""
    lengths: Integers | None = None
    """Tokens of each document, special ones included."""
    tokens: "Tokens | None" = None
    """The tokens of its documents."""
    features: tuple[int, int] | None = None
    """First feature, and the one after the last, that it may hold."""
    document_length: int | None = None
    """Tokens of every document."""
    apart: tuple[str, ...] = field(default=(), compare=False)
    """Columns that are not read although they may tell several SAEs apart."""
    strengths: tuple[str, ...] = field(default=(), compare=False)
    """Columns that are not read although they may hold activations, of a file that has none."""

    @property
    def by_window(self) -> bool:
        """Whether rows name windows, not positions."""
        return "window" in self.columns


@dataclass(frozen=True)
class Tokens:
    """Token ids of documents of equal length, read when they are needed."""

    shape: tuple[int, int]
    """Documents, and tokens of each."""
    read: Callable[[int, int], NDArray[Any]]
    """Read the ids of the documents from a first one up to another."""


def whole_numbers(path: Path, first: int, values: NDArray[Any], role: str) -> Integers:
    """Return numbers as int64; whole floats are taken as integers.

    Raises
    ------
    InvalidInputError
        If one is not a whole number that fits, or they are not numbers.
    """
    kind = values.dtype.kind
    if kind == "i":
        return values.astype(np.int64, copy=False)
    if kind == "u":
        if values.dtype.itemsize == 8 and values.size and values.max() >= 1 << 63:
            row = first + int(values.argmax())
            raise InvalidInputError(f"{path}: row {row} has {role} {values.max()}")
        return values.astype(np.int64)
    if kind != "f":
        raise InvalidInputError(
            f"{path}: its {role} column is of type {values.dtype}, not of integers",
            hint="name another column with $columns",
        )
    wide = values.astype(np.float64, copy=False)
    good = (np.abs(wide) < 2.0**53) & (wide == np.floor(wide))
    if not good.all():
        row = int(good.argmin())
        raise InvalidInputError(
            f"{path}: row {first + row} has {role} {wide[row]}, which is not a whole number"
        )
    return wide.astype(np.int64)


def check_rows(path: Path, rows: Rows, n_features: int | None) -> NDArray[np.bool_] | None:
    """Return which rows fire; None if all do.

    Raises
    ------
    InvalidInputError
        If a number is negative or out of range, or an activation is NaN.
    """
    fires = None
    if rows.activation is not None:
        activation = rows.activation
        if activation.dtype.kind not in "fiu":
            raise InvalidInputError(
                f"{path}: its activations are of type {activation.dtype}, not numbers"
            )
        fires = activation > 0
        if activation.dtype.kind == "f" and not fires.all():
            nan = np.isnan(activation)
            if nan.any():
                raise InvalidInputError(
                    f"{path}: row {rows.number(int(nan.argmax()))} has activation NaN",
                    hint="remove such rows, or find out what went wrong where they were made",
                )
    what = "document", "position or window", "feature"
    for role, values in zip(what, (rows.document, rows.place, rows.feature), strict=True):
        if values.size and values.min() < 0:
            row = int(values.argmin())
            raise InvalidInputError(
                f"{path}: row {rows.number(row)} has {role} {values[row]}; it cannot be negative"
            )
    limit = FEATURE_LIMIT if n_features is None else n_features
    if rows.feature.size and rows.feature.max() >= limit:
        row = int(rows.feature.argmax())
        raise InvalidInputError(
            f"{path}: row {rows.number(row)} has feature {rows.feature[row]}, "
            f"but the SAE has {limit:,}, from 0",
            hint="" if n_features is None else "give the SAE's width with $n_features",
        )
    return None if fires is None or fires.all() else fires


@contextmanager
def reading(path: Path, kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn the errors of a library that reads a file into one line."""
    try:
        yield
    except SfalError:
        raise
    except Exception as e:
        if not isinstance(e, (*errors, OSError, EOFError, UnicodeDecodeError)):
            raise
        raise CorruptError(
            f"{path} cannot be read as {kind}: {first_line(e)}",
            hint="it is cut short, damaged or of another kind; make or copy it again",
        ) from e
