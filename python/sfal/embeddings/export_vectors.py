"""The vectors in Neuronpedia's export, used as an embedder without a model."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError
from sfal.explanations.neuronpedia import Export
from sfal.explanations.records import RecordReader
from sfal.io.arrow import to_numpy
from sfal.io.atomic import write_error

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_WIDTH = 8192
_MAX_CHARACTERS = 32 * _MAX_WIDTH
_MAX_WIDTHS = 8
_ROWS = 1 << 13


@dataclass
class ExportVectors:
    """Vectors of the explanations that have a usable one, in an unnamed temporary file."""

    width: int
    """Dimension D."""
    features: NDArray[np.uint32]
    """Features with a vector, ascending; shape (n,)."""
    n_missing: int
    """Number of explanations without a usable vector."""
    rows: NDArray[np.int64]
    """Row of each feature's vector in the file; shape (n,)."""
    file: IO[bytes] = field(repr=False)
    """The file, rows of `width` float32 numbers."""

    def pieces(self) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.float32]]]:
        """Yield features and their vectors, some thousands at a time."""
        for start in range(0, len(self.features), _ROWS):
            rows = self.rows[start : start + _ROWS]
            vectors = np.empty((len(rows), self.width), dtype=np.float32)
            for vector, row in zip(vectors, rows, strict=True):
                self.file.seek(int(row) * self.width * 4)
                vector[:] = np.frombuffer(self.file.read(self.width * 4), dtype=np.float32)
            yield self.features[start : start + _ROWS], vectors


@contextmanager
def read_export_vectors(
    export: Export, reader: RecordReader, table: "pa.Table", folder: Path
) -> Iterator[ExportVectors]:
    """Read the batches again, for the vectors of the chosen explanations.

    Parameters
    ----------
    export : Export
        Batches on disk.
    reader : RecordReader
        Reader with which the explanations were chosen.
    table : Table
        Chosen explanations.
    folder : Path
        Folder for temporary files, since the vectors may not fit into memory.

    Yields
    ------
    ExportVectors
        The vectors; readable only inside the ``with`` block.

    Raises
    ------
    ArtifactError
        If the export has a vector for none of them, or a batch is damaged.
    """
    try:
        with ExitStack() as files:
            yield _read(export, reader, table, folder, files)
    except OSError as e:
        # Temporary files may report an error only when they are read or closed.
        raise write_error(folder, e) from e


def _read(
    export: Export, reader: RecordReader, table: "pa.Table", folder: Path, files: ExitStack
) -> ExportVectors:
    features = to_numpy(table.column("feature"))
    wanted = _digests(table)
    # By dimension, since a single vector of another dimension must not decide it.
    found: dict[int, _Vectors] = {}
    for record in reader.read(export.batches, Counter(), vectors=True):
        row = int(np.searchsorted(features, record.feature))
        if row == len(features) or features[row] != record.feature:
            continue
        if wanted[row] != _digest(record.text, record.type, record.explainer):
            continue
        vector = parse_vector(record.vector)
        if vector is None or (len(vector) not in found and len(found) == _MAX_WIDTHS):
            continue
        if len(vector) not in found:
            file = files.enter_context(TemporaryFile(dir=folder))  # noqa: SIM115
            found[len(vector)] = _Vectors(len(features), file)
        found[len(vector)].put(row, vector)
    if not found:
        raise ArtifactError(
            f"the export of {export.source} has no vectors of these explanations",
            hint="name a model as $embedding_models",
        )
    width, vectors = max(found.items(), key=lambda pair: pair[1].n)
    has_vector = vectors.rows >= 0
    return ExportVectors(
        width,
        features[has_vector],
        int((~has_vector).sum()),
        vectors.rows[has_vector],
        vectors.file,
    )


class _Vectors:
    """Vectors of one dimension, in the order in which they were read."""

    def __init__(self, n_explanations: int, file: IO[bytes]) -> None:
        self.rows = np.full(n_explanations, -1, dtype=np.int64)
        self.n = 0
        self.file = file

    def put(self, explanation: int, vector: NDArray[np.float32]) -> None:
        """Store the vector of an explanation, unless it has one."""
        if self.rows[explanation] < 0:
            self.file.write(vector.tobytes())
            self.rows[explanation] = self.n
            self.n += 1


def parse_vector(value: object) -> NDArray[np.float32] | None:
    """Return the vector in a field that holds a list of numbers, or such a list as JSON text.

    The result is None for anything else, for a vector of zeros, and for numbers
    that do not fit float32.
    """
    if isinstance(value, str) and len(value) <= _MAX_CHARACTERS:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_WIDTH:
        return None
    if not {int, float}.issuperset(map(type, value)):
        return None
    try:
        with np.errstate(over="ignore"):
            vector = np.array(value, dtype=np.float64).astype(np.float32)
    except OverflowError:
        return None
    return vector if np.isfinite(vector).all() and vector.any() else None


def _digests(table: "pa.Table") -> list[bytes]:
    """Return a digest of each explanation, by which its record in the export is recognised."""
    names = ("explanation", "type", "explainer")
    return [
        _digest(*row)
        for batch in table.to_batches(_ROWS)
        for row in zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    ]


def _digest(text: str, type_: str, explainer: str) -> bytes:
    content = f"{type_}\0{explainer}\0{text}".encode()
    return hashlib.blake2b(content, digest_size=8).digest()
