"""``<embedder>/<stem>_embeddings.parquet``: vectors of a source's explanations."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CorruptError, InvalidInputError, MissingError
from sfal.io.arrow import from_numpy, from_strings, to_numpy
from sfal.io.atomic import atomic_path
from sfal.io.first_line import first_line
from sfal.store.layout import RUNS

SUFFIX = "_embeddings.parquet"

LABEL = "explanation"
"""Column with the explanations that were embedded, empty where unknown.

Files made before it existed lack it.
"""

_METADATA = b"sfal"
_ROWS = 1 << 14
_MAX_RATIO = 1000
"""Bytes of numbers per byte of file; zstd reaches this with equal vectors."""


class Vectors(NamedTuple):
    """Embeddings of the explanations of some features of a source."""

    features: NDArray[np.uint32]
    """Shape (n,), ascending."""
    vectors: NDArray[np.float32]
    """Shape (n, D), as the embedder returns them: not necessarily of length 1."""
    metadata: dict[str, Any]
    """Embedder, its fingerprint, explainer, type, hash of the explanations, source."""


def write_vectors(
    path: Path,
    features: NDArray[np.uint32],
    vectors: NDArray[np.float32],
    metadata: Mapping[str, object],
    labels: Mapping[int, str] | None = None,
) -> None:
    """Write embeddings, atomically; equal input gives equal bytes.

    Parameters
    ----------
    path : Path
        As :func:`sfal.store.layout.embeddings_path` names it.
    features : ndarray of shape (n,), uint32
        Ascending.
    vectors : ndarray of shape (n, D), float32
        Finite.
    metadata : mapping
        Anything that JSON can hold.
    labels : mapping of int to str, optional
        The explanations that were embedded, by feature. They stay with their vectors when the
        source gets other explanations.

    Raises
    ------
    InvalidInputError
        If the shapes of the arrays do not match, or a vector is not finite;
        the message names the feature.
    ArtifactError
        If the file cannot be written.
    """
    if vectors.ndim != 2 or features.shape != (len(vectors),) or vectors.shape[1] == 0:
        raise InvalidInputError(
            f"{path}: features of shape {features.shape} and vectors of shape {vectors.shape} "
            "do not fit each other"
        )
    pieces = (
        (features[start : start + _ROWS], vectors[start : start + _ROWS])
        for start in range(0, len(features), _ROWS)
    )
    write_vector_pieces(path, vectors.shape[1], pieces, metadata, labels)


def write_vector_pieces(
    path: Path,
    width: int,
    pieces: Iterable[tuple[NDArray[np.uint32], NDArray[np.float32]]],
    metadata: Mapping[str, object],
    labels: Mapping[int, str] | None = None,
) -> None:
    """Write embeddings that are not in memory all at once, atomically.

    Parameters
    ----------
    path : Path
        As :func:`sfal.store.layout.embeddings_path` names it.
    width : int
        Dimension D.
    pieces : iterable of (features uint32[m], vectors float32[m, D])
        Ascending features; each piece becomes a row group.
    metadata : mapping
        Anything that JSON can hold.
    labels : mapping of int to str, optional
        As for :func:`write_vectors`.

    Raises
    ------
    InvalidInputError
        If a vector is not finite; the message names the feature.
    ArtifactError
        If the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True)
    texts = [] if labels is None else [pa.field(LABEL, pa.string())]
    schema = pa.schema(
        [
            pa.field("feature", pa.uint32(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), width), nullable=False),
            *texts,
        ],
        metadata={_METADATA: text.encode()},
    )
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
        ) as writer,
    ):
        for features, vectors in pieces:
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
            if len(bad):
                raise InvalidInputError(
                    f"{path}: the vector of feature {features[bad[0]]} is not finite: "
                    "the embedding model is damaged or its precision is too low"
                )
            flat = from_numpy(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
            lists = pa.FixedSizeListArray.from_arrays(flat, width)
            columns = [from_numpy(features.astype(np.uint32, copy=False)), lists]
            if labels is not None:
                columns.append(from_strings([labels.get(f, "") for f in features.tolist()]))
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def read_vectors(path: Path) -> Vectors:
    """Read embeddings.

    Raises
    ------
    MissingError
        If there is no such file.
    CorruptError
        If it is damaged or has another layout, if features are not in
        ascending order, or if a vector is not finite.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            width = _check_schema(file.schema_arrow, path)
            n = file.metadata.num_rows
            _check_size(n, width, path)
            features = np.empty(n, dtype=np.uint32)
            vectors = np.empty((n, width), dtype=np.float32)
            at = 0
            for batch in file.iter_batches(_ROWS, columns=["feature", "embedding"]):
                feature, embedding = batch.column("feature"), batch.column("embedding")
                if feature.null_count or embedding.null_count or embedding.flatten().null_count:
                    raise CorruptError(f"{path} has missing values")
                stop = at + len(batch)
                features[at:stop] = to_numpy(feature)
                vectors[at:stop] = to_numpy(embedding.flatten()).reshape(-1, width)
                at = stop
            metadata = _metadata(file.schema_arrow)
    except FileNotFoundError as e:
        raise MissingError(f"{path} does not exist", hint="$do_embed makes it") from e
    except (OSError, pa.ArrowException, ValueError) as e:
        raise _unreadable(path, e) from e
    if np.any(features[1:] <= features[:-1]):
        raise CorruptError(f"{path}: features are not in ascending order, each once")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise CorruptError(f"{path}: the vector of feature {features[bad[0]]} is not finite")
    return Vectors(features, vectors, metadata)


def read_vectors_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a file of embeddings, without its vectors.

    Raises
    ------
    CorruptError
        If the file is damaged or has another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as e:
        raise _unreadable(path, e) from e
    _check_schema(schema, path)
    return _metadata(schema)


def read_embedded_labels(path: Path) -> dict[int, str] | None:
    """Read the explanations that were embedded, by feature; None if the file does not hold them.

    Raises
    ------
    CorruptError
        If the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            at = file.schema_arrow.get_field_index(LABEL)
            if at < 0 or file.schema_arrow.field(at).type != pa.string():
                return None
            table = file.read(columns=["feature", LABEL])
    except (OSError, pa.ArrowException, ValueError) as e:
        raise _unreadable(path, e) from e
    features, texts = table.column("feature").to_pylist(), table.column(LABEL).to_pylist()
    return {f: text for f, text in zip(features, texts, strict=True) if text}


def find_vectors(source_dir: Path) -> dict[tuple[str, str], Path]:
    """Find the embeddings in a source's folder.

    Returns
    -------
    dict of (embedder, stem) to Path
        In alphabetical order; the embedder is a hub id, ``local/NAME`` or
        ``neuronpedia``, the stem ``{type}_{explainer}`` or ``mixed``.
    """
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(source_dir.rglob(f"*{SUFFIX}")):
        folder = path.relative_to(source_dir).parent
        hidden = any(part.startswith(".") for part in (*folder.parts, path.name))
        if folder.parts and not hidden and folder.parts[0] != RUNS:
            found[folder.as_posix(), path.name.removesuffix(SUFFIX)] = path
    return found


def _check_schema(schema: Any, path: Path) -> int:
    import pyarrow as pa

    at = [schema.get_field_index(name) for name in ("feature", "embedding")]
    if min(at) < 0 or schema.field(at[0]).type != pa.uint32():
        raise CorruptError(f"{path} has no columns feature (uint32) and embedding")
    kind = schema.field(at[1]).type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise CorruptError(f"{path}: column embedding is not a fixed-size list of float32")
    if kind.list_size == 0:
        raise CorruptError(f"{path}: its vectors have no dimension")
    return int(kind.list_size)


def _check_size(n: int, width: int, path: Path) -> None:
    """Refuse more vectors than a file of this length can hold, before allocating them."""
    if n * width * 4 > _MAX_RATIO * path.stat().st_size:
        raise CorruptError(
            f"{path} claims {n:,} vectors of {width:,} numbers, too many for its length"
        )


def _metadata(schema: Any) -> dict[str, Any]:
    try:
        metadata = json.loads((schema.metadata or {})[_METADATA])
    except (KeyError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _unreadable(path: Path, error: Exception) -> CorruptError:
    return CorruptError(
        f"{path} cannot be read ({first_line(error)})",
        hint="remove it, then $do_embed makes it again",
    )
