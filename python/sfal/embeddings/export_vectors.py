"""The vectors that Neuronpedia's export carries, as an embedder without a model."""

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.embeddings.neuronpedia import Export
from sfal.embeddings.records import RecordReader
from sfal.errors import ArtifactError

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_WIDTH = 8192
_MAX_DIMENSIONS = 8
_MAX_CHARACTERS = 32 * _MAX_WIDTH


@dataclass(frozen=True)
class ExportVectors:
    """Vectors of those explanations that have a usable one."""

    features: NDArray[np.uint32]
    """Shape (n,), rising."""
    vectors: NDArray[np.float32]
    """Shape (n, D)."""
    n_missing: int
    """Explanations without a usable vector."""


def read_export_vectors(export: Export, reader: RecordReader, table: "pa.Table") -> ExportVectors:
    """Read the batches once more, for the vectors of the explanations chosen.

    Parameters
    ----------
    export : Export
        Batches on disk.
    reader : RecordReader
        As the explanations were read.
    table : Table
        Explanations chosen.

    Raises
    ------
    ArtifactError
        If the export has no vector for any of them, or a batch is damaged.
    """
    features = table.column("feature").to_numpy()
    row_of = {
        (feature, type_, explainer): row
        for row, (feature, type_, explainer) in enumerate(
            zip(
                features.tolist(),
                table.column("type").to_pylist(),
                table.column("explainer").to_pylist(),
                strict=True,
            )
        )
    }
    texts = table.column("explanation").to_pylist()
    # By dimension, since one odd vector must not decide it. Rows never written take no memory.
    found: dict[int, tuple[NDArray[np.float32], NDArray[np.bool_]]] = {}
    for record in reader.read(export.batches, Counter(), vectors=True):
        row = row_of.get((record.feature, record.type, record.explainer))
        if row is None or record.text != texts[row]:
            continue
        vector = parse_vector(record.vector)
        if vector is None:
            continue
        if len(vector) not in found:
            if len(found) == _MAX_DIMENSIONS:
                continue
            found[len(vector)] = (
                np.empty((len(features), len(vector)), dtype=np.float32),
                np.zeros(len(features), dtype=np.bool_),
            )
        vectors, there = found[len(vector)]
        if not there[row]:
            vectors[row], there[row] = vector, True
    if not found:
        raise ArtifactError(
            f"the export of {export.source} carries no vectors of these explanations; "
            "name a model with --embedding-model"
        )
    vectors, there = max(found.values(), key=lambda pair: int(pair[1].sum()))
    n_missing = len(features) - int(there.sum())
    if n_missing:
        features, vectors = features[there], vectors[there]
    return ExportVectors(features, vectors, n_missing)


def parse_vector(value: object) -> NDArray[np.float32] | None:
    """Vector of a field that holds a list of numbers, or such a list as JSON text.

    None for anything else, for a vector of zeros, and for numbers beyond float32.
    """
    if isinstance(value, str) and len(value) <= _MAX_CHARACTERS:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_WIDTH:
        return None
    if not all(type(x) in (int, float) and abs(x) < math.inf for x in value):
        return None
    try:
        with np.errstate(over="ignore"):
            vector = np.array(value, dtype=np.float64).astype(np.float32)
    except OverflowError:
        return None
    return vector if np.isfinite(vector).all() and vector.any() else None
