"""``explanations.parquet``: the explanation chosen for each feature of a source."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CorruptError, MissingError
from sfal.io.arrow import from_numpy, from_strings, to_numpy
from sfal.io.atomic import atomic_path
from sfal.io.first_line import first_line
from sfal.store.layout import EXPLANATIONS

if TYPE_CHECKING:
    import pyarrow as pa

MIXED = "mixed"
"""Stem of embeddings made from explanations of several kinds."""

TOP_TOKENS = "top-tokens"
"""Type of labels made from top tokens; they are marked with it wherever they are shown."""

_METADATA = b"sfal"
_ROWS = 1 << 16
_MAX_BYTES = 2 << 30
"""Text in one file; the longest explanations of the widest SAE are a tenth of it."""


def explanations_schema() -> "pa.Schema":
    """Return the columns of the file: feature, explanation, explainer, type."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("feature", pa.uint32(), nullable=False),
            pa.field("explanation", pa.string(), nullable=False),
            pa.field("explainer", pa.string(), nullable=False),
            pa.field("type", pa.string(), nullable=False),
        ]
    )


def make_table(features: NDArray[np.uint32], rows: Iterable[tuple[str, str, str]]) -> "pa.Table":
    """Make a table of explanations.

    Parameters
    ----------
    features : ndarray of shape (n,), uint32
        Ascending.
    rows : iterable of (explanation, type, explainer)
        One per feature.

    Returns
    -------
    table : Table
        With the columns of :func:`explanations_schema`.
    """
    import pyarrow as pa

    schema = explanations_schema()
    source = iter(rows)
    batches = []
    for start in range(0, len(features), _ROWS):
        part = features[start : start + _ROWS]
        texts, types, explainers = zip(*islice(source, len(part)), strict=True)
        columns = [from_numpy(part), *map(from_strings, (texts, explainers, types))]
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(batches, schema)


def write_explanations(source_dir: Path, table: "pa.Table", metadata: Mapping[str, object]) -> Path:
    """Write a source's explanations, atomically.

    Parameters
    ----------
    source_dir : Path
        Folder of the source.
    table : Table
        As :func:`make_table` returns it.
    metadata : mapping
        Anything that JSON can hold: where they come from, what was left out.

    Returns
    -------
    path : Path
        The file.

    Raises
    ------
    ArtifactError
        If the file cannot be written.
    """
    import pyarrow.parquet as pq

    path = source_dir / EXPLANATIONS
    text = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True)
    with atomic_path(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({_METADATA: text.encode()}),
            temporary,
            compression="zstd",
            write_page_checksum=True,
        )
    return path


def read_explanations(source_dir: Path) -> "pa.Table":
    """Read a source's explanations.

    Returns
    -------
    table : Table
        Columns feature (uint32, ascending, each once), explanation, explainer,
        type (text). :func:`explanations_metadata` reads its metadata.

    Raises
    ------
    MissingError
        If there are none yet.
    CorruptError
        If the file is damaged or has another layout.
    """
    import pyarrow as pa

    path = source_dir / EXPLANATIONS
    if not path.exists():
        raise MissingError(
            f"{source_dir} has no explanations yet",
            hint="$do_download fetches them; if Neuronpedia has none, $do_explain makes labels",
        )
    try:
        table = _read(path, explanations_schema().names)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as e:
        raise CorruptError(
            f"{path} cannot be read ({first_line(e)})",
            hint="remove it, then $do_download or $do_explain makes it again",
        ) from e
    _check(table, path)
    return table


def explanations_metadata(table: "pa.Table") -> dict[str, Any]:
    """Return the metadata that explanations were written with; empty if there is none."""
    try:
        metadata = json.loads((table.schema.metadata or {})[_METADATA])
    except (KeyError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def explanations_sha256(table: "pa.Table") -> str:
    """Hash the content: features, explanations, explainers and types, in order."""
    digest = hashlib.sha256()
    for row in _rows(table):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def kinds(table: "pa.Table") -> Counter[tuple[str, str]]:
    """Count the explanations of each (type, explainer)."""
    counts: Counter[tuple[str, str]] = Counter()
    for batch in table.select(["type", "explainer"]).to_batches(_ROWS):
        counts.update(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    # Sorted by name, so that kinds with equal counts always come in the same order.
    return Counter(dict(sorted(counts.items())))


def count_explanations(source_dir: Path) -> tuple[int, Counter[tuple[str, str]]]:
    """Count a source's explanations without reading their text.

    Returns
    -------
    n : int
        Number of explanations.
    kinds : Counter
        Number of each (type, explainer).

    Raises
    ------
    CorruptError
        If the file is missing, damaged or has another layout.
    """
    import pyarrow as pa

    path = source_dir / EXPLANATIONS
    try:
        table = _read(path, ["explainer", "type"])
        return len(table), kinds(table)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as e:
        raise CorruptError(f"{path} cannot be read: {first_line(e)}") from e


def labels_by_feature(table: "pa.Table") -> dict[int, str]:
    """Return the explanations of a table by feature."""
    features = table.column("feature").to_pylist()
    return dict(zip(features, table.column("explanation").to_pylist(), strict=True))


def embeddings_stem(table: "pa.Table") -> str:
    """Return the file stem of their embeddings: ``{type}_{explainer}`` or ``mixed``."""
    return stem_of(kinds(table))


def stem_of(found: Collection[tuple[str, str]]) -> str:
    """Return the file stem of embeddings of explanations of these types by these explainers."""
    if len(found) != 1:
        return MIXED
    [only] = found
    # Replaces the slash of a provider's prefix, and whatever else a file name cannot hold.
    return re.sub(r"[^A-Za-z0-9._+@=-]", "-", "_".join(only)).lstrip(".-") or MIXED


def _rows(table: "pa.Table") -> Iterator[list[Any]]:
    names = explanations_schema().names
    for batch in table.to_batches(_ROWS):
        columns = [batch.column(batch.schema.get_field_index(n)).to_pylist() for n in names]
        yield from map(list, zip(*columns, strict=True))


def _read(path: Path, names: list[str]) -> "pa.Table":
    """Read some of the columns.

    A file of a megabyte can repeat a long text a million times. So texts are
    read as indices into the distinct ones, and expanded only after their total
    length is known.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [explanations_schema().field(name) for name in names]
    with pq.ParquetFile(path) as file:
        _check_columns(file.schema_arrow, fields, path)
    texts = [field.name for field in fields if field.type == pa.string()]
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts) as file:
        schema = pa.schema(fields, file.schema_arrow.metadata)
        total, batches = 0, []
        for batch in file.iter_batches(_ROWS, columns=names):
            total += sum(_length(batch.column(name)) for name in texts)
            if total > _MAX_BYTES:
                raise CorruptError(f"{path} holds more than {_MAX_BYTES:,} bytes of text")
            columns = [batch.column(field.name).cast(field.type) for field in fields]
            batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(batches, schema)


def _length(column: Any) -> int:
    """Return the bytes of a column's texts, repetitions included."""
    import pyarrow.compute as pc

    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0)


def _check_columns(schema: "pa.Schema", fields: Sequence["pa.Field"], path: Path) -> None:
    import pyarrow as pa

    for field in fields:
        at = schema.get_field_index(field.name)
        if at < 0 or schema.field(at).type not in (field.type, pa.large_string()):
            raise CorruptError(f"{path} has no column {field.name} of type {field.type}")


def _check(table: "pa.Table", path: Path) -> None:
    for name in table.column_names:
        if table.column(name).null_count:
            raise CorruptError(f"{path}: column {name} has missing values")
    features = to_numpy(table.column("feature"))
    if len(features) == 0:
        raise CorruptError(f"{path} holds no explanation")
    if np.any(features[1:] <= features[:-1]):
        raise CorruptError(f"{path}: features are not in ascending order, each once")
