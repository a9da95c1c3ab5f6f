"""Parts of a run on disk: Parquet files of windows and the features that fire in each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CorruptError, MissingError
from sfal.io.arrow import to_numpy
from sfal.io.atomic import atomic_path, sha256_file
from sfal.store.manifest import Manifest, Part, occurrences_dir

REDO = "$do_redo counts its documents again"
"""What to do about a damaged part."""


@dataclass(frozen=True)
class Windows:
    """Windows of text in the order of the corpus, and the features that fire in each."""

    documents: NDArray[np.uint64]
    """Ordinal in the corpus of each window's document, of shape (n_windows,)."""
    ordinals: NDArray[np.uint32]
    """Ordinal of each window within its document, of shape (n_windows,)."""
    indptr: NDArray[np.int64]
    """Boundaries of the windows in `indices`, of shape (n_windows + 1,)."""
    indices: NDArray[np.uint32]
    """Features of each window, sorted, of shape (n_occurrences,)."""

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return len(self.documents)

    @classmethod
    def join(cls, pieces: Sequence["Windows"]) -> "Windows":
        """Concatenate pieces in order."""
        lengths = [np.diff(piece.indptr) for piece in pieces]
        indptr = np.zeros(sum(map(len, lengths)) + 1, np.int64)
        if pieces:
            np.cumsum(np.concatenate(lengths), out=indptr[1:])
        return cls(
            _concatenate([piece.documents for piece in pieces], np.uint64),
            _concatenate([piece.ordinals for piece in pieces], np.uint32),
            indptr,
            _concatenate([piece.indices for piece in pieces], np.uint32),
        )


def write_part(folder: Path, name: str, windows: Windows) -> str:
    """Write windows to a part of a run, atomically; it counts once the manifest names it.

    Parameters
    ----------
    folder : Path
        The run's folder.
    name : str
        File name, such as ``part-000000.parquet``.
    windows : Windows
        What to write. The same windows give the same bytes.

    Returns
    -------
    sha256 : str
        Hash of the file's bytes.

    Raises
    ------
    ArtifactError
        If the disk is full or the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    offsets = pa.array(windows.indptr.astype(np.int32))
    table = pa.table(
        [
            pa.array(windows.documents),
            pa.array(windows.ordinals),
            pa.ListArray.from_arrays(offsets, pa.array(windows.indices)),
        ],
        schema=_schema(),
    )
    with atomic_path(occurrences_dir(folder) / name) as temporary:
        # Sorted lists pack to a fifth as differences; a dictionary would only cost.
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            use_dictionary=False,
            column_encoding={
                "doc": "PLAIN",
                "window": "PLAIN",
                "features.list.element": "DELTA_BINARY_PACKED",
            },
        )
        return sha256_file(temporary)


def read_part(folder: Path, part: Part) -> Windows:
    """Read one part and check its hash and its layout.

    Raises
    ------
    MissingError
        If the file does not exist.
    CorruptError
        If it is cut short, changed, or has another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = check_part(folder, part)
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(_schema()):
                raise CorruptError(
                    f"{path} is not a part of a run: its columns are "
                    f"{_columns(file.schema_arrow)}, not {_columns(_schema())}",
                    hint=REDO,
                )
            # Before reading: a small file may claim more rows than fit into memory.
            _check_rows(path, file.metadata.num_rows, part)
            table = file.read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        raise CorruptError(f"{path} cannot be read as Parquet: {e}", hint=REDO) from e
    if any(column.null_count for column in table.columns):
        raise CorruptError(f"{path} has missing values", hint=REDO)
    features = pa.concat_arrays(table["features"].chunks) if table.num_rows else None
    windows = Windows(
        to_numpy(table["doc"]),
        to_numpy(table["window"]),
        np.zeros(1, np.int64) if features is None else _indptr(features),
        np.zeros(0, np.uint32) if features is None else to_numpy(features.flatten()),
    )
    _check_documents(path, part, windows)
    return windows


def check_part(folder: Path, part: Part) -> Path:
    """Return the path of a part after checking its hash against the manifest.

    Raises
    ------
    MissingError
        If the file does not exist.
    CorruptError
        If its bytes have changed.
    """
    path = occurrences_dir(folder) / part.file
    if not path.is_file():
        raise MissingError(f"{path} is missing", hint=REDO)
    if sha256_file(path) != part.sha256:
        raise CorruptError(f"{path} is damaged: its bytes are not those written", hint=REDO)
    return path


def iterate_parts(folder: Path, manifest: Manifest | None = None) -> Iterator[Windows]:
    """Read the windows of a run, part by part, in the order of the corpus.

    Parameters
    ----------
    folder : Path
        The run's folder.
    manifest : Manifest, optional
        Its manifest, if it has been read already.

    Raises
    ------
    ArtifactError
        If the manifest or a part is missing or damaged.
    """
    for part in (manifest or Manifest.load(folder)).parts:
        yield read_part(folder, part)


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [("doc", pa.uint64()), ("window", pa.uint32()), ("features", pa.list_(pa.uint32()))]
    )


def _columns(schema: Any) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _indptr(features: Any) -> NDArray[np.int64]:
    offsets: NDArray[np.int64] = to_numpy(features.offsets).astype(np.int64)
    offsets -= offsets[0]
    return offsets


def _check_rows(path: Path, n_rows: int, part: Part) -> None:
    if n_rows != part.counts.windows:
        raise CorruptError(
            f"{path} holds {n_rows} windows, its manifest says {part.counts.windows}", hint=REDO
        )


def _check_documents(path: Path, part: Part, windows: Windows) -> None:
    """Refuse documents that are out of order or outside the range in the manifest."""
    documents = windows.documents
    if not len(documents):
        return
    rising = bool((documents[1:] >= documents[:-1]).all())
    if not rising or documents[0] < part.first or documents[-1] >= part.stop:
        raise CorruptError(
            f"{path}: its documents are not those from {part.first} to {part.stop} in order",
            hint=REDO,
        )


def _concatenate(arrays: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)
