"""Score everything that a selection finds, and write the results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sfal.errors import ArtifactError, SfalError
from sfal.io.atomic import is_read_only
from sfal.scoring.score import ScoreSettings, SourceScores, score_source
from sfal.scoring.selection import Selection, select_sources
from sfal.scoring.tables import WideTable, write_scores
from sfal.terminal.progress import progress


@dataclass(frozen=True)
class Outcome:
    """What a scoring run did."""

    scores: Sequence[SourceScores]
    """One for each source that was scored."""
    refused: Sequence[str]
    """What was asked for and could not be done, each with the way out."""
    notes: Sequence[str]
    """What the user may want to know."""


def score_selection(
    data_dir: Path,
    selection: Selection,
    settings: ScoreSettings | None = None,
    *,
    output: Path | None = None,
) -> Outcome:
    """Score sources on disk; one that is refused does not keep the others back.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree, ours or the published one.
    selection : Selection
        What to score.
    settings : ScoreSettings, optional
    output : Path, optional
        Where the wide CSV goes; none is written by default.

    Raises
    ------
    SfalError
        If nothing at all could be scored, or the CSV cannot be written.
    KeyboardInterrupt
        With a message that says how far it came.
    """
    settings = settings or ScoreSettings()
    selected = select_sources(data_dir, selection)
    scores: list[SourceScores] = []
    refused = [str(error) for error in selected.refused]
    notes = [f"left out: {error}" for error in selected.skipped]
    table = WideTable()
    last: SfalError | None = None
    with progress(len(selected.sources), "scoring", "source") as bar:
        for source in selected.sources:
            bar.note(source=source.name)
            try:
                one = score_source(source, settings)
            except SfalError as e:
                refused.append(_naming(source.name, e))
                last = e
                continue
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"Stopped at {source.name}, after {len(scores)} of {len(selected.sources)} "
                    "sources, before the CSV. The same command scores them all."
                ) from None
            finally:
                bar.update(1)
            refused += [f"{source.name}: {text}" for text in one.refused]
            notes += _few_explained(one, settings.top_n)
            scores.append(one)
            table.add(one)
            try:
                write_scores(one, settings.top_n)
            except ArtifactError as e:
                # A folder that nobody may write, such as published data, is no failure.
                (notes if is_read_only(e) else refused).append(
                    f"no scores.parquet for {source.name}: {e}"
                )
    if not scores:
        raise type(last or ArtifactError())("; ".join(refused)) from last
    if output is not None:
        table.write(output)
    return Outcome(scores, refused, notes)


def _naming(source: str, error: SfalError) -> str:
    text = str(error)
    return text if source in text else f"{source}: {text}"


def _few_explained(one: SourceScores, top_n: int) -> Iterator[str]:
    """Say where a tenth of semantic lists is features without an explanation, all alike to cosine."""
    listed = min(top_n, one.n_features - 1)
    for scores in one.embeddings:
        if scores.n_explained - 1 < 0.9 * listed:
            yield (
                f"{one.source.name}: {scores.n_explained:,} of {one.n_features:,} features are "
                f"explained ({scores.embedder}, {scores.stem}), so that the {listed:,} semantic "
                "neighbours of each include unexplained ones, ranked by index alone; the fewer are "
                "explained, the less comparable are the scores"
            )
