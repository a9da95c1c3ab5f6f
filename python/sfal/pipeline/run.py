"""All stages for some sources: count, download explanations, embed them, score."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sfal.collect.driver import CollectResult, collect
from sfal.embeddings.driver import EmbedResult, embed_explanations
from sfal.errors import MissingError, SfalError
from sfal.explanations.driver import DownloadResult, download_explanations
from sfal.pipeline.settings import RunSettings
from sfal.scoring.driver import Outcome, score_selection
from sfal.scoring.selection import Selection
from sfal.sources import Source, resolve_named
from sfal.store.layout import DEFAULT_DATA_DIR
from sfal.store.source_folder import SourceFolder

StageResult = CollectResult | DownloadResult | EmbedResult | Outcome | SfalError
"""What a stage did for a source; the scores of all; or why a stage failed as a whole."""


@dataclass
class RunResult:
    """What all stages did."""

    counted: list[CollectResult] = field(default_factory=list)
    """Stage 1, one per source."""
    explained: list[DownloadResult] = field(default_factory=list)
    """Stage 2, first half: one per source that was counted."""
    embedded: list[EmbedResult] = field(default_factory=list)
    """Stage 2, second half: one per embedder and source with explanations."""
    scores: Outcome | None = None
    """Stage 3; None if nothing could be scored."""
    failures: list[SfalError] = field(default_factory=list)
    """Errors that are not in a stage's results: unknown sources, stages that failed as a whole."""

    @property
    def errors(self) -> list[SfalError]:
        """Every error, stage by stage, without what scoring refused (see ``scores.refused``)."""
        stages = (self.counted, self.explained, self.embedded)
        found = (result.error for results in stages for result in results)
        return [*self.failures, *(error for error in found if error is not None)]


def run(
    sources: str | Source | Sequence[str | Source],
    settings: RunSettings | None = None,
    data_dir: str | Path = DEFAULT_DATA_DIR,
    *,
    on_result: Callable[[StageResult], None] | None = None,
) -> RunResult:
    """Count, download and embed explanations, and score, as ``sfal run`` does.

    What is on disk is not done again. Sources on the same language model share
    each forward pass. A source that fails in one stage does not stop the
    others; it is left out of the stages after it, but scored if it was counted
    and has embeddings from an earlier run.

    Parameters
    ----------
    sources : str, Source, or sequence of these
        Neuronpedia ids, as :func:`sfal.sources.registry` lists them, or sources
        from one of the functions in :mod:`sfal.sources`.
    settings : RunSettings, optional
        Settings of each stage.
    data_dir : str or Path
        Root of the data tree.
    on_result : callable, optional
        Receives each result as soon as it is known.

    Returns
    -------
    RunResult
        The results of all stages.

    Raises
    ------
    InvalidInputError
        If an embedder is a folder without a model.
    KeyboardInterrupt
        With a message or a :class:`sfal.errors.Note` that says where it stopped.
    """
    settings = settings or RunSettings()
    data_dir = Path(data_dir)
    settings.embed.embedders()  # refuse unusable ones now rather than after hours of counting
    tell = on_result or _ignore
    result = RunResult()
    counted: Sequence[str | Source]
    if settings.counted:
        counted, result.failures = counted_sources(sources, settings.collect.run, data_dir)
    else:
        found, result.failures = resolve_sources(sources)
    for error in result.failures:
        tell(error)
    if not settings.counted:
        result.counted = _count(found, settings, data_dir, result.failures, tell)
        counted = [one.source for one in result.counted if one.error is None]
    if not counted:
        return result
    names = [one if isinstance(one, str) else one.name for one in counted]
    # Explanations that came with the counts are those that the counts are to be scored with.
    there = [n for n in names if settings.counted and _has_explanations(n, settings, data_dir)]
    missing = [one for one, name in zip(counted, names, strict=True) if name not in there]
    if missing:
        result.explained = download_explanations(
            missing, settings.download, data_dir, on_result=tell
        )
    explained = there + [one.source for one in result.explained if one.error is None]
    if explained:
        result.embedded = embed_explanations(explained, settings.embed, data_dir, on_result=tell)
    result.scores = _score(names, settings, data_dir, result.failures, tell)
    return result


def resolve_sources(
    sources: str | Source | Iterable[str | Source],
) -> tuple[list[Source], list[SfalError]]:
    """Return the sources that have the given names, and the errors for the other names.

    Parameters
    ----------
    sources : str, Source, or iterable of these
        Names and sources; each name counts once.
    """
    given = [sources] if isinstance(sources, str | Source) else sources
    found: dict[str, Source] = {}
    errors = []
    for source in dict.fromkeys(given):
        try:
            resolved = resolve_named(source) if isinstance(source, str) else source
        except SfalError as e:
            errors.append(e)
        else:
            found.setdefault(resolved.name, resolved)
    return list(found.values()), errors


def counted_sources(
    sources: str | Source | Iterable[str | Source], run: str | None, data_dir: Path
) -> tuple[list[str], list[SfalError]]:
    """Return the names of the sources that have been counted, and the errors for the others.

    Parameters
    ----------
    sources : str, Source, or iterable of these
        Names and sources; each name counts once.
    run : str or None
        Name of a further run; None: the first one.
    data_dir : Path
        Root of the data tree.
    """
    given = [sources] if isinstance(sources, str | Source) else sources
    names, errors = [], []
    for name in dict.fromkeys(one if isinstance(one, str) else one.name for one in given):
        try:
            counts = SourceFolder.open(data_dir, name).run(run)
            if not counts.has_counts:
                raise MissingError(
                    f"{name} has not been counted in {data_dir}",
                    hint="leave out $counted to count it, or fetch it with $do_pull",
                )
            names.append(name)
        except SfalError as e:
            errors.append(e)
    return names, errors


def by_model(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Group sources by language model, in order of appearance."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(source.model, []).append(source)
    return groups


def _count(
    sources: Sequence[Source],
    settings: RunSettings,
    data_dir: Path,
    failures: list[SfalError],
    tell: Callable[[StageResult], None],
) -> list[CollectResult]:
    results = []
    for group in by_model(sources).values():
        try:
            counted = collect(group, settings.collect, data_dir)
        except SfalError as e:
            failures.append(e)
            tell(e)
            continue
        results += counted
        for result in counted:
            tell(result)
    return results


def _has_explanations(name: str, settings: RunSettings, data_dir: Path) -> bool:
    chooses = settings.download.explanations_file or settings.download.explainers
    return not chooses and SourceFolder.open(data_dir, name).has_explanations


def _score(
    names: Sequence[str],
    settings: RunSettings,
    data_dir: Path,
    failures: list[SfalError],
    tell: Callable[[StageResult], None],
) -> Outcome | None:
    """Score the sources that have embeddings; why others have none has been said."""
    embedded = tuple(name for name in names if SourceFolder.open(data_dir, name).embeddings)
    if not embedded:
        return None
    selection = Selection(sources=embedded, run=settings.collect.run)
    try:
        outcome = score_selection(data_dir, selection, settings.score, output=settings.output)
    except SfalError as e:
        failures.append(e)
        tell(e)
        return None
    tell(outcome)
    return outcome


def _ignore(result: StageResult) -> None:
    pass
