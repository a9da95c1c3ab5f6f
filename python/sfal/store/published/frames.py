"""Pickled pandas frames, read as data: pandas is not used, nothing is imported or called.

Frames of numbers and text are read as pandas 1.5 to 3.1 pickle them, in protocols 2
to 5, with text kept by Python or by pyarrow. Anything else in a file is refused by name.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfal.errors import ArtifactError, CorruptError, MissingError
from sfal.store.published import frame_texts as ft
from sfal.store.published import frame_values as fv
from sfal.store.published.pickle_machine import Machine
from sfal.store.published.pickle_records import Built, CutShort, Dict, List, Refused, Tuple

_FRAME = ("pandas.DataFrame", "pandas.core.frame.DataFrame")
_MANAGER = ("pandas.core.internals.managers.BlockManager",)
_BLOCK = ("pandas._libs.internals._unpickle_block",)
_NEW_INDEX = ("pandas.core.indexes.base._new_Index",)
_INDEX = (
    "pandas.Index",
    "pandas.RangeIndex",
    "pandas.core.indexes.base.Index",
    "pandas.core.indexes.range.RangeIndex",
    "pandas.core.indexes.numeric.Int64Index",
    "pandas.core.indexes.numeric.UInt64Index",
    "pandas.core.indexes.numeric.Float64Index",
)
_SLICE = ("builtins.slice", "__builtin__.slice")

NAMES = (
    fv.NAMES | ft.NAMES | frozenset((*_FRAME, *_MANAGER, *_BLOCK, *_NEW_INDEX, *_INDEX, *_SLICE))
)
"""Every global that a frame may refer to."""


@dataclass(frozen=True)
class Frame:
    """The columns of a pickled frame, each read on request."""

    path: Path
    """The file, for messages."""
    n_rows: int
    """Rows of every column."""
    _columns: dict[str, Any]
    _size: int

    @property
    def names(self) -> list[str]:
        """Return the names of the columns, in order."""
        return list(self._columns)

    def values(self, name: str) -> list[Any]:
        """Read a column of plain values: text, numbers, None where missing.

        A cell that holds a list gives a list of plain values.

        Raises
        ------
        ArtifactError
            If there is no such column, or a cell holds anything else.
        """
        with _named(self.path, f"column {name!r}"):
            column = self._column(name)
            if isinstance(column, np.ndarray):
                return [fv.scalar(v) for v in column.tolist()]
            return [fv.plain(v) for v in column]

    def integers(self, name: str) -> npt.NDArray[np.int64]:
        """Read a column of whole numbers, given as numbers or as text.

        Raises
        ------
        ArtifactError
            If there is no such column, or a cell is not a whole number below 2^53.
        """
        with _named(self.path, f"column {name!r}"):
            column = self._column(name)
            if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
                if column.size and int(column.max()) > 1 << 53:
                    raise Refused("a number beyond 2^53")
                return column.astype(np.int64)
            values = column.tolist() if isinstance(column, np.ndarray) else column
            return np.array([_whole(fv.scalar(v)) for v in values], dtype=np.int64)

    def vectors(
        self, name: str, rows: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.float32]:
        """Read a column of vectors, lists of floats or arrays, as one matrix.

        Parameters
        ----------
        name : str
            Name of the column.
        rows : ndarray of shape (self.n_rows,), int64, optional
            Row of the matrix for each vector, a permutation; default: the order of the frame.

        Returns
        -------
        matrix : ndarray of shape (self.n_rows, dimension), float32

        Raises
        ------
        ArtifactError
            If a cell is not a vector, or their lengths differ.
        """
        with _named(self.path, f"column {name!r}"):
            column = self._column(name)
            if isinstance(column, np.ndarray):
                raise Refused("numbers instead of vectors")
            if self.n_rows == 0:
                return np.zeros((0, 0), dtype=np.float32)
            width = sum(len(piece) for piece in fv.vector_pieces(column[0]))
            # A few shared objects must not multiply beyond what the file can hold.
            if self.n_rows * width * 4 > max(1 << 26, 4 * self._size):
                raise Refused(f"{self.n_rows:,} vectors of {width:,} in {self._size:,} bytes")
            matrix = np.empty((self.n_rows, width), np.float32)
            targets = range(self.n_rows) if rows is None else rows.tolist()
            with np.errstate(over="ignore"):  # beyond float32: infinite, which scoring refuses
                for i, (target, cell) in enumerate(zip(targets, column, strict=True)):
                    _fill(matrix[target], cell, i)
            return matrix

    def _column(self, name: str) -> Any:
        if name not in self._columns:
            raise Refused(f"not there; the columns are {', '.join(self._columns)}")
        return self._columns[name]


def read_frame(path: Path) -> Frame:
    """Read a pickled pandas frame without running anything in it.

    Parameters
    ----------
    path : Path
        A ``.pkl`` file as ``DataFrame.to_pickle`` writes it, uncompressed.

    Raises
    ------
    ArtifactError
        If the file cannot be read, or holds anything but a frame of numbers
        and text; the message names the file and the object.
    MissingError
        If there is no such file.
    CorruptError
        If the file is empty or cut short.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as e:
        raise CorruptError(f"{path} is empty") from e
    except FileNotFoundError as e:
        raise MissingError(f"cannot read {path}: {e.strerror}") from e
    except OSError as e:
        raise ArtifactError(f"cannot read {path}: {e.strerror}") from e
    with _named(path):
        return _frame(path, Machine(data, NAMES).run(), len(data))


class _named:  # noqa: N801 - a context manager, used like a function
    """Turn a refusal inside the block into an error that names the file."""

    def __init__(self, path: Path, what: str = "") -> None:
        self._prefix = f"{path}: {what}: " if what else f"{path}: "

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, CutShort):
            raise CorruptError(f"{self._prefix}{error}; the file is cut short") from error
        if isinstance(error, Refused):
            raise ArtifactError(
                f"{self._prefix}{error}; only pickled pandas frames of numbers and text are read"
            ) from error


def _frame(path: Path, value: Any, size: int) -> Frame:
    if type(value) is not Built or value.callee not in _FRAME or type(value.state) is not Dict:
        raise Refused("it is not a pandas frame")
    manager = value.state.get("_mgr")
    if type(manager) is not Built or manager.callee not in _MANAGER or len(manager.args) < 2:
        raise Refused("a frame without its blocks")
    blocks, axes = manager.args[0], manager.args[1]
    if type(blocks) is not Tuple or type(axes) is not List or len(axes.values) != 2:
        raise Refused("a frame without its blocks and two axes")
    names = _labels(axes.values[0])
    columns: list[Any] = [None] * len(names)
    filled = 0
    n_rows = -1
    for block in blocks.values:
        for position, column in _block_columns(block, len(names)):
            if n_rows not in (-1, len(column)):
                raise Refused("columns of different lengths")
            if columns[position] is not None:
                raise Refused("two columns in one place")
            n_rows = len(column)
            columns[position] = column
            filled += 1
    if filled != len(names):
        raise Refused("a frame with column names but without all columns")
    return Frame(path, max(n_rows, 0), dict(zip(names, columns, strict=True)), size)


def _labels(value: Any) -> list[str]:
    if type(value) is not Built or value.callee not in _NEW_INDEX or len(value.args) != 2:
        raise Refused("expected column names")
    data: Any = value.args[1].get("data") if type(value.args[1]) is Dict else None
    found: list[Any]
    if ft.is_text_array(data):
        found = list(ft.texts(data))
    else:
        content = fv.array(data)
        if not isinstance(content, fv.Objects):
            raise Refused("columns without names")
        found = content.values
    names = [name for name in found if type(name) is str]
    if len(names) != len(found) or len(set(names)) != len(names):
        raise Refused("column names that are not text, or not all different")
    return names


def _block_columns(block: Any, n_columns: int) -> list[tuple[int, Any]]:
    """Return the columns of one block, each with its position in the frame."""
    if type(block) is not Built or block.callee not in _BLOCK or len(block.args) != 3:
        raise Refused("expected a block of columns")
    values, placement, _ndim = block.args
    places = _places(placement, n_columns)
    if ft.is_text_array(values):
        if len(places) != 1:
            raise Refused("an array of text in several columns")
        return [(places[0], ft.texts(values))]
    content = fv.array(values)
    if len(content.shape) != 2 or content.shape[0] != len(places):
        raise Refused(f"a block of shape {content.shape} for {len(places)} columns")
    if isinstance(content, fv.Objects):
        n = content.shape[1]
        rows: list[Any] = [content.values[i * n : (i + 1) * n] for i in range(len(places))]
    else:
        rows = list(content)
    return list(zip(places, rows, strict=True))


def _places(value: Any, n_columns: int) -> list[int]:
    if type(value) is Built and value.callee in _SLICE and len(value.args) == 3:
        parts = value.args
        if not all(part is None or type(part) is int for part in parts) or parts[2] == 0:
            raise Refused("columns placed by a slice of something other than integers")
        return list(range(n_columns))[slice(*parts)]
    content = fv.array(value)
    if isinstance(content, fv.Objects) or content.ndim != 1 or content.dtype.kind not in "iu":
        raise Refused("columns placed by something other than integers")
    places: list[int] = content.tolist()
    if any(not 0 <= place < n_columns for place in places):
        raise Refused("a column placed outside the frame")
    return places


def _whole(value: Any) -> int:
    if type(value) is str and len(value) <= 16:
        text = value.strip()
        if text.isascii() and text.isdecimal():
            return int(text)
    if type(value) is float and value.is_integer() and abs(value) <= 1 << 53:
        return int(value)
    if type(value) is int and abs(value) <= 1 << 53:
        return value
    raise Refused(f"{str(value)[:20]!r} instead of a whole number")


def _fill(row: npt.NDArray[np.float32], cell: Any, i: int) -> None:
    start = 0
    for piece in fv.vector_pieces(cell):
        stop = start + len(piece)
        if stop > len(row):
            break
        row[start:stop] = piece
        start = stop
    else:
        if start == len(row):
            return
    raise Refused(f"the vector of row {i} differs in length from that of row 0")
