"""Votes in a table: a CSV or Parquet file, a data frame, or the verdicts exported by the report."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CorruptError, InvalidInputError, MissingError, Note
from sfal.io.first_line import first_line
from sfal.stats.score_tables import as_table, feature_column, is_number, numbers
from sfal.stats.votes.votes import Votes

if TYPE_CHECKING:
    import pyarrow as pa

VERDICTS = {"right": 1.0, "wrong": 0.0}
"""Scores of verdicts; an ``unsure`` one is no vote."""
_UNSURE = "unsure"
_RESERVED = frozenset({"feature", "index", "score", "verdict", "rater", "weight", "source"})
_TEXTS = frozenset({"rater", "source", "verdict"})
_GRACE_BYTES = 64 << 20
_MAX_RATIO = 1000
"""Bytes in memory per byte of a Parquet file, beyond the first 64 MiB."""
_MAX_BYTES = 1 << 30
"""Size of a file of votes from which on it is taken for something else."""


def read_table(path: Path) -> "pa.Table":
    """Read a CSV or Parquet file.

    In a CSV file an empty field is a missing value; a column of numbers is one whose every other field
    is a number.

    Raises
    ------
    MissingError
        If there is no such file.
    CorruptError
        If it cannot be parsed.
    """
    import pyarrow as pa

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidInputError(f"{path} is larger than 1 GiB, which no file of votes is")
        if path.name.lower().endswith(".parquet"):
            return _read_parquet(path)
        return _read_csv(path)
    except FileNotFoundError as e:
        raise MissingError(f"{path} does not exist") from e
    except (csv.Error, OSError, UnicodeDecodeError, pa.ArrowException) as e:
        raise CorruptError(f"{path} cannot be read: {first_line(e)}") from e


def votes_of(given: Any, what: str, *, source: str | None = None, rater: str = "") -> Votes:
    """Take votes from a table.

    Parameters
    ----------
    given : Table, data frame, or mapping
        Columns: feature (or index); score, or verdict (right, wrong or unsure); and optionally rater,
        weight, source. Further columns of numbers may serve as metrics.
    what : str
        What it is, for messages.
    source : str, optional
        Only rows of this source count, if the table has a column ``source``.
    rater : str
        Who voted, if the table has no column ``rater``.

    Returns
    -------
    Votes

    Raises
    ------
    InvalidInputError
        If a column is missing or holds something else, or a rater voted twice on a feature.
    """
    table = as_table(_with_feature(given), what)
    notes: list[Note] = []
    if source is not None and "source" in table.column_names:
        table = _of_source(table, source, what, notes)
    features = feature_column(table, what)
    scores = _scores(table, what)
    columns = {
        name: numbers(table, name, what)
        for name in table.column_names
        if name not in _RESERVED and is_number(table.column(name).type)
    }
    raters = tuple(rater for _ in features)
    if "rater" in table.column_names:
        raters = tuple("" if r is None else str(r) for r in table.column("rater").to_pylist())
    weights = np.ones(len(features))
    if "weight" in table.column_names:
        weights = np.nan_to_num(numbers(table, "weight", what), nan=1.0)
    voted = ~np.isnan(scores)
    if not voted.all():
        n = int((~voted).sum())
        notes.append(Note(f"{what}: {n:,} of {len(voted):,} rows hold no vote and are left out"))
    return Votes(
        features[voted],
        scores[voted],
        tuple(r for r, is_vote in zip(raters, voted, strict=True) if is_vote),
        weights[voted],
        {name: values[voted] for name, values in columns.items()},
        tuple(notes),
    )


def _with_feature(given: Any) -> Any:
    """Rename a column ``index``, as Neuronpedia's and the published tables call the feature."""
    import pyarrow as pa

    if isinstance(given, pa.Table) and "feature" not in given.column_names:
        return given.rename_columns(
            ["feature" if name == "index" else name for name in given.column_names]
        )
    return given


def _of_source(table: "pa.Table", source: str, what: str, notes: list[Note]) -> "pa.Table":
    found = table.column("source").to_pylist()
    mask = [one == source for one in found]
    if not any(mask):
        there = ", ".join(sorted({str(one) for one in found})[:4])
        raise InvalidInputError(f"{what} holds no votes on {source}; it holds votes on {there}")
    import pyarrow as pa

    if not all(mask):
        n = len(mask) - sum(mask)
        notes.append(Note(f"{what}: {n:,} votes on other sources are left out"))
    return table.filter(pa.array(mask))


def _scores(table: "pa.Table", what: str) -> NDArray[np.float64]:
    if "score" in table.column_names:
        return numbers(table, "score", what)
    if "verdict" not in table.column_names:
        raise InvalidInputError(
            f"{what} has no column score or verdict; it has {', '.join(table.column_names[:12])}"
        )
    verdicts = [str(v or "").strip().lower() for v in table.column("verdict").to_pylist()]
    strange = Counter(v for v in verdicts if v and v not in VERDICTS and v != _UNSURE)
    if strange:
        raise InvalidInputError(
            f"{what}: a verdict is {strange.most_common(1)[0][0][:40]!r}, not right, wrong or unsure"
        )
    return np.array([VERDICTS.get(v, np.nan) for v in verdicts], dtype=np.float64)


def _read_parquet(path: Path) -> "pa.Table":
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
    # Texts as dictionaries: a small file can repeat a long one very often.
    texts = [name for name in schema.names if name in _TEXTS]
    wanted = [
        name for name in schema.names if name in _RESERVED or is_number(schema.field(name).type)
    ]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        n_bytes = 8 * file.metadata.num_rows * max(1, len(wanted))
        if n_bytes > max(_GRACE_BYTES, _MAX_RATIO * path.stat().st_size):
            raise CorruptError(
                f"{path} claims {file.metadata.num_rows:,} rows, too many for its length"
            )
        return file.read(columns=wanted)


def _read_csv(path: Path) -> "pa.Table":
    import pyarrow as pa

    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, None)
        if not header:
            raise InvalidInputError(f"{path} is empty")
        header = [name.strip() for name in header]
        if len(set(header)) < len(header):
            raise InvalidInputError(f"{path} has two columns of the same name")
        columns: list[list[str]] = [[] for _ in header]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise CorruptError(
                    f"{path}, line {reader.line_num}: {len(row)} fields, "
                    f"where the first line has {len(header)}"
                )
            for column, value in zip(columns, row, strict=True):
                column.append(value.strip())
    return pa.table(
        {name: _typed(name, values, path) for name, values in zip(header, columns, strict=True)}
    )


def _typed(name: str, values: Sequence[str], path: Path) -> "pa.Array":
    import pyarrow as pa

    if name in ("feature", "index"):
        for at, value in enumerate(values):
            if not value.isdecimal() or len(value) > 10:
                raise InvalidInputError(
                    f"{path}: {name} of row {at + 1} is {value[:40]!r}, not a feature's index"
                )
        return pa.array([int(value) for value in values], pa.int64())
    if name not in _TEXTS:
        parsed = _numbers(values)
        if isinstance(parsed, list):
            return pa.array(parsed, pa.float64())
        if name in ("score", "weight"):
            raise InvalidInputError(
                f"{path}: {name} of row {parsed + 1} is {values[parsed][:40]!r}, not a number"
            )
    return pa.array([value or None for value in values], pa.string())


def _numbers(values: Sequence[str]) -> "list[float | None] | int":
    """Return numbers, None for an empty field; or the first row that is not one."""
    found: list[float | None] = []
    for at, value in enumerate(values):
        try:
            number = float(value) if value else None
        except ValueError:
            return at
        found.append(None if number is None or number != number else number)
    return found
