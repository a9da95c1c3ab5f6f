"""What a page shows of scores in memory, with the arrays that they were computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfal.errors import InvalidInputError
from sfal.report.lists import both_lists
from sfal.report.opposites import opposites
from sfal.report.source_data import OpenSource, SourceData, source_data
from sfal.scoring.inputs import Embeddings
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.scoring.settings import ScoreSettings
from sfal.store.scores import ScoreSet

if TYPE_CHECKING:
    import pyarrow as pa

    from sfal._core import Histogram, Occurrences

NAME = "features"
"""Name of the source on the page."""
_EMBEDDER, _EXPLAINER = "embeddings", "labels"


def table_data(
    table: "pa.Table",
    occurrences: "Occurrences | Histogram",
    embeddings: ArrayLike,
    labels: Sequence[str] | Mapping[int, str] | None = None,
) -> SourceData:
    """List the neighbours of all features that a table of scores is about.

    Parameters
    ----------
    table : pyarrow.Table
        As :func:`sfal.score_features` returns it: one row per feature, ascending.
    occurrences : Occurrences or Histogram
        Counts that were scored.
    embeddings : array of shape (n_features, D)
        Vectors that were scored.
    labels : sequence or mapping of str, optional
        Label by feature; default: none are shown.

    Raises
    ------
    InvalidInputError
        If they are not about the same features.
    """
    n = occurrences.n_features
    lacks = {"feature", "sfal", "ndcg", "status"} - set(table.column_names)
    if lacks:
        raise InvalidInputError(
            f"the table has no column {sorted(lacks)[0]}",
            hint="give one that sfal.score_features() returned",
        )
    if table.column("feature").to_pylist() != list(range(n)):
        raise InvalidInputError(
            f"the table has {len(table):,} rows, which are not features 0 to {n - 1} in order",
            hint="give the whole table, unsorted",
        )
    matrix = _matrix(embeddings, n)
    scored = np.array([one == "scored" for one in table.column("status").to_pylist()])
    explained = np.any(matrix, axis=1)
    if np.any(scored & ~explained):
        raise InvalidInputError(
            "embeddings has no vector for a feature that is scored",
            hint="give the $embeddings that were scored",
        )
    texts = labels if isinstance(labels, Mapping) else dict(enumerate(labels or ()))
    known = {int(i): str(text) for i, text in texts.items() if text}
    one = Embeddings(np.ascontiguousarray(matrix), explained, known, _EXPLAINER)
    file = EmbeddingsFile(_EMBEDDER, "", Path())
    source = SourceInput(NAME, "", None, Path(), Path(), (file,))
    scores = ScoreSet(_EMBEDDER, _EXPLAINER, "", table)
    settings = ScoreSettings()
    opened = OpenSource(source, occurrences, ((file, scores, one),), (), settings, ())
    lists = both_lists(occurrences, [one], settings)
    return replace(source_data(opened, lists), opposites=opposites(occurrences))


def _matrix(embeddings: ArrayLike, n_features: int) -> NDArray[np.float32]:
    found: Any = embeddings
    if hasattr(found, "detach"):  # a torch tensor: numpy knows neither gradients nor bf16
        found = found.detach().cpu().float()
    try:
        matrix = np.asarray(found, dtype=np.float32)
    except (TypeError, ValueError) as e:
        raise InvalidInputError(f"embeddings cannot be converted to a numpy array: {e}") from e
    if matrix.ndim != 2 or len(matrix) != n_features:
        raise InvalidInputError(
            f"embeddings has shape {matrix.shape}; it must have a row for each of the "
            f"{n_features} features counted"
        )
    return matrix
