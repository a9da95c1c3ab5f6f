"""Scores of several sources as one wide CSV."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.io.atomic import atomic_path
from sfal.scoring.score import EmbeddingScores, SourceScores
from sfal.scoring.status import STATUSES, overall_status
from sfal.scoring.tables.columns import values_of

_APPENDED = ("p_label", "low", "high", "sfal_corrected")
"""Columns after those that the table always had, for each set of embeddings."""


class WideTable:
    """One wide table of several sources, one after the other.

    Columns: index, description, layer, ``ndcg_<embedding>`` …,
    ``sfal_<embedding>`` …, chance (empty where it depends on the embeddings), windows,
    status; source, if one layer has several sources; and p_label, low, high,
    sfal_corrected, each once per embedding.
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
            *(f"{kind}_{label}" for kind in _APPENDED for label in labels),
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
    found = {
        label: one for one in scores.embeddings for label in labels if _is_labelled(one, label)
    }
    layer = "" if scores.source.layer is None else scores.source.layer
    chance = _fields(np.array([_common_chance(scores)]))[0]
    text = scores.explanations.get
    status = overall_status([one.status for one in scores.embeddings]).tolist()
    source = [scores.source.name] if several else []
    measures = _columns(found, labels, ("ndcg", "sfal"), scores.n_features)
    appended = _columns(found, labels, _APPENDED, scores.n_features)
    each = zip(measures, appended, scores.windows.tolist(), status, strict=True)
    for i, (first, last, windows, code) in enumerate(each):
        yield [i, text(i, ""), layer, *first, chance, windows, STATUSES[code], *source, *last]


def _columns(
    found: Mapping[str, EmbeddingScores], labels: Sequence[str], kinds: Sequence[str], n: int
) -> Iterable[tuple[Any, ...]]:
    """Return for each feature its values of some kinds, by each set of embeddings."""
    empty = [""] * n
    columns = []
    for kind in kinds:
        for label in labels:
            known = label in found
            columns.append(_fields(values_of(found[label].features, kind)) if known else empty)
    return zip(*columns, strict=True)


def _common_chance(scores: SourceScores) -> float:
    """Return the chance of a source; NaN if it depends on the embeddings: they explain other features."""
    each = {one.features.chance for one in scores.embeddings}
    return each.pop() if len(each) == 1 else np.nan


def _is_labelled(one: EmbeddingScores, label: str) -> bool:
    return label in (one.embedder, f"{one.embedder}@{one.stem}")


def _fields(values: NDArray[np.float64]) -> list[Any]:
    """Return values whose shortest text reads back as the same number, nothing for NaN."""
    return ["" if v != v else v for v in values.tolist()]
