"""What a page shows of a source: its scores on disk, labels and neighbour lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError, CombinedError, MissingError, Note, SfalError
from sfal.io.arrow import to_numpy
from sfal.report.lists import Lists, SemanticLists, both_lists
from sfal.scoring.inputs import Embeddings, open_counts, read_embeddings
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.store.examples import Example, iterate_examples
from sfal.store.run_folder import RunFolder
from sfal.store.scores import ScoreSet, read_scores

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences

N_EXAMPLES = 5
"""Max-activating examples of a feature, at most."""


@dataclass(frozen=True)
class EmbeddingData:
    """Scores and lists by one set of embeddings."""

    file: EmbeddingsFile
    """The set."""
    explainer: str
    """Who explained."""
    labels: dict[int, str]
    """Label by feature."""
    scores: ScoreSet
    """What ``scores.parquet`` holds."""
    lists: SemanticLists
    """Semantic neighbours."""
    notes: tuple[Note, ...]
    """What is odd about the embeddings."""


@dataclass(frozen=True)
class SourceData:
    """All that a page shows of a source."""

    source: SourceInput
    """The source."""
    windows: NDArray[np.uint64]
    """Shape (F,): windows in which each feature fires."""
    n_windows: int
    """Windows counted."""
    neuronpedia: str | None
    """Neuronpedia's id of the source."""
    functional: Lists
    """Functional neighbours."""
    examples: dict[int, list[Example]] | None
    """The first max-activating examples of features; None where none were gathered."""
    embeddings: tuple[EmbeddingData, ...]
    """One for each set of embeddings that was scored."""
    refused: tuple[SfalError, ...] = ()
    """Sets of embeddings that are not shown, and why."""


@dataclass(frozen=True)
class OpenSource:
    """A source whose scores, counts and embeddings are read."""

    source: SourceInput
    """The source."""
    counted: "Occurrences | Histogram"
    """Its counts."""
    scored: tuple[tuple[EmbeddingsFile, ScoreSet, Embeddings], ...]
    """Each set of embeddings that was scored."""
    refused: tuple[SfalError, ...]
    """Sets of embeddings that cannot be shown, and why."""


def open_source(source: SourceInput) -> OpenSource:
    """Read scores, counts and embeddings of a source.

    Raises
    ------
    MissingError
        If the source has not been scored.
    ArtifactError
        If scores, counts or embeddings cannot be read or do not belong together.
    """
    counts = open_counts(source.run_folder)
    try:
        sets = read_scores(source.run_folder)
    except MissingError as e:
        raise MissingError(e.message, hint=f"$do_score({source.name}) makes them") from e
    by_key = {(one.embedding, one.stem): one for one in sets}
    found: list[tuple[EmbeddingsFile, ScoreSet, Embeddings]] = []
    refused: list[SfalError] = []
    for file in source.embeddings:
        try:
            scores = by_key.get((file.embedder, file.stem))
            found.append(
                (
                    file,
                    _checked(source, file, scores, counts.n_features),
                    read_embeddings(source, file, counts.n_features),
                )
            )
        except ArtifactError as e:
            refused.append(e)
    if not found:
        raise refused[0] if len(refused) == 1 else CombinedError(refused)
    return OpenSource(source, counts.load(), tuple(found), tuple(refused))


def read_source_data(source: SourceInput, top_n: int) -> SourceData:
    """Read scores, labels and counts of a source, and list all neighbours.

    Parameters
    ----------
    source : SourceInput
    top_n : int
        Places of the other list that are looked up.

    Raises
    ------
    MissingError
        If the source has not been scored.
    ArtifactError
        If scores, counts or embeddings cannot be read or do not belong together.
    """
    opened = open_source(source)
    lists = both_lists(opened.counted, [one for _, _, one in opened.scored], top_n)
    return source_data(opened, *lists, _examples(source))


def source_data(
    opened: OpenSource,
    functional: Lists,
    semantic: Sequence[SemanticLists],
    examples: dict[int, list[Example]] | None,
) -> SourceData:
    """Join what was read of a source with its neighbour lists."""
    source = opened.source
    manifest = RunFolder(source.run_folder).readable_manifest
    return SourceData(
        source=source,
        windows=opened.counted.counts(),
        n_windows=opened.counted.n_windows,
        neuronpedia=None if manifest is None else manifest.source.neuronpedia_id,
        functional=functional,
        examples=examples,
        embeddings=tuple(
            EmbeddingData(file, one.explainer, one.explanations, scores, lists, one.notes)
            for (file, scores, one), lists in zip(opened.scored, semantic, strict=True)
        ),
        refused=opened.refused,
    )


def _examples(source: SourceInput) -> dict[int, list[Example]] | None:
    try:
        return {i: found[:N_EXAMPLES] for i, found in iterate_examples(source.folder)}
    except MissingError:
        return None


def _checked(
    source: SourceInput, file: EmbeddingsFile, scores: ScoreSet | None, n_features: int
) -> ScoreSet:
    again = f"$do_score({source.name}) makes them"
    if scores is None:
        message = f"{source.name} has no scores by {file.embedder} ({file.stem}) yet"
        raise MissingError(message, hint=again)
    if len(scores.table) != n_features:
        raise ArtifactError(
            f"the scores of {source.name} are of {len(scores.table):,} features, "
            f"the counts of {n_features:,}",
            hint=again,
        )
    return scores


def numbers(scores: ScoreSet, name: str) -> NDArray[np.float64] | None:
    """Return a column of numbers, NaN for null; None if the table has none or it is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in scores.table.column_names:
        return None
    column = scores.table.column(name)
    if column.null_count == len(column):
        return None
    values: NDArray[np.float64] = to_numpy(pc.fill_null(column.cast(pa.float64()), np.nan))
    return values


def texts(scores: ScoreSet, name: str) -> list[Any]:
    """Return a column as Python values."""
    values: list[Any] = scores.table.column(name).to_pylist()
    return values
