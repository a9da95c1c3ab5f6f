"""``replicates.parquet``: the scores of halves of the documents, beside those of all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CorruptError
from sfal.io.arrow import from_numpy, to_numpy
from sfal.io.atomic import atomic_path
from sfal.store.layout import REPLICATES

N_HALVES = 16
"""Both halves of eight splits."""


def write_replicates(run_folder: Path, sets: Sequence[NDArray[np.float64]]) -> Path:
    """Write the scores of halves of the documents, atomically.

    Parameters
    ----------
    run_folder : Path
        Folder of a source, or of a further run.
    sets : sequence of ndarray of shape (8, 2, F), float64
        sfal of both halves of each split, for each set of embeddings, in the order of
        ``scores.parquet``; NaN where a feature has none.

    Returns
    -------
    path : Path

    Raises
    ------
    ArtifactError
        If the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            pa.field("feature", pa.uint32(), nullable=False),
            pa.field("halves", pa.list_(pa.float64(), N_HALVES), nullable=False),
        ]
    )
    path = run_folder / REPLICATES
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="zstd", use_dictionary=False, write_page_checksum=True
        ) as writer,
    ):
        for halves in sets:
            n = halves.shape[2]
            flat = from_numpy(np.ascontiguousarray(halves.reshape(N_HALVES, n).T).ravel())
            lists = pa.FixedSizeListArray.from_arrays(flat, N_HALVES)
            features = from_numpy(np.arange(n, dtype=np.uint32))
            writer.write_batch(pa.RecordBatch.from_arrays([features, lists], schema=schema))
    return path


def read_replicates(run_folder: Path) -> tuple[NDArray[np.float64], ...]:
    """Read the scores of halves of the documents.

    Returns
    -------
    sets : tuple of ndarray of shape (8, 2, F), float64
        As :func:`write_replicates` takes them; empty if there is no such file.

    Raises
    ------
    CorruptError
        If the file is damaged or has another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = run_folder / REPLICATES
    if not path.exists():
        return ()
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_schema(file.schema_arrow, path)
            table = file.read()
    except (OSError, ValueError, pa.ArrowException) as e:
        line = (str(e).splitlines() or [type(e).__name__])[0][:200]
        raise CorruptError(
            f"{path} cannot be read ({line})", hint="$do_score writes it again"
        ) from e
    flat = table.column("halves").combine_chunks().flatten()
    if table.column("feature").null_count or flat.null_count or len(flat) != len(table) * N_HALVES:
        raise CorruptError(f"{path} has missing values", hint="$do_score writes it again")
    features = to_numpy(table.column("feature")).astype(np.int64)
    values = to_numpy(flat).reshape(len(table), N_HALVES)
    starts = np.flatnonzero(np.diff(features, prepend=2**32) <= 0)
    return tuple(
        np.ascontiguousarray(part.T).reshape(N_HALVES // 2, 2, len(part))
        for part in np.split(values, starts[1:])
        if len(part)
    )


def _check_schema(schema: Any, path: Path) -> None:
    import pyarrow as pa

    wanted = {"feature": pa.uint32(), "halves": pa.list_(pa.float64(), N_HALVES)}
    for name, kind in wanted.items():
        at = schema.get_field_index(name)
        if at < 0 or schema.field(at).type != kind:
            raise CorruptError(
                f"{path} has no column {name} ({kind})", hint="$do_score writes it again"
            )
