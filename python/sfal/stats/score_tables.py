"""Columns of score tables, by feature."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import InvalidInputError
from sfal.io.arrow import to_numpy

if TYPE_CHECKING:
    import pyarrow as pa


def as_table(given: Any, what: str) -> "pa.Table":
    """Return a table of any kind as an Arrow table.

    Parameters
    ----------
    given : Table, RecordBatch, data frame, or mapping
        A data frame must export an Arrow stream, as those of pandas and polars do.
    what : str
        Its name in error messages.

    Raises
    ------
    InvalidInputError
        If it is none of these, or has no column ``feature``.
    """
    import pyarrow as pa

    try:
        if isinstance(given, pa.RecordBatch):
            table = pa.Table.from_batches([given])
        elif isinstance(given, Mapping):
            table = pa.table(dict(given))
        else:
            table = given if isinstance(given, pa.Table) else pa.table(given)
    except (TypeError, ValueError, pa.ArrowException) as e:
        raise InvalidInputError(f"{what} of type {type(given).__name__} is not a table") from e
    if "feature" not in table.column_names:
        raise InvalidInputError(
            f"{what} has no column feature; it has {', '.join(table.column_names[:12])}"
        )
    return table


def feature_column(table: "pa.Table", what: str) -> NDArray[np.int64]:
    """Return the features of a table.

    Returns
    -------
    features : ndarray of shape (n,), int64

    Raises
    ------
    InvalidInputError
        If they are not integers from 0.
    """
    import pyarrow as pa

    column = table.column("feature")
    if column.null_count or not pa.types.is_integer(column.type):
        raise InvalidInputError(f"{what}: column feature does not hold an integer in each row")
    features: NDArray[np.int64] = to_numpy(column).astype(np.int64)
    if len(features) and features.min() < 0:
        raise InvalidInputError(f"{what}: feature {features.min()} is below 0")
    return features


def numbers(table: "pa.Table", name: str, what: str) -> NDArray[np.float64]:
    """Return a column of numbers, NaN where it is missing.

    Returns
    -------
    values : ndarray of shape (n,), float64

    Raises
    ------
    InvalidInputError
        If there is no such column, or it does not hold finite numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in table.column_names:
        raise InvalidInputError(
            f"{what} has no column {name}; it has {', '.join(table.column_names)}"
        )
    column = table.column(name)
    if not is_number(column.type):
        raise InvalidInputError(f"{what}: column {name} holds {column.type}, not numbers")
    filled = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan"))
    values: NDArray[np.float64] = np.array(to_numpy(filled), dtype=np.float64)
    if np.isinf(values).any():
        raise InvalidInputError(f"{what}: column {name} holds an infinite number")
    return values


def is_number(kind: Any) -> bool:
    """Return whether an Arrow type is a number, or true and false."""
    import pyarrow as pa

    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def score_columns(
    table: "pa.Table", names: list[str], what: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return columns of scores, NaN unless a feature is scored.

    Parameters
    ----------
    table : Table
        Scores of one set of embeddings: a row for each feature.
    names : list of str
        Columns.
    what : str
        Its name in error messages.

    Returns
    -------
    features : ndarray of shape (n,), int64
    values : ndarray of shape (len(names), n), float64

    Raises
    ------
    InvalidInputError
        If a feature occurs twice, or a column is missing or does not hold finite numbers.
    """
    import pyarrow.compute as pc

    features = feature_column(table, what)
    if len(np.unique(features)) < len(features):
        raise InvalidInputError(
            f"{what} has several rows for a feature: it holds scores of {_sets(table)}; "
            "pass the rows of one"
        )
    values = np.array([numbers(table, name, what) for name in names])
    if "status" in table.column_names:
        scored = pc.fill_null(pc.equal(pc.cast(table.column("status"), "string"), "scored"), False)
        values[:, ~np.array(scored.to_pylist(), dtype=bool)] = np.nan
    return features, values.reshape(len(names), len(features))


def _sets(table: "pa.Table") -> str:
    columns = [name for name in ("embedding", "explainer") if name in table.column_names]
    if not columns:
        return "several sets of embeddings"
    found = {tuple(row.values()) for row in table.select(columns).to_pylist()}
    return " and ".join(sorted(" by ".join(map(str, one)) for one in found)[:4])
