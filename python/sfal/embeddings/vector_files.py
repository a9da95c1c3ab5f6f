"""Vectors that somebody computed elsewhere: NumPy, safetensors and Parquet files."""

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MissingError
from sfal.explanations.records import feature_number
from sfal.explanations.user_files.columns import column_of, columns_of
from sfal.io.first_line import first_line
from sfal.io.npy import read_npy_header

_VECTORS = ("embedding", "embeddings", "vector", "vectors", "values")
_FEATURES = ("features", "feature_ids", "indices", "ids", "latents")
_NUMBERED = re.compile(r"(?:dim|emb|embedding|d|v|x)?[_ ]?([0-9]{1,5})")
_ENDINGS = (".npy", ".npz", ".safetensors", ".parquet")
_MAX_RATIO = 1000
"""Bytes of numbers per byte of file; more cannot be vectors of different texts."""
_GRACE = 64 << 20
_ROWS = 1 << 13
_DAMAGED = (ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile, NotImplementedError)


class FileVectors(NamedTuple):
    """The content of a file of vectors."""

    features: NDArray[np.int64] | None
    """Feature of each row, shape (n,); None: the number of the row."""
    vectors: NDArray[np.float32]
    """Shape (n, D); a row of NaN stands for no vector."""
    layers: tuple[object, ...] | None = None
    """Layer of each row, if the file has such a column."""


def read_vector_file(path: Path) -> FileVectors:
    """Read vectors, and the features that they belong to if the file says.

    Parameters
    ----------
    path : Path
        ``.npy`` with an array of shape (n, D); ``.npz`` or ``.safetensors`` with
        such an array and perhaps one of features, shape (n,); ``.parquet`` with
        a column of lists, or one column per dimension, and perhaps a column of
        features.

    Raises
    ------
    InvalidInputError
        If the format is unknown, or it is not clear which array or column holds
        the vectors or the features.
    MissingError
        If there is no such file.
    CorruptError
        If its content cannot be parsed.
    ArtifactError
        If it cannot be read for another reason.
    """
    import pyarrow as pa

    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise InvalidInputError(
            f"{path}: unknown format of vectors", hint=f"give a file in {', '.join(_ENDINGS)}"
        )
    try:
        if ending == ".parquet":
            return _parquet(path)
        if ending == ".npy":
            return _chosen(path, {"vectors": _npy(path)})
        return _chosen(path, _npz(path) if ending == ".npz" else _safetensors(path))
    except (ArtifactError, InvalidInputError):
        raise
    except FileNotFoundError as e:
        raise MissingError(f"{path} does not exist") from e
    except (*_DAMAGED, pa.ArrowException) as e:
        raise CorruptError(f"{path} cannot be read: {first_line(e)}") from e
    except OSError as e:
        raise ArtifactError(f"cannot read {path}: {e.strerror or e}") from e


def _chosen(path: Path, arrays: Mapping[str, NDArray[Any]]) -> FileVectors:
    """Choose the arrays of vectors, of features and of layers among a file's numeric arrays."""
    tables = {n: a for n, a in arrays.items() if a.ndim == 2 and not _is_about_rows(n)}
    if len(tables) > 1:
        tables = {name: a for name, a in tables.items() if name.lower() in _VECTORS}
    if len(tables) != 1:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in list(arrays.items())[:8]) or "none"
        raise InvalidInputError(
            f"{path} does not hold one array of vectors of shape (features, dimensions); its "
            f"arrays of numbers are {shapes}",
            hint="name the array vectors, or save it alone",
        )
    vectors = next(iter(tables.values()))
    for name, a in arrays.items():
        if _is_about_rows(name) and (a.size != len(vectors) or max(a.shape, default=0) != a.size):
            raise InvalidInputError(
                f"{path}: {name} has the shape {a.shape}, but there are {len(vectors):,} vectors",
                hint="give one number for each vector, or leave that array out",
            )
    columns = {
        name: a.reshape(-1)
        for name, a in arrays.items()
        if (a.ndim == 1 or _is_about_rows(name)) and a.size == len(vectors)
    }
    layers = [columns.pop(name) for name in list(columns) if column_of(name) == "layer"][:1]
    chosen = columns_of(columns).get("feature")
    named = {n: a for n, a in columns.items() if n == chosen or n.lower() in _FEATURES}
    if columns and len(named) != 1:
        raise InvalidInputError(
            f"{path}: it is not clear which of {', '.join(columns)} holds the features",
            hint="name that array feature",
        )
    features = next(iter(named.values()), None)
    return FileVectors(
        None if features is None else _numbers(path, features),
        _float32(vectors),
        tuple(layers[0].tolist()) if layers else None,
    )


def _is_about_rows(name: str) -> bool:
    """Return whether an array's name says that it holds the vectors' features or layers."""
    return column_of(name) in ("feature", "layer") or name.lower() in _FEATURES


def _numbers(path: Path, features: NDArray[Any]) -> NDArray[np.int64]:
    try:
        return np.fromiter(map(feature_number, features.tolist()), np.int64, len(features))
    except ValueError as e:
        raise InvalidInputError(f"{path}: {e}") from e


def _float32(vectors: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(vectors, dtype=np.float32)


def _npy(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        return _array(file, path, path.stat().st_size)


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    arrays = {}
    left = _MAX_RATIO * path.stat().st_size + _GRACE
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            with archive.open(info) as file:
                try:
                    array = _array(file, path, min(left, info.file_size))
                except InvalidInputError as e:
                    name = info.filename.removesuffix(".npy")
                    if not _is_about_rows(name):
                        continue  # texts or objects beside the vectors
                    raise InvalidInputError(
                        f"{path}: {name} holds texts or objects, not whole numbers",
                        hint=f"save {name} as an array of integers",
                    ) from e
            left -= array.nbytes
            arrays[info.filename.removesuffix(".npy")] = array
    return arrays


def _array(file: IO[bytes], path: Path, limit: int) -> NDArray[Any]:
    """Read an array of numbers of at most `limit` bytes, without unpickling anything."""
    header = read_npy_header(file)
    if header.dtype.kind not in "fiu":
        raise InvalidInputError(
            f"{path} holds an array of {header.dtype}, not of numbers",
            hint="save the vectors as an array of float32",
        )
    size = header.dtype.itemsize
    for length in header.shape:
        size *= length
    if size < 0 or size > limit or any(length < 0 for length in header.shape):
        raise CorruptError(f"{path} claims an array of {size:,} bytes, too many for its length")
    content = file.read(size)
    if len(content) != size:
        raise CorruptError(f"{path} is cut short")
    flat: NDArray[Any] = np.frombuffer(content, header.dtype)
    if header.fortran_order:
        return flat.reshape(header.shape[::-1]).T
    return flat.reshape(header.shape)


def _safetensors(path: Path) -> dict[str, NDArray[Any]]:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            if not any(kind.startswith(("BF", "F8")) for kind in kinds.values()):
                return {name: file.get_tensor(name) for name in kinds}
        # NumPy has no such types; PyTorch converts them.
        with safetensors.safe_open(path, framework="pt") as file:
            return {
                name: (t.float() if t.is_floating_point() else t).numpy()
                for name, t in ((name, file.get_tensor(name)) for name in kinds)
            }
    except safetensors.SafetensorError as e:
        raise CorruptError(f"{path} cannot be read: {str(e)[:200]}") from e


def _parquet(path: Path) -> FileVectors:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        feature = columns_of(schema.names).get("feature")
        layer = columns_of(schema.names).get("layer")
        names = _vector_columns(path, schema, feature)
        if feature is None:
            _check_other_numbers(path, file, {*names, layer})
        n = file.metadata.num_rows
        features: list[object] = []
        layers: list[object] = []
        pieces: list[NDArray[np.float32]] = []
        width = 0
        wanted = [*names, *(one for one in (feature, layer) if one)]
        for batch in file.iter_batches(_ROWS, columns=wanted):
            piece = _piece(path, [batch.column(name) for name in names])
            width = width or piece.shape[1]
            if piece.shape[1] not in (width, 0):
                raise InvalidInputError(
                    f"{path} holds vectors of {width} and of {piece.shape[1]} numbers"
                )
            if 4 * n * width > _MAX_RATIO * path.stat().st_size + _GRACE:
                raise CorruptError(
                    f"{path} claims {n:,} vectors of {width:,} numbers, too many for its length"
                )
            pieces.append(piece)
            if feature:
                features += batch.column(feature).to_pylist()
            if layer:
                layers += batch.column(layer).to_pylist()
    if not width:
        raise InvalidInputError(f"{path} holds no vector")
    # Rows without a vector may come before the first that has one.
    vectors = [p if p.shape[1] else np.full((len(p), width), np.nan) for p in pieces]
    numbers = _numbers(path, np.array(features, dtype=object)) if feature else None
    return FileVectors(numbers, _float32(np.concatenate(vectors)), tuple(layers) or None)


def _check_other_numbers(path: Path, file: Any, known: set[str | None]) -> None:
    """Refuse a table without a feature column if another column seems to number the features."""
    import pyarrow.types as kinds

    fields = (field for field in file.schema_arrow if field.name not in known)
    for name in [field.name for field in fields if kinds.is_integer(field.type)]:
        numbers = file.read([name]).column(0).to_pylist()
        if len(set(numbers)) == len(numbers) and numbers != list(range(len(numbers))):
            raise InvalidInputError(
                f"{path}: it is not clear whether {name[:40]!r} holds the features",
                hint="name that column feature, or leave it out if the rows are in their order",
            )


def _vector_columns(path: Path, schema: Any, feature: str | None) -> list[str]:
    """Return the column of lists, or the columns of numbers that make up the vectors."""
    import pyarrow.types as kinds

    def is_list(kind: Any) -> bool:
        return bool(
            kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
        ) and (kinds.is_floating(kind.value_type) or kinds.is_integer(kind.value_type))

    lists = [field.name for field in schema if is_list(field.type)]
    if len(lists) > 1:
        lists = [name for name in lists if name.lower() in _VECTORS]
    if len(lists) == 1:
        return lists
    numbered = {
        field.name: int(match[1])
        for field in schema
        if field.name != feature
        and (kinds.is_floating(field.type) or kinds.is_integer(field.type))
        and (match := _NUMBERED.fullmatch(field.name.lower()))
    }
    if not lists and len(numbered) > 1:
        return sorted(numbered, key=lambda name: numbered[name])
    raise InvalidInputError(
        f"{path} has no single column of vectors; it has "
        f"{', '.join(str(name)[:40] for name in schema.names[:12])}",
        hint="name the column embedding, a list of numbers per row",
    )


def _piece(path: Path, columns: list[Any]) -> NDArray[np.float32]:
    """Return the vectors of some rows; NaN where there is none, no columns if all are missing."""
    if len(columns) > 1:
        parts = [c.to_numpy(zero_copy_only=False).astype(np.float32) for c in columns]
        return np.stack(parts, axis=1)
    import pyarrow.compute as pc

    (column,) = columns
    present = column.drop_null()
    lengths = set(pc.list_value_length(present).to_pylist())
    if len(lengths) > 1:
        some = " and of ".join(map(str, sorted(lengths)[:2]))
        raise InvalidInputError(f"{path} holds vectors of {some} numbers")
    width = lengths.pop() if lengths else 0
    rows = np.full((len(column), width), np.nan, dtype=np.float32)
    flat = present.flatten().to_numpy(zero_copy_only=False)
    if width:
        rows[np.asarray(column.is_valid())] = _float32(flat).reshape(-1, width)
    return rows


def rows_in_order(path: Path, found: FileVectors) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield each usable vector with its feature, by ascending feature.

    Rows of zeros or of NaN alone stand for features without a vector.

    Raises
    ------
    InvalidInputError
        If a vector has single numbers that are not finite, or a feature has two vectors.
    """
    features = np.arange(len(found.vectors)) if found.features is None else found.features
    before = -1
    for row in np.argsort(features, kind="stable"):
        feature, vector = int(features[row]), found.vectors[row]
        if np.isnan(vector).all() or not np.count_nonzero(vector):
            continue
        if not np.isfinite(vector).all():
            raise InvalidInputError(f"{path}: the vector of feature {feature} is not finite")
        if feature == before:
            raise InvalidInputError(f"{path} holds two vectors of feature {feature}")
        before = feature
        yield feature, vector
