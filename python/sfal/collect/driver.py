"""Stage 1: pass a corpus through a language model once, and count for all its SAEs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from sfal.collect.changed_corpus import continue_with_changed
from sfal.collect.corpus.document import Document
from sfal.collect.corpus.files import kind_of
from sfal.collect.corpus.open import Corpus, no_documents, open_corpus
from sfal.collect.executors.door import open_executor
from sfal.collect.executors.protocol import Executor
from sfal.collect.export import export_histogram
from sfal.collect.inputs import (
    check_local_inputs,
    mixed_devices_note,
    notes_on_chat,
    now,
    start_runs,
    with_corpus,
    with_max_length,
)
from sfal.collect.run import Run
from sfal.collect.session.session import CollectSpec
from sfal.collect.settings import CollectSettings, CorpusConfig
from sfal.collect.training_notes import context_note
from sfal.errors import InvalidInputError, Note, SfalError
from sfal.io.lock import folder_lock
from sfal.sources.source import Source
from sfal.store.layout import source_dir
from sfal.store.manifest import Manifest, has_manifest


@dataclass(frozen=True)
class CollectResult:
    """The outcome for one source."""

    source: Source
    """The source."""
    folder: Path
    """The run's folder."""
    manifest: Manifest | None
    """What is on disk; None if nothing."""
    error: SfalError | None
    """Why the run failed; None if it is complete."""
    counted: int
    """Documents counted by this call; 0 if all had been counted before."""
    histogram: Path | None
    """The histogram, if there is one."""
    note: Note | None
    """Why there is no histogram, if one was expected."""
    notes: tuple[Note, ...] = ()
    """What else the user should know; the manifest keeps these."""


def collect(
    sources: Sequence[Source], settings: CollectSettings, data_dir: str | Path
) -> list[CollectResult]:
    """Count which features of each source occur in which windows of the corpus.

    All sources share each forward pass. Each continues where it stopped; those
    that are complete are not loaded. If one source fails, the others continue.

    Parameters
    ----------
    sources : sequence of Source
        Sources on one language model.
    settings : CollectSettings
        What to count, and how.
    data_dir : str or Path
        Root of the data tree.

    Returns
    -------
    list of CollectResult
        One per source, in their order.

    Raises
    ------
    InvalidInputError
        If the sources have different models or one name, the corpus is empty,
        or a GPU is asked for and there is none.
    DownloadError
        If the model or corpus cannot be fetched.
    KeyboardInterrupt
        With a message that says where each source stopped.
    """
    _check_sources(sources)
    settings = settings.resolved()
    settings, on_corpus = with_corpus(sources, settings, Path(data_dir))
    settings, on_length = with_max_length(sources, settings, Path(data_dir))
    with ExitStack() as locks:
        runs = [_open(source, settings, Path(data_dir), locks) for source in sources]
        try:
            for run in runs:
                for note in (on_corpus, on_length):
                    if note is not None:
                        run.add_note(note)
            check_local_inputs(runs, settings)
            without_examples = _without_examples(runs, settings)
            unfinished = [run for run in runs if run.pending or run in without_examples]
            loaded = _count(unfinished, settings, locks) if unfinished else None
            results = [_finish(run) for run in runs]
            if loaded is not None and without_examples:
                from sfal.collect.examples.gather import gather_examples

                gather_examples(without_examples, *loaded, settings)
            return [
                replace(result, error=run.error) for result, run in zip(results, runs, strict=True)
            ]
        except KeyboardInterrupt:
            for run in runs:
                if run.writer is not None:
                    run.writer.discard()
            raise KeyboardInterrupt(_where_stopped(runs)) from None


def _check_sources(sources: Sequence[Source]) -> None:
    if not sources:
        raise InvalidInputError("no source to count; name a layer and a site")
    models = {source.model for source in sources}
    if len(models) > 1:
        raise InvalidInputError(
            f"the sources have different models ({', '.join(sorted(models))})",
            hint="count the sources of one model at a time",
        )
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(
            f"two of the sources have the name {twice[0]}",
            hint="give one of them another name with $source_name(NAME)",
        )


def _open(source: Source, settings: CollectSettings, data_dir: Path, locks: ExitStack) -> Run:
    """Open the run of a source; it fails at once if its folder is locked or does not match."""
    folder = source_dir(data_dir, source.name, settings.run_name)
    try:
        locks.enter_context(folder_lock(folder, data_dir))
        return Run.open(source, settings, data_dir)
    except SfalError as e:
        return Run(source, folder, settings, error=e)


def _without_examples(runs: Sequence[Run], settings: CollectSettings) -> list[Run]:
    """Return the runs whose examples are requested and do not exist."""
    if not settings.examples:
        return []
    from sfal.collect.examples.gather import lacks_examples

    return [run for run in runs if lacks_examples(run, settings)]


def _count(
    runs: Sequence[Run], settings: CollectSettings, stack: ExitStack
) -> tuple[Corpus, Executor[Any]]:
    """Count what is left; return the corpus and the loaded sessions, which examples need too."""
    from sfal.collect.count import count

    corpus = open_corpus(settings)
    first, documents = _first_document(corpus, settings)
    continue_with_changed(runs, corpus)
    sources = tuple(run.source for run in runs if run.error is None)
    if not sources:
        raise next(run.error for run in runs if run.error is not None)
    spec = CollectSpec(sources, settings)
    executor = stack.enter_context(open_executor(spec, settings, settings.device))
    for run in runs:
        for note in (*corpus.notes, *notes_on_chat(first, executor.facts)):
            run.add_note(note)
    start_runs(runs, executor.facts, corpus)
    if any(run.pending for run in runs):  # otherwise only examples are missing
        count(documents, runs, executor, settings)
    for run in runs:
        for note in executor.notes:
            run.add_note(note)
    return corpus, executor


def _first_document(
    corpus: Corpus, config: CorpusConfig
) -> tuple[Document | None, Iterator[Document]]:
    """Fetch the first document, to fail before the model is loaded; return all of them too."""
    start, _ = config.documents
    documents = corpus.documents(start)
    first = next(documents, None)
    if first is None:
        if start == 0:
            raise no_documents(corpus)
        return None, iter(())
    return first, chain([first], documents)


def _finish(run: Run) -> CollectResult:
    """Write the histogram of a complete run, and return its outcome."""
    histogram, note = None, None
    manifest = run.manifest
    if run.error is None and run.writer is not None and manifest is not None and manifest.complete:
        try:
            if manifest.n_windows == 0 and run.settings.shard is None:
                run.writer.remove()
                run.writer = None
                raise _no_window(run, manifest)
            if run.counted:
                beyond = context_note(run.source, manifest, run.folder)
                for found in (beyond, mixed_devices_note(manifest)):
                    if found is not None:
                        run.add_note(found)
                volatile = {**run.writer.manifest.volatile, "finished": now()}
                run.writer.save(replace(manifest, volatile=volatile))
            histogram, note = export_histogram(run.writer, run.source, run.settings)
        except SfalError as e:
            run.fail(e)
    return CollectResult(
        run.source,
        run.folder,
        run.manifest,
        run.error,
        run.counted,
        histogram,
        note,
        tuple(run.notes),
    )


def _no_window(run: Run, manifest: Manifest) -> InvalidInputError:
    """Return the error of a run without a window, which says how long its documents are."""
    counts = manifest.counts
    column = run.settings.tokens_column or run.settings.text_column
    filled = counts.documents - counts.empty
    if not filled:
        what = f"all {counts.documents:,} documents are empty"
    else:
        what = (
            f"none of the {counts.documents:,} documents is long enough for a window of "
            f"{run.settings.window_size} tokens: {counts.empty:,} are empty, the others have "
            f"{counts.tokens / filled:.1f} on average"
        )
    hints = []
    if filled:
        # The longest document has at least as many tokens as the average one.
        fits = 1 << (max(int(counts.tokens / filled), 1).bit_length() - 1)
        hints.append(f"use $window_size({fits}) or smaller, or other documents")
    if kind_of(Path(run.settings.corpus)) != "text":
        hints.append(f"if {column!r} does not hold them, name the column with $text_column")
    return InvalidInputError(f"{run.source.name}: {what}", hint="; ".join(hints))


def _where_stopped(runs: Sequence[Run]) -> Note:
    lines = []
    for run in runs:
        # From disk: the interrupt may have come right after it was written.
        manifest = Manifest.load(run.folder) if has_manifest(run.folder) else None
        kept = "nothing has been counted yet"
        if manifest and manifest.parts:
            position = manifest.parts[-1].stop
            kept = f"{manifest.n_windows} windows of the documents before {position} are kept"
        lines.append(f"{run.source.name}: {kept}")
    return Note("; ".join(lines), "$do_again continues from there")
