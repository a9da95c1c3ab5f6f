"""Score everything that a selection finds, and write the results."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import ArtifactError, CombinedError, Note, SfalError
from sfal.io.atomic import is_read_only
from sfal.scoring.misplaced import chance_note
from sfal.scoring.score import SourceScores, score_source
from sfal.scoring.selection import Selection, select_sources
from sfal.scoring.settings import ScoreSettings
from sfal.scoring.summary import differing_explainers
from sfal.scoring.tables.long_table import write_scores
from sfal.scoring.tables.wide_table import WideTable
from sfal.terminal.progress import progress


@dataclass(frozen=True)
class Outcome:
    """What a scoring run did."""

    scores: Sequence[SourceScores]
    """One for each source that was scored."""
    refused: Sequence[SfalError]
    """What was requested and could not be done."""
    notes: Sequence[Note]
    """What the user may want to know."""


def score_selection(
    data_dir: Path,
    selection: Selection,
    settings: ScoreSettings | None = None,
    *,
    output: Path | None = None,
) -> Outcome:
    """Score sources on disk; a source that is refused does not stop the others.

    Writes ``scores.parquet`` into the folder of each run.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree, ours or the published one.
    selection : Selection
        What to score.
    settings : ScoreSettings, optional
    output : Path, optional
        Where the wide CSV goes; none is written by default.

    Returns
    -------
    Outcome

    Raises
    ------
    SfalError
        If nothing could be scored (:class:`CombinedError` if there are several
        reasons), or the CSV cannot be written.
    KeyboardInterrupt
        With a message that says how many sources were scored.
    """
    settings = settings or ScoreSettings()
    selected = select_sources(data_dir, selection)
    refused = list(selected.refused)
    notes = [Note(f"left out: {error.message}", error.hint) for error in selected.skipped]
    scores: list[SourceScores] = []
    table = WideTable()
    with progress(len(selected.sources), "scoring", "source") as bar:
        for source in selected.sources:
            bar.note(source=source.name)
            try:
                one = score_source(source, settings)
            except SfalError as e:
                refused += _located(source.name, e)
                continue
            except KeyboardInterrupt:
                where = f"at {source.name}, after {len(scores)} of {len(selected.sources)} sources"
                raise KeyboardInterrupt(
                    Note(f"Stopped {where}, before the CSV", "$do_again scores them all")
                ) from None
            finally:
                bar.update(1)
            for error in one.refused:
                refused += _located(source.name, error)
            notes += [*one.notes, *_few_explained(one), *_at_chance(one)]
            scores.append(one)
            table.add(one)
            try:
                write_scores(one)
            except ArtifactError as e:
                message = f"no scores.parquet for {source.name}: {e.message}"
                # A folder that nobody can write to, such as published data, is not a failure.
                if is_read_only(e):
                    notes.append(Note(message, e.hint))
                else:
                    refused.append(ArtifactError(message, hint=e.hint))
    if not scores:
        raise refused[0] if len(refused) == 1 else CombinedError(refused)
    differing = differing_explainers(scores)
    if differing is not None:
        notes.append(differing)
    if output is not None:
        table.write(output)
    return Outcome(scores, refused, notes)


def _located(source: str, error: SfalError) -> Iterator[SfalError]:
    """Split an error into its parts, and name the source in those that do not."""
    for part in error.errors if isinstance(error, CombinedError) else (error,):
        if source not in part.message:
            part = copy(part)
            part.message = f"{source}: {part.message}"
        yield part


def _at_chance(one: SourceScores) -> Iterator[Note]:
    """Note where the labels of a source fit no better than chance."""
    for scores in one.embeddings:
        note = chance_note(
            one.source.name, scores.embedder, scores.explainer, scores.features.p_label
        )
        if note is not None:
            yield note


def _few_explained(one: SourceScores) -> Iterator[Note]:
    """Note where a tenth of the semantic lists is unexplained features, all equal by cosine."""
    if one.settings.candidates != "all":
        return
    listed = min(one.settings.top_n, one.n_features - 1)
    for scores in one.embeddings:
        if scores.n_explained - 1 < 0.9 * listed:
            yield Note(
                f"{one.source.name}: {scores.n_explained:,} of {one.n_features:,} features are "
                f"explained ({scores.embedder}, {scores.stem}), so that the {listed:,} semantic "
                "neighbours of each include unexplained ones, which all tie; the fewer are "
                "explained, the less comparable are the scores",
                hint="leave out $candidates(all) to rank the comparable features alone",
            )
