"""Tables of results as CSV or Parquet, whichever the file's name says."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from sfal.errors import InvalidInputError
from sfal.io.atomic import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".csv", ".parquet")


def check_table_name(path: Path) -> None:
    """Check, before any work, that a file's name says how to write it.

    Raises
    ------
    InvalidInputError
        If it ends in neither ``.csv`` nor ``.parquet``.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InvalidInputError(
            f"{path} is not the name of a table", hint="give a file that ends in .csv or .parquet"
        )


def write_table(table: "pa.Table", path: Path) -> None:
    """Write a table, atomically; in CSV a missing value and NaN are empty fields.

    Parameters
    ----------
    table : Table
        Columns of numbers and texts.
    path : Path
        Ends in ``.csv`` or ``.parquet``.

    Raises
    ------
    InvalidInputError
        If it ends in something else.
    ArtifactError
        If the file cannot be written.
    """
    check_table_name(path)
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        return
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows(
            ["" if value is None or value != value else value for value in row] for row in rows
        )
