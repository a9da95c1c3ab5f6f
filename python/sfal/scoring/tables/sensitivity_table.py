"""``sensitivity.parquet``: how the scores of a run depend on choices."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfal.errors import CorruptError, MissingError
from sfal.io.atomic import atomic_path
from sfal.io.first_line import first_line
from sfal.store.layout import SENSITIVITY

if TYPE_CHECKING:
    import pyarrow as pa

_METADATA = b"sfal"
_MOST_ROWS = 10_000
_AGAIN = "remove it"


def write_sensitivity(run_folder: Path, table: "pa.Table", facts: Mapping[str, object]) -> Path:
    """Write the file into the folder of a run, atomically.

    Parameters
    ----------
    run_folder : Path
    table : Table
        A row for each measure, metric and length of the windows.
    facts : mapping
        Which labels were compared; anything that JSON can hold.

    Raises
    ------
    ArtifactError
        If it cannot be written.
    """
    import pyarrow.parquet as pq

    path = run_folder / SENSITIVITY
    text = json.dumps(dict(facts), ensure_ascii=False, sort_keys=True)
    with atomic_path(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({_METADATA: text.encode()}),
            temporary,
            compression="zstd",
            write_page_checksum=True,
        )
    return path


def read_sensitivity(run_folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Read the file.

    Returns
    -------
    rows : list of dict
        With the columns measure, metric, window, n_windows, n_scored and spearman.
    facts : dict
        Which labels were compared.

    Raises
    ------
    MissingError
        If there is none.
    CorruptError
        If it is damaged or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = run_folder / SENSITIVITY
    wanted = {
        "measure": pa.string(),
        "metric": pa.string(),
        "window": pa.int64(),
        "n_windows": pa.int64(),
        "n_scored": pa.int64(),
        "spearman": pa.float64(),
    }
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            kinds = {field.name: field.type for field in file.schema_arrow}
            if kinds != wanted or file.metadata.num_rows > _MOST_ROWS:
                raise CorruptError(f"{path} is not what this version writes", hint=_AGAIN)
            table = file.read()
        facts = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    except FileNotFoundError as e:
        raise MissingError(f"{path} does not exist") from e
    except (OSError, ValueError, pa.ArrowException) as e:
        raise CorruptError(f"{path} cannot be read ({first_line(e)})", hint=_AGAIN) from e
    return table.to_pylist(), facts if isinstance(facts, dict) else {}
