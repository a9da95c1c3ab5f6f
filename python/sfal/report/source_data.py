"""What a page shows of a source: its scores on disk, labels and neighbour lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError, CombinedError, MissingError, Note, SfalError
from sfal.io.arrow import to_numpy
from sfal.report.lists import BothLists, Lists, both_lists
from sfal.report.opposites import opposites
from sfal.report.scored_with import (
    counts_of,
    notes_on_counts,
    notes_on_leaks,
    planted_auc,
    sensitivity_of,
    settings_of,
    unreliable_because,
)
from sfal.scoring.inputs import Embeddings, open_counts, read_embeddings
from sfal.scoring.misplaced import chance_note
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.scoring.settings import ScoreSettings
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
    lists: BothLists
    """Neighbours."""
    notes: tuple[Note, ...]
    """What is odd about the embeddings."""
    planted_auc: float | None = None
    """How often a label that was exchanged on purpose ranks below a right one; None if nobody tried."""


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
    settings: ScoreSettings
    """How it was scored."""
    embeddings: tuple[EmbeddingData, ...]
    """One for each set of embeddings that was scored."""
    opposites: Lists | None = None
    """Features with the most negative phi; None if they are looked up on demand."""
    examples: dict[int, list[Example]] | None = None
    """The first max-activating examples of features; None where none were gathered, or likewise."""
    refused: tuple[SfalError, ...] = ()
    """Sets of embeddings that are not shown, and why."""
    run_notes: tuple[str, ...] = ()
    """What was said when the source was counted, such as settings of the SAE that do not apply."""
    notes: tuple[Note, ...] = ()
    """What the user may want to know about the source now."""
    unreliable_because: str = ""
    """Why nothing is known about how precise the scores are; empty if something is."""
    sensitivity: Mapping[str, Any] | None = None
    """How the scores depend on choices, for the page; None if nobody asked."""


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
    settings: ScoreSettings
    """How it was scored."""
    notes: tuple[Note, ...]
    """What the user may want to know about the source."""


def open_source(source: SourceInput) -> OpenSource:
    """Read scores, counts and embeddings of a source.

    Raises
    ------
    MissingError
        If the source has not been scored.
    ArtifactError
        If scores, counts or embeddings cannot be read or do not belong together.
    """
    try:
        sets = read_scores(source.run_folder)
    except MissingError as e:
        open_counts(source.run_folder)  # whose absence is the first thing to say
        raise MissingError(e.message, hint=f"$do_score({source.name}) makes them") from e
    settings, counts = settings_of(source, sets), counts_of(source, sets)
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
                    read_embeddings(source, file, counts.n_features, settings.leaks),
                )
            )
        except ArtifactError as e:
            refused.append(e)
    if not found:
        raise refused[0] if len(refused) == 1 else CombinedError(refused)
    counted = counts.load()
    notes = notes_on_counts(source, sets, counted.n_windows)
    if settings.leaks == "keep":
        leaks = [note for _, _, one in found for note in notes_on_leaks(source, one)]
        notes += dict.fromkeys(leaks)
    notes += _at_chance(source.name, found)
    return OpenSource(source, counted, tuple(found), tuple(refused), settings, tuple(notes))


def _at_chance(
    source: str, found: Sequence[tuple[EmbeddingsFile, ScoreSet, Embeddings]]
) -> Iterator[Note]:
    """Note where labels fit no better than chance; scores of earlier versions do not tell."""
    for file, scores, one in found:
        p_label = numbers(scores, "p_label")
        if p_label is None:
            continue
        note = chance_note(source, file.embedder, one.explainer, p_label)
        if note is not None:
            yield note


def read_source_data(source: SourceInput) -> SourceData:
    """Read scores, labels and counts of a source, and list all neighbours.

    Parameters
    ----------
    source : SourceInput

    Raises
    ------
    MissingError
        If the source has not been scored.
    ArtifactError
        If scores, counts or embeddings cannot be read or do not belong together.
    """
    opened = open_source(source)
    lists = both_lists(opened.counted, [one for _, _, one in opened.scored], opened.settings)
    notes: list[Note] = []
    examples = _examples(source, notes)
    data = source_data(opened, lists)
    return replace(
        data,
        opposites=opposites(opened.counted),
        examples=examples,
        notes=(*data.notes, *notes),
    )


def source_data(opened: OpenSource, lists: Sequence[BothLists]) -> SourceData:
    """Join what was read of a source with neighbour lists, one pair for each set of embeddings."""
    source = opened.source
    manifest = RunFolder(source.run_folder).readable_manifest
    return SourceData(
        source=source,
        windows=opened.counted.counts(),
        n_windows=opened.counted.n_windows,
        neuronpedia=None if manifest is None else manifest.source.neuronpedia_id,
        settings=opened.settings,
        embeddings=tuple(
            EmbeddingData(
                file,
                one.explainer,
                one.explanations,
                scores,
                both,
                one.notes,
                planted_auc(source, file.embedder, file.stem),
            )
            for (file, scores, one), both in zip(opened.scored, lists, strict=True)
        ),
        refused=opened.refused,
        run_notes=() if manifest is None else manifest.notes,
        notes=opened.notes,
        sensitivity=sensitivity_of(source, opened.counted.n_windows),
        unreliable_because=unreliable_because([scores for _, scores, _ in opened.scored]),
    )


def _examples(source: SourceInput, notes: list[Note]) -> dict[int, list[Example]] | None:
    """Return the first examples; None, with a note if the file is damaged."""
    try:
        return {i: found[:N_EXAMPLES] for i, found in iterate_examples(source.folder)}
    except MissingError:
        return None
    except ArtifactError as e:
        notes.append(Note(f"shown without examples: {e.message}", hint=e.hint))
        return None


def _checked(
    source: SourceInput, file: EmbeddingsFile, scores: ScoreSet | None, n_features: int
) -> ScoreSet:
    again = f"$do_score({source.name}) makes them"
    if scores is None:
        message = f"{source.name} has no scores by {file.title} yet"
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
