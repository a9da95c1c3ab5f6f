"""Explanations of several sources: downloaded, or made from examples."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sfal.errors import InvalidInputError, Note, SfalError
from sfal.explanations.chosen_summary import ChosenSummary
from sfal.explanations.each_source import (
    Sources,
    interrupted_at,
    requested_sources,
    uncounted_note,
)
from sfal.explanations.firing_rates import check_firing_rates
from sfal.explanations.from_examples import LabelSummary, explain_source
from sfal.explanations.settings import DownloadSettings
from sfal.explanations.source_explanations import (
    choose_explanations,
    holds_own_explanations,
    keep_notes,
)
from sfal.io.web.http_errors import UnreachableError
from sfal.sources.neuronpedia import explanation_notes
from sfal.store.layout import DEFAULT_DATA_DIR
from sfal.store.source_folder import SourceFolder


@dataclass(frozen=True)
class DownloadResult:
    """The result of the download for one source."""

    source: str
    """Name of the source."""
    chosen: ChosenSummary | None = None
    """What was chosen; None if it failed or nothing was to be done."""
    error: SfalError | None = None
    """Why it failed; None if it did not."""
    kept_own: bool = False
    """Whether explanations from the user's file or from examples were kept instead."""
    notes: tuple[Note, ...] = ()
    """What the user should know about the explanations."""


@dataclass(frozen=True)
class LabelResult:
    """The result of labelling the features of one source."""

    source: str
    """Name of the source."""
    labelled: LabelSummary | None = None
    """What was labelled; None if it failed."""
    error: SfalError | None = None
    """Why it failed; None if it did not."""


def download_explanations(
    sources: Sources,
    settings: DownloadSettings | None = None,
    data_dir: str | Path = DEFAULT_DATA_DIR,
    *,
    on_result: Callable[[DownloadResult], None] | None = None,
) -> list[DownloadResult]:
    """Fetch explanations from Neuronpedia and choose one per feature, as ``sfal embeddings`` does.

    Writes ``explanations.parquet`` into each source's folder. Batches that were
    fetched before and have not changed are not fetched again. A source that
    fails does not stop the others.

    Parameters
    ----------
    sources : str, Source, or sequence of these
        Sources, such as ``gemma-2-2b/0-gemmascope-res-16k``.
    settings : DownloadSettings, optional
        Where explanations come from, and which are chosen.
    data_dir : str or Path
        Root of the data tree.
    on_result : callable, optional
        Receives each result as soon as it is known.

    Returns
    -------
    list of DownloadResult
        One per source, in order.

    Raises
    ------
    InvalidInputError
        If there is no source, a name cannot be one, or a file is given for
        several sources.
    KeyboardInterrupt
        With a :class:`sfal.errors.Note` that names the source in progress.
    """
    settings = settings or DownloadSettings()
    requested = requested_sources(sources, Path(data_dir))
    if settings.explanations_file is not None and len(requested) != 1:
        raise InvalidInputError(
            f"{settings.explanations_file} explains one source, but {len(requested)} are given",
            hint="name the one with $sources",
        )
    impatient = replace(settings, patience=replace(settings.patience, attempts=1))
    results = []
    is_unreachable = False
    for source in requested:
        with interrupted_at(source.name):
            # After a server that did not answer, the next source gets a single attempt.
            result = _download(source, impatient if is_unreachable else settings)
        if isinstance(result.error, UnreachableError):
            is_unreachable = True
        elif result.chosen is not None:
            is_unreachable = False
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def explain_features(
    sources: Sources,
    data_dir: str | Path = DEFAULT_DATA_DIR,
    *,
    n_words: int = 4,
    force: bool = False,
    on_result: Callable[[LabelResult], None] | None = None,
) -> list[LabelResult]:
    """Label features by the words on which they fire most strongly, as ``sfal explain`` does.

    The labels are written as explanations of type ``top-tokens`` by ``sfal``,
    for sources that nobody has explained. They need the max-activating examples
    that :func:`sfal.collect` gathers where its setting ``examples`` says so.
    See :mod:`sfal.explanations.labels` for what scores with such labels do not
    show. A source that fails does not stop the others.

    Parameters
    ----------
    sources : str, Source, or sequence of these
        Sources.
    data_dir : str or Path
        Root of the data tree.
    n_words : int
        Most words of a label. Must be > 0.
    force : bool
        Replace explanations of another kind.
    on_result : callable, optional
        Receives each result as soon as it is known.

    Returns
    -------
    list of LabelResult
        One per source, in order.

    Raises
    ------
    InvalidInputError
        If there is no source, or a name cannot be one.
    KeyboardInterrupt
        With a :class:`sfal.errors.Note` that names the source in progress.
    """
    results = []
    for source in requested_sources(sources, Path(data_dir)):
        with interrupted_at(source.name):
            try:
                summary = explain_source(source, n_words, force=force)
                result = LabelResult(source.name, summary)
            except SfalError as e:
                result = LabelResult(source.name, error=e)
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def _download(source: SourceFolder, settings: DownloadSettings) -> DownloadResult:
    may_keep = settings.keep_own and settings.explanations_file is None
    try:
        if may_keep and holds_own_explanations(source):
            return DownloadResult(source.name, kept_own=True)
        chosen = choose_explanations(source, settings)
        notes = chosen.notes
        if settings.explanations_file is None:
            notes = _notes(source, settings)
            keep_notes(source, notes)
        elif (uncounted := uncounted_note(source)) is not None:
            # Neuronpedia would not know a misspelt name; a file says nothing about it.
            notes = (*notes, uncounted)
        return DownloadResult(source.name, chosen, notes=notes)
    except SfalError as e:
        return DownloadResult(source.name, error=e)


def _notes(source: SourceFolder, settings: DownloadSettings) -> tuple[Note, ...]:
    """Return what is odd about explanations that come from Neuronpedia."""
    once = replace(settings.patience, attempts=1)
    rates = check_firing_rates(source, once)
    return (*explanation_notes(source.neuronpedia_id), *([] if rates is None else [rates]))
