"""``examples.parquet``: the max-activating examples of each feature of a source."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sfal.errors import CorruptError, MissingError, SfalError
from sfal.io.arrow import from_numpy, from_strings, to_numpy
from sfal.io.atomic import atomic_path
from sfal.io.first_line import first_line
from sfal.store.layout import EXAMPLES
from sfal.store.manifest import Manifest, has_manifest

if TYPE_CHECKING:
    import pyarrow as pa

_METADATA = b"sfal"
_ROWS = 1 << 14
_READ_ROWS = 1 << 10
"""Few, since a small file can repeat a long text very often."""
_SHARE = 0.3
_MOST = 2000
"""Of a corpus too short for the counts and 2,000 further documents, at most these for examples."""
_GATHER = f"repeat $do_count with $examples({_MOST}) to gather them"


class Example(NamedTuple):
    """One token on which a feature fires strongly, with its context."""

    feature: int
    """The feature."""
    rank: int
    """0 for the highest activation."""
    activation: float
    """Activation as SAELens' ``SAE.encode`` returns it, > 0."""
    doc: int
    """Ordinal of the document in the corpus."""
    position: int
    """Position of the token in the document, including BOS."""
    token: str
    """The token, extended to whole words."""
    before: str
    """A few words before it."""
    after: str
    """A few words after it."""


def examples_schema() -> "pa.Schema":
    """Return the columns of the file, those of :class:`Example`."""
    import pyarrow as pa

    types = {
        "feature": pa.uint32(),
        "rank": pa.uint32(),
        "activation": pa.float32(),
        "doc": pa.uint64(),
        "position": pa.uint32(),
        "token": pa.string(),
        "before": pa.string(),
        "after": pa.string(),
    }
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])


def hint_to_divide(n_documents: int) -> str:
    """Advise how to count a short corpus so that documents are left for examples.

    Parameters
    ----------
    n_documents : int
        Documents in the whole corpus, all of them counted.

    Returns
    -------
    hint : str
        See :func:`sfal.errors.worded`.

    Examples
    --------
    >>> hint_to_divide(1000)
    'count again into another $data_dir with $n_docs(700) $examples(300), or take a longer $corpus'
    """
    if n_documents < 2:
        return "take a longer $corpus"
    examples = min(max(round(_SHARE * n_documents), 1), _MOST)
    return (
        f"count again into another $data_dir with $n_docs({n_documents - examples}) "
        f"$examples({examples}), or take a longer $corpus"
    )


def _hint_to_gather(source_dir: Path) -> str:
    """Advise how to make the examples of a source, as its manifest allows.

    Returns
    -------
    hint : str
        See :func:`sfal.errors.worded`.
    """
    with suppress(SfalError):
        if has_manifest(source_dir):
            length = Manifest.load(source_dir).corpus_ended_at
            if length is not None:
                return f"all {length} documents of its corpus are counted: {hint_to_divide(length)}"
    return _GATHER


def write_examples(
    source_dir: Path, examples: Iterable[Example], metadata: Mapping[str, object]
) -> Path:
    """Write a source's examples, atomically; they need not fit in memory.

    Parameters
    ----------
    source_dir : Path
        Folder of the source.
    examples : iterable of Example
        By ascending feature, then rank.
    metadata : mapping
        Anything that JSON can hold: corpus, documents, SAE.

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

    path = source_dir / EXAMPLES
    text = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True)
    schema = examples_schema().with_metadata({_METADATA: text.encode()})
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        rows: list[Example] = []
        for example in examples:
            rows.append(example)
            if len(rows) == _ROWS:
                writer.write_batch(_batch(rows, schema))
                rows = []
        writer.write_batch(_batch(rows, schema))
    return path


def iterate_examples(source_dir: Path) -> Iterator[tuple[int, list[Example]]]:
    """Read the examples of one feature after another.

    Yields
    ------
    feature : int
        Ascending; features that never fired are left out.
    examples : list of Example
        The highest activation first.

    Raises
    ------
    MissingError
        If there are none yet.
    CorruptError
        If the file is damaged or has another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _require(source_dir)
    names = Example._fields
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_columns(file, path)
            rows = (
                Example(*row)
                for batch in file.iter_batches(_READ_ROWS, columns=list(names))
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            )
            for feature, examples in groupby(rows, lambda example: example.feature):
                yield feature, list(examples)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as e:
        raise _unreadable(path, e) from e


def read_examples_of(source_dir: Path, feature: int, most: int) -> list[Example]:
    """Read the first examples of one feature, and of the file only the rows around it.

    Parameters
    ----------
    source_dir : Path
        Folder of the source.
    feature : int
    most : int
        Examples wanted, at most.

    Returns
    -------
    examples : list of Example
        The highest activation first; empty if the feature never fired.

    Raises
    ------
    MissingError
        If the source has no examples yet.
    CorruptError
        If the file is damaged or has another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _require(source_dir)
    found: list[Example] = []
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_columns(file, path)
            groups = [
                i
                for i in range(file.num_row_groups)
                if _may_hold(file.metadata.row_group(i).column(0).statistics, feature)
            ]
            for batch in file.iter_batches(_READ_ROWS, groups, columns=list(Example._fields)):
                at = np.flatnonzero(to_numpy(batch.column(0)) == feature)
                if len(at):
                    part = batch.slice(int(at[0]), min(int(at[-1] - at[0]) + 1, most - len(found)))
                    rows = zip(*(column.to_pylist() for column in part.columns), strict=True)
                    found += [Example(*row) for row in rows]
                if len(found) >= most:
                    break
    except (OSError, UnicodeDecodeError, pa.ArrowException) as e:
        raise _unreadable(path, e) from e
    return found


def _may_hold(statistics: Any, feature: int) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= feature <= statistics.max)


def _check_columns(file: Any, path: Path) -> None:
    if file.schema_arrow.remove_metadata() != examples_schema():
        raise CorruptError(f"{path} does not have the columns of examples", hint=_GATHER)


def read_examples_metadata(source_dir: Path) -> dict[str, Any]:
    """Read the metadata that a source's examples were written with.

    Raises
    ------
    MissingError
        If there are no examples yet.
    CorruptError
        If the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _require(source_dir)
    try:
        metadata = json.loads((pq.read_schema(path).metadata or {})[_METADATA])
    except (OSError, pa.ArrowException, KeyError, ValueError) as e:
        raise _unreadable(path, e) from e
    if not isinstance(metadata, dict):
        raise CorruptError(f"{path} has no metadata of examples", hint=_GATHER)
    return metadata


def _batch(rows: list[Example], schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [
        from_strings(column)
        if field.type == pa.string()
        else from_numpy(np.array(column, field.type.to_pandas_dtype()))
        for field, column in zip(schema, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _require(source_dir: Path) -> Path:
    """Return the file of examples; refuse if there is none."""
    path = source_dir / EXAMPLES
    if not path.exists():
        raise MissingError(f"{source_dir} has no examples yet", hint=_hint_to_gather(source_dir))
    return path


def _unreadable(path: Path, error: Exception) -> CorruptError:
    return CorruptError(
        f"{path} cannot be read ({first_line(error)})", hint=f"remove it, then {_GATHER}"
    )
