"""Files that embedding-atlas opens: features with neighbours and vectors, and contexts.

Its option ``--neighbors`` takes a column of structs, ``ids`` (zero-based row indices, by
ascending distance) and ``distances``; ``--vector`` a column of lists of numbers.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfal.errors import MissingError
from sfal.io.arrow import from_numpy, from_strings
from sfal.io.atomic import atomic_path
from sfal.report.exports.exported import Exported, labelled, shown
from sfal.report.lists import Lists
from sfal.store.examples import Example, iterate_examples

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES, WINDOWS = "features.parquet", "windows.parquet"
_ROWS = 1 << 14


def write_atlas(exported: Exported, folder: Path, neighbours: int) -> list[Path]:
    """Write ``features.parquet`` and, where examples lie there, ``windows.parquet``.

    Parameters
    ----------
    exported : Exported
    folder : Path
        Folder of the files, which appear whole or not at all.
    neighbours : int
        Neighbours of each feature.

    Returns
    -------
    paths : list of Path
        The files.
    """
    import pyarrow.parquet as pq

    table = labelled(exported, "text")
    # A row is a feature, so that indices of features are those of rows.
    table = table.append_column("neighbors", _structs(exported.lists.functional, neighbours))
    semantic = _structs(exported.lists.semantic, neighbours)
    table = table.append_column("semantic_neighbors", semantic)
    table = table.append_column("vector", _vectors(exported))
    features, windows = folder / FEATURES, folder / WINDOWS
    examples = iterate_examples(exported.source.folder)
    try:
        first = next(examples, None)
    except MissingError:
        first = None
    with ExitStack() as stack:
        # Both are renamed at the end, so that an error in one leaves neither.
        temporary = stack.enter_context(atomic_path(features))
        if first is not None:
            second = stack.enter_context(atomic_path(windows))
            rows = (example for _, found in _chained(first, examples) for example in found)
            _write_windows(rows, exported, second)
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    return [features] if first is None else [features, windows]


def _chained(
    first: tuple[int, list[Example]], rest: Iterator[tuple[int, list[Example]]]
) -> Iterator[tuple[int, list[Example]]]:
    yield first
    yield from rest


def _structs(lists: Lists, neighbours: int) -> "pa.Array":
    """Return a struct of neighbours and distances, 1 minus the similarity, for each feature."""
    import pyarrow as pa

    filled = shown(lists, neighbours)
    offsets = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
    ids = lists.feature[:, :neighbours][filled].astype(np.int32)
    distances = np.float32(1) - lists.value[:, :neighbours][filled]
    columns = [
        pa.ListArray.from_arrays(from_numpy(offsets), from_numpy(values))
        for values in (ids, distances)
    ]
    return pa.StructArray.from_arrays(columns, names=["ids", "distances"])


def _vectors(exported: Exported) -> "pa.ChunkedArray":
    import pyarrow as pa

    matrix = exported.embeddings.matrix
    width = matrix.shape[1]
    pieces = (matrix[first : first + _ROWS] for first in range(0, len(matrix), _ROWS))
    kind = pa.list_(pa.float32(), width)
    return pa.chunked_array(
        [pa.FixedSizeListArray.from_arrays(from_numpy(piece.ravel()), width) for piece in pieces],
        kind,
    )


def _write_windows(examples: Iterator[Example], exported: Exported, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        {
            "feature": pa.uint32(),
            "label": pa.string(),
            "rank": pa.uint32(),
            "activation": pa.float32(),
            "doc": pa.uint64(),
            "position": pa.uint32(),
            "token": pa.string(),
            "text": pa.string(),
        }
    )
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        while rows := list(islice(examples, _ROWS)):
            columns = [
                from_numpy(np.array([one.feature for one in rows], np.uint32)),
                from_strings([exported.labels[one.feature] for one in rows]),
                from_numpy(np.array([one.rank for one in rows], np.uint32)),
                from_numpy(np.array([one.activation for one in rows], np.float32)),
                from_numpy(np.array([one.doc for one in rows], np.uint64)),
                from_numpy(np.array([one.position for one in rows], np.uint32)),
                from_strings([one.token for one in rows]),
                from_strings([one.before + one.token + one.after for one in rows]),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
