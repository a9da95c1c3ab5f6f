"""Scores as a long table: a row for every feature and set of embeddings, ``scores.parquet``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfal.io.arrow import from_numpy, from_texts
from sfal.io.atomic import atomic_path, write_error
from sfal.scoring.reliability.medians import median_reliability
from sfal.scoring.reliability.replicate_tables import HalfScores, write_replicates
from sfal.scoring.score import EmbeddingScores, SourceScores
from sfal.scoring.tables.columns import score_batch, score_schema
from sfal.store.layout import REPLICATES, SCORES

if TYPE_CHECKING:
    import pyarrow as pa

_METADATA = b"sfal"


def long_table(scores: SourceScores) -> "pa.Table":
    """Return all scores of one source, a row for every feature and set of embeddings.

    Returns
    -------
    table : Table
        Columns layer, feature, embedding, explainer, and those of
        :func:`sfal.scoring.tables.columns.score_schema`.
    """
    import pyarrow as pa

    n = scores.n_features
    feature, *measures = score_schema()
    schema = pa.schema(
        [
            pa.field("layer", pa.int32()),
            feature,
            pa.field("embedding", pa.string(), nullable=False),
            pa.field("explainer", pa.string(), nullable=False),
            *measures,
        ],
        metadata={_METADATA: _metadata(scores).encode()},
    )
    same = np.zeros(n, dtype=np.int32)
    has_layer = np.full(n, scores.source.layer is not None)
    layer = from_numpy(np.full(n, scores.source.layer or 0, dtype=np.int32), has_layer)
    batches = []
    for one in scores.embeddings:
        features, *values = score_batch(one.features, scores.windows).columns
        embedder, explainer = from_texts([one.embedder], same), from_texts([one.explainer], same)
        columns = [layer, features, embedder, explainer, *values]
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(batches, schema)


def write_scores(scores: SourceScores) -> Path:
    """Write ``scores.parquet``, and ``replicates.parquet``, into the folder of the run, atomically.

    Raises
    ------
    ArtifactError
        If the file cannot be written.
    """
    import pyarrow.parquet as pq

    folder = scores.source.run_folder
    halves = [
        HalfScores(one.embedder, one.explainer, one.stem, one.replicates.halves)
        for one in scores.embeddings
        if one.replicates is not None
    ]
    if halves:
        write_replicates(folder, halves, _facts(scores))
    else:
        _remove(folder / REPLICATES)  # of earlier scores
    path = folder / SCORES
    with atomic_path(path) as temporary:
        pq.write_table(long_table(scores), temporary, compression="zstd", write_page_checksum=True)
    return path


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        raise write_error(path, e) from e


def _facts(scores: SourceScores) -> dict[str, object]:
    return {
        "source": scores.source.name,
        "n_windows": scores.n_windows,
        "n_features": scores.n_features,
        "top_n": scores.settings.top_n,
        "candidates": scores.settings.candidates,
        "ties": scores.settings.ties,
        "measure": scores.settings.measure,
        "leaks": scores.settings.leaks,
        "counts": scores.read,
        "no_reliability": scores.no_reliability,
        "embeddings": [_facts_of_set(one) for one in scores.embeddings],
    }


def _facts_of_set(one: EmbeddingScores) -> dict[str, object]:
    facts: dict[str, object] = {
        "embedding": one.embedder,
        "stem": one.stem,
        "file": one.path.name,
    }
    if one.replicates is not None:
        facts["reliability"] = median_reliability(one.sfal, one.replicates).facts()
    return facts


def _metadata(scores: SourceScores) -> str:
    return json.dumps(_facts(scores), ensure_ascii=False, sort_keys=True)
