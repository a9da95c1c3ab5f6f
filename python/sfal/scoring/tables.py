"""Scores as files: a long Parquet table in each source's folder, one wide CSV for all."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.io.arrow import from_numpy, from_texts
from sfal.io.atomic import atomic_path
from sfal.scoring.score import EmbeddingScores, SourceScores
from sfal.scoring.status import STATUSES, overall_status
from sfal.store.layout import SCORES

if TYPE_CHECKING:
    import pyarrow as pa

_METADATA = b"sfal"


def long_table(scores: SourceScores, top_n: int) -> "pa.Table":
    """Return all scores of one source, a row for every feature and set of embeddings.

    Returns
    -------
    table : Table
        Columns layer, feature, embedding, explainer, ndcg, sfal (float64, null
        unless scored), chance, windows, status.
    """
    import pyarrow as pa

    n = scores.n_features
    feature, *measures = _score_schema()
    schema = pa.schema(
        [
            pa.field("layer", pa.int32()),
            feature,
            pa.field("embedding", pa.string(), nullable=False),
            pa.field("explainer", pa.string(), nullable=False),
            *measures,
        ],
        metadata={_METADATA: _metadata(scores, top_n).encode()},
    )
    same = np.zeros(n, dtype=np.int32)
    has_layer = np.full(n, scores.source.layer is not None)
    layer = from_numpy(np.full(n, scores.source.layer or 0, dtype=np.int32), has_layer)
    batches = []
    for one in scores.embeddings:
        features, *values = score_batch(
            one.ndcg, one.sfal, scores.chance, scores.windows, one.status
        ).columns
        embedder, explainer = from_texts([one.embedder], same), from_texts([one.explainer], same)
        columns = [layer, features, embedder, explainer, *values]
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(batches, schema)


def score_batch(
    ndcg: NDArray[np.float64],
    sfal: NDArray[np.float64],
    chance: float,
    windows: NDArray[np.uint64],
    status: NDArray[np.uint8],
) -> "pa.RecordBatch":
    """Return scores as Arrow columns, one row per feature, null for NaN.

    Parameters
    ----------
    ndcg, sfal : ndarray of shape (F,), float64
        NaN unless scored.
    chance : float
        Expected NDCG of a random order.
    windows : ndarray of shape (F,), uint64
        Windows in which each feature fires.
    status : ndarray of shape (F,), uint8
        Indices into `STATUSES`.

    Returns
    -------
    batch : RecordBatch
        Columns feature, ndcg, sfal, chance, windows, status.
    """
    import pyarrow as pa

    n = len(ndcg)
    columns = [
        from_numpy(np.arange(n, dtype=np.uint32)),
        from_numpy(ndcg, ~np.isnan(ndcg)),
        from_numpy(sfal, ~np.isnan(sfal)),
        from_numpy(np.full(n, chance), np.full(n, chance == chance)),
        from_numpy(windows),
        from_texts(STATUSES, status.astype(np.int32)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_score_schema())


def _score_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("feature", pa.uint32(), nullable=False),
            pa.field("ndcg", pa.float64()),
            pa.field("sfal", pa.float64()),
            pa.field("chance", pa.float64()),
            pa.field("windows", pa.uint64(), nullable=False),
            pa.field("status", pa.string(), nullable=False),
        ]
    )


def write_scores(scores: SourceScores, top_n: int) -> Path:
    """Write ``scores.parquet`` into the folder of the run, atomically.

    Raises
    ------
    ArtifactError
        If the file cannot be written.
    """
    import pyarrow.parquet as pq

    path = scores.source.run_folder / SCORES
    with atomic_path(path) as temporary:
        pq.write_table(
            long_table(scores, top_n), temporary, compression="zstd", write_page_checksum=True
        )
    return path


class WideTable:
    """One wide table of several sources, one after the other.

    Columns: index, description, layer, ``ndcg_<embedding>`` …,
    ``sfal_<embedding>`` …, chance, windows, status; and source, if one
    layer has several sources.
    """

    def __init__(self) -> None:
        self._scores: list[SourceScores] = []

    def add(self, scores: SourceScores) -> None:
        """Add a source's features, in order."""
        self._scores.append(scores)

    def write(self, path: Path) -> None:
        """Write the table as CSV, atomically; NaN is an empty field.

        Raises
        ------
        ArtifactError
            If the file cannot be written.
        """
        labels = _labels(self._scores)
        layers = [(s.source.model, s.source.layer) for s in self._scores]
        several = len(set(layers)) < len(layers) or len({model for model, _layer in layers}) > 1
        columns = [
            "index",
            "description",
            "layer",
            *(f"ndcg_{label}" for label in labels),
            *(f"sfal_{label}" for label in labels),
            *("chance", "windows", "status"),
            *(["source"] if several else []),
        ]
        with (
            atomic_path(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for scores in self._scores:
                writer.writerows(_rows(scores, labels, several))


def _labels(scores: Iterable[SourceScores]) -> list[str]:
    """Return the columns' names: the embedder, and its explanations if there are several."""
    pairs = sorted({(e.embedder, e.stem) for s in scores for e in s.embeddings})
    embedders = [embedder for embedder, _stem in pairs]
    return [
        embedder if embedders.count(embedder) == 1 else f"{embedder}@{stem}"
        for embedder, stem in pairs
    ]


def _rows(scores: SourceScores, labels: Sequence[str], several: bool) -> Iterator[list[object]]:
    n = scores.n_features
    found = {
        label: one for one in scores.embeddings for label in labels if _is_labelled(one, label)
    }
    empty = [""] * n
    measures: list[list[Any]] = [
        _fields(getattr(found[label], kind)) if label in found else empty
        for kind in ("ndcg", "sfal")
        for label in labels
    ]
    layer = "" if scores.source.layer is None else scores.source.layer
    chance = _fields(np.array([scores.chance]))[0]
    text = scores.explanations.get
    statuses = overall_status([one.status for one in scores.embeddings])
    tail = [scores.source.name] if several else []
    for i, (values, windows, status) in enumerate(
        zip(zip(*measures, strict=True), scores.windows.tolist(), statuses.tolist(), strict=True)
    ):
        yield [i, text(i, ""), layer, *values, chance, windows, STATUSES[status], *tail]


def _is_labelled(one: EmbeddingScores, label: str) -> bool:
    return label in (one.embedder, f"{one.embedder}@{one.stem}")


def _fields(values: NDArray[np.float64]) -> list[Any]:
    """Return values whose shortest text reads back as the same number, nothing for NaN."""
    return ["" if v != v else v for v in values.tolist()]


def _metadata(scores: SourceScores, top_n: int) -> str:
    facts = {
        "source": scores.source.name,
        "n_windows": scores.n_windows,
        "n_features": scores.n_features,
        "top_n": top_n,
        "counts": scores.read,
        "embeddings": [
            {"embedding": e.embedder, "stem": e.stem, "file": e.path.name}
            for e in scores.embeddings
        ],
    }
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)
