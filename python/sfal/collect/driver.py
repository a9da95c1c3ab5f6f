"""Stage 1: pass a corpus through a language model once, and count for all its SAEs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from sfal.collect.corpus.open import Corpus
from sfal.collect.export import export_histogram
from sfal.collect.inputs import check_in_place, load_corpus, load_model, load_saes, now
from sfal.collect.run import Job
from sfal.collect.settings import CollectSettings
from sfal.errors import InvalidInputError, SfalError
from sfal.io.lock import folder_lock
from sfal.sources.source import Source
from sfal.store.layout import source_dir
from sfal.store.manifest import Manifest, has_manifest

if TYPE_CHECKING:
    from sfal.collect.model.load import LanguageModel


@dataclass(frozen=True)
class CollectResult:
    """What became of one source."""

    source: Source
    """The source."""
    folder: Path
    """Where the run lies."""
    manifest: Manifest | None
    """What is there; None if nothing."""
    error: SfalError | None
    """Why it was given up; None if it is done."""
    counted: int
    """Documents counted now; 0 where all had been counted before."""
    histogram: Path | None
    """The histogram, where there is one."""
    note: str | None
    """What else the user should know."""


def collect(
    sources: Sequence[Source], settings: CollectSettings, data_dir: str | Path
) -> list[CollectResult]:
    """Count which features of each source occur in which windows of the corpus.

    All sources share each forward pass. Each goes on where it stopped; those
    that are complete are not loaded. A source that is refused does not stop
    the others.

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
        One a source, in their order.

    Raises
    ------
    InvalidInputError
        If the sources have different models or one name, the corpus is empty,
        or a GPU is asked for and there is none.
    DownloadError
        If model or corpus cannot be fetched.
    KeyboardInterrupt
        With a message that says where each source stopped.
    """
    _check_sources(sources)
    settings = settings.resolved()
    with ExitStack() as locks:
        jobs = [_open(source, settings, Path(data_dir), locks) for source in sources]
        try:
            check_in_place(jobs, settings)
            lacking = _lacking_examples(jobs, settings)
            pending = [job for job in jobs if job.pending or job in lacking]
            loaded = _count(pending, settings) if pending else None
            results = [_finish(job) for job in jobs]
            if loaded is not None and lacking:
                from sfal.collect.examples.gather import gather_examples

                gather_examples(lacking, *loaded, settings)
            return [
                replace(result, error=job.error) for result, job in zip(results, jobs, strict=True)
            ]
        except KeyboardInterrupt:
            for job in jobs:
                if job.writer is not None:
                    job.writer.discard()
            raise KeyboardInterrupt(_where_stopped(jobs)) from None


def _check_sources(sources: Sequence[Source]) -> None:
    if not sources:
        raise InvalidInputError("no source to count; name a layer and a site")
    models = {source.model for source in sources}
    if len(models) > 1:
        raise InvalidInputError(
            f"the sources have different models ({', '.join(sorted(models))}); "
            "give each model a run of its own"
        )
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"two of the sources go by the name {twice[0]}; see --source NAME")


def _open(source: Source, settings: CollectSettings, data_dir: Path, locks: ExitStack) -> Job:
    """Job of a source, given up at once if its folder is locked or does not fit."""
    folder = source_dir(data_dir, source.name, settings.run_name)
    try:
        locks.enter_context(folder_lock(folder, data_dir))
        return Job.open(source, settings, data_dir)
    except SfalError as e:
        return Job(source, folder, settings, error=e)


def _lacking_examples(jobs: Sequence[Job], settings: CollectSettings) -> list[Job]:
    """Jobs whose examples are asked for and not there."""
    if not settings.examples:
        return []
    from sfal.collect.examples.gather import lacks_examples

    return [job for job in jobs if lacks_examples(job, settings)]


def _count(jobs: Sequence[Job], settings: CollectSettings) -> "tuple[Corpus, LanguageModel]":
    """Count what is left of the jobs; corpus and model serve the examples too."""
    from sfal.collect.count import count

    corpus = load_corpus(settings)
    documents = _not_empty(corpus, settings)
    model = load_model(jobs, settings)
    load_saes(jobs, model, corpus, settings)
    if any(job.pending for job in jobs):  # else only examples are wanting
        count(documents, jobs, model, settings)
    return corpus, model


def _not_empty(corpus: Corpus, settings: CollectSettings) -> Iterator[str]:
    """Documents of the run; the first is fetched now, so that errors come before the loading."""
    start, _ = settings.documents
    documents = corpus.documents(start)
    first = next(documents, None)
    if first is None:
        if start == 0:
            raise InvalidInputError(f"corpus {corpus.name} holds no documents")
        return iter(())
    return chain([first], documents)


def _finish(job: Job) -> CollectResult:
    """Write the histogram of a source that is complete, and say how it stands."""
    histogram, note = None, None
    manifest = job.manifest
    if job.error is None and job.writer is not None and manifest is not None and manifest.complete:
        try:
            if manifest.n_windows == 0 and job.settings.shard is None:
                raise InvalidInputError(
                    f"{job.source.name}: none of {manifest.counts.documents} documents has a "
                    f"window of {job.settings.window_size} tokens; take a smaller --k, or other "
                    "documents"
                )
            if job.counted:
                volatile = {**manifest.volatile, "finished": now()}
                job.writer.save(replace(manifest, volatile=volatile))
            histogram, note = export_histogram(job.writer, job.source, job.settings)
        except SfalError as e:
            job.fail(e)
    return CollectResult(
        job.source, job.folder, job.manifest, job.error, job.counted, histogram, note
    )


def _where_stopped(jobs: Sequence[Job]) -> str:
    lines = []
    for job in jobs:
        # From the disk: the interruption may have come right after it was written.
        manifest = Manifest.load(job.folder) if has_manifest(job.folder) else None
        kept = "nothing is counted yet"
        if manifest and manifest.parts:
            position = manifest.parts[-1].stop
            kept = f"{manifest.n_windows} windows of the documents before {position} are kept"
        lines.append(f"{job.source.name}: {kept}")
    return "; ".join(lines) + ". The same command goes on from there."
