"""Scores of halves of the documents as a file, beside the scores: to compare scores later."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import CorruptError, InvalidInputError, MissingError
from sfal.io.arrow import from_numpy, from_texts, to_numpy
from sfal.io.atomic import atomic_path
from sfal.scoring.reliability.replicates import N_SPLITS
from sfal.store.layout import REPLICATES

if TYPE_CHECKING:
    import pyarrow as pa

_METADATA = b"sfal"
_SIDES = ("first_half", "second_half")
_MOST_ROWS_PER_BYTE = 64
_REDO = "remove it, then $do_score makes it again"


@dataclass(frozen=True)
class HalfScores:
    """Scores of both halves of each split, by one set of embeddings."""

    embedder: str
    """Hub id of the embedder, or ``local/NAME``."""
    explainer: str
    """Who explained."""
    stem: str
    """``{type}_{explainer}`` of the explanations."""
    halves: NDArray[np.float64]
    """Shape (8, 2, F): sfal; NaN where a feature has no score."""


def write_replicates(
    folder: Path, scores: Sequence[HalfScores], facts: Mapping[str, object]
) -> Path:
    """Write ``replicates.parquet`` into the folder of a run, atomically.

    A row for every feature and set of embeddings, as in ``scores.parquet``, with
    the columns feature, embedding, explainer, stem, first_half and second_half:
    a score for each of the 8 splits, null where there is none.

    Parameters
    ----------
    folder : Path
        The run's folder.
    scores : sequence of HalfScores
        One for each set of embeddings, of the same features.
    facts : mapping
        What the scores were made from; anything that JSON can hold.

    Raises
    ------
    InvalidInputError
        If the shapes are not (8, 2, F), with the same F.
    ArtifactError
        If the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches = []
    metadata = json.dumps(dict(facts), ensure_ascii=False, sort_keys=True).encode()
    schema = _schema().with_metadata({_METADATA: metadata})
    n = scores[0].halves.shape[-1] if scores else 0
    for one in scores:
        if one.halves.shape != (N_SPLITS, len(_SIDES), n):
            raise InvalidInputError(
                f"halves of {one.embedder} have shape {one.halves.shape}, "
                f"not ({N_SPLITS}, {len(_SIDES)}, {n})"
            )
        same = np.zeros(n, dtype=np.int32)
        names = [from_texts([name], same) for name in (one.embedder, one.explainer, one.stem)]
        lists = []
        for side in range(len(_SIDES)):
            flat = np.ascontiguousarray(one.halves[:, side].T).ravel()
            lists.append(
                pa.FixedSizeListArray.from_arrays(from_numpy(flat, ~np.isnan(flat)), N_SPLITS)
            )
        columns = [from_numpy(np.arange(n, dtype=np.uint32)), *names, *lists]
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    path = folder / REPLICATES
    with atomic_path(path) as temporary:
        table = pa.Table.from_batches(batches, schema)
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    return path


def read_replicates(folder: Path) -> tuple[list[HalfScores], dict[str, Any]]:
    """Read ``replicates.parquet`` from the folder of a run.

    Returns
    -------
    scores : list of HalfScores
        One for each set of embeddings, in the order of the file.
    facts : dict
        What they were made from.

    Raises
    ------
    MissingError
        If there is no such file.
    CorruptError
        If it is damaged or has another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / REPLICATES
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(_schema()):
                raise CorruptError(f"{path} has other columns than replicates have", hint=_REDO)
            if file.metadata.num_rows > _MOST_ROWS_PER_BYTE * path.stat().st_size:
                raise CorruptError(f"{path} claims more rows than fit its length", hint=_REDO)
            table = file.read()
        table.validate(full=True)
        facts = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    except FileNotFoundError as e:
        raise MissingError(f"{path} does not exist", hint="$do_score makes it") from e
    except (OSError, pa.ArrowException, ValueError) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0][:200]
        raise CorruptError(f"{path} cannot be read ({reason})", hint=_REDO) from e
    feature = to_numpy(table["feature"])
    starts = np.flatnonzero(feature == 0)
    n = int(starts[1]) if len(starts) > 1 else len(feature)
    if n and not np.array_equal(feature, np.tile(np.arange(n), max(1, len(feature) // n))):
        raise CorruptError(f"{path}: its rows are not all features in order", hint=_REDO)
    found = [_half_scores(table.slice(start, n), path) for start in starts.tolist()]
    return found, facts if isinstance(facts, dict) else {}


def _half_scores(table: "pa.Table", path: Path) -> HalfScores:
    """Return the scores of one set of embeddings."""
    import pyarrow.compute as pc

    def only(column: str) -> str:
        distinct: list[str] = pc.unique(table[column]).to_pylist()
        if len(distinct) != 1:
            raise CorruptError(f"{path}: its rows mix several sets of embeddings", hint=_REDO)
        return distinct[0]

    sides = []
    for side in _SIDES:
        flat = pc.fill_null(table[side].combine_chunks().flatten(), np.nan)
        sides.append(to_numpy(flat).reshape(-1, N_SPLITS).T)
    halves = np.stack(sides, axis=1)
    return HalfScores(only("embedding"), only("explainer"), only("stem"), halves)


def _schema() -> "pa.Schema":
    import pyarrow as pa

    scores = pa.list_(pa.float64(), N_SPLITS)
    return pa.schema(
        [
            pa.field("feature", pa.uint32(), nullable=False),
            *(
                pa.field(name, pa.string(), nullable=False)
                for name in ("embedding", "explainer", "stem")
            ),
            *(pa.field(name, scores, nullable=False) for name in _SIDES),
        ]
    )
