"""Scores of features as Arrow columns: the columns of ``scores.parquet`` and of tables in memory."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.io.arrow import from_numpy, from_texts
from sfal.scoring.feature_scores import FeatureScores
from sfal.scoring.label_fit import NONE
from sfal.scoring.status import STATUSES

if TYPE_CHECKING:
    import pyarrow as pa

RELIABILITY = ("se", "low", "high", "ceiling", "sfal_corrected")
"""Columns that say how precise scores are."""


def score_batch(scores: FeatureScores, windows: NDArray[np.uint64]) -> "pa.RecordBatch":
    """Return scores as Arrow columns, one row per feature, null for NaN.

    Parameters
    ----------
    scores : FeatureScores
    windows : ndarray of shape (F,), uint64
        Windows in which each feature fires.

    Returns
    -------
    batch : RecordBatch
        Columns of :func:`score_schema`.
    """
    import pyarrow as pa

    n = len(windows)
    known = {
        "feature": from_numpy(np.arange(n, dtype=np.uint32)),
        "chance": _nullable(np.full(n, scores.chance)),
        "windows": from_numpy(windows),
        "status": from_texts(STATUSES, scores.status.astype(np.int32)),
        "label_rank": from_numpy(scores.label_rank, scores.label_rank > 0),
        "better_labels": _better_labels(scores),
    }
    schema = score_schema()
    columns = [
        known[name] if name in known else _nullable(values_of(scores, name))
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def values_of(scores: FeatureScores, name: str) -> NDArray[np.float64]:
    """Return a column of numbers by its name; NaN throughout if reliability is unknown."""
    if name in RELIABILITY and scores.reliability is None:
        return np.full(len(scores.status), np.nan)
    held = scores.reliability if name in RELIABILITY else scores
    values: NDArray[np.float64] = getattr(held, name)
    return values


def score_schema() -> "pa.Schema":
    """Return the columns that do not depend on where scores come from."""
    import pyarrow as pa

    real = pa.float64()
    better = pa.struct([pa.field("feature", pa.uint32()), pa.field("sfal", pa.float32())])
    return pa.schema(
        [
            pa.field("feature", pa.uint32(), nullable=False),
            pa.field("ndcg", real),
            pa.field("sfal", real),
            pa.field("chance", real),
            pa.field("windows", pa.uint64(), nullable=False),
            pa.field("status", pa.string(), nullable=False),
            pa.field("p_chance", real),
            pa.field("q_chance", real),
            pa.field("label_rank", pa.uint32()),
            pa.field("p_label", real),
            pa.field("q_label", real),
            pa.field("chance_label", real),
            pa.field("better_labels", pa.list_(better)),
            pa.field("se", real),
            pa.field("low", real),
            pa.field("high", real),
            pa.field("ceiling", real),
            pa.field("sfal_corrected", real),
            pa.field("overlap10", real),
            pa.field("rbo98", real),
        ]
    )


def _nullable(values: NDArray[np.float64]) -> "pa.Array":
    return from_numpy(values, ~np.isnan(values))


def _better_labels(scores: FeatureScores) -> "pa.Array":
    """Return a list for each scored feature, best first; null for the others."""
    import pyarrow as pa

    named = scores.better != NONE
    ends = np.concatenate([[0], named.sum(axis=1).cumsum()]).astype(np.int32)
    pairs = pa.StructArray.from_arrays(
        [from_numpy(scores.better[named]), _nullable(scores.better_sfal[named])],
        ["feature", "sfal"],
    )
    bitmap = pa.py_buffer(np.packbits(scores.label_rank > 0, bitorder="little"))
    buffers = [bitmap, pa.py_buffer(ends)]
    return pa.Array.from_buffers(pa.list_(pairs.type), len(named), buffers, children=[pairs])
