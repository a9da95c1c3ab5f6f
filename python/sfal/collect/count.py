"""The pass over a corpus: each buffer of documents through the model, and to every job."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict

from sfal.collect.batching import Buffer, BufferWindows, Plan, buffers, plan_buffer
from sfal.collect.corpus.open import RunningHash
from sfal.collect.firing import fired_windows
from sfal.collect.inputs import point
from sfal.collect.model.language_model import LanguageModel
from sfal.collect.model.oom import max_elements
from sfal.collect.run import Job
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.collect.throughput import KEY, standing_start
from sfal.errors import SfalError
from sfal.io.prefetch import ahead
from sfal.terminal.progress import progress

Plans = dict[bool | None, Plan]
"""How a buffer passes the model, by the rule of BOS."""


def count(
    documents: Iterator[str],
    jobs: Sequence[Job],
    model: LanguageModel,
    settings: CollectSettings,
) -> None:
    """Count what is left of the jobs, buffer by buffer.

    A job that is refused is given up, and the others go on.

    Parameters
    ----------
    documents : iterator of str
        Texts of the run's documents, from the first on.
    jobs : sequence of Job
        With their SAEs; at least one has something left.
    model : LanguageModel
        Which they read.
    settings : CollectSettings
        What to count, and how.

    Raises
    ------
    SfalError
        If the corpus breaks off. What has been counted so far is kept.
    """
    start, stop = settings.documents
    passed = RunningHash()
    position = start
    speed = standing_start(model, sum(job.error is None for job in jobs), settings)
    found = buffers(documents, start, stop, BUFFER_DOCUMENTS)
    clock = time.perf_counter()
    try:
        with (
            progress(stop - start, f"counting, {jobs[0].model_name}", "document") as bar,
            closing(ahead(_planned(found, _left(jobs), model, settings))) as planned,
        ):
            for buffer, plans in planned:
                for text in buffer.texts:
                    passed.add(text)
                position = buffer.stop
                tokens = _count_buffer(buffer, plans, passed.value, jobs, model, settings)
                moment = time.perf_counter()
                if tokens:  # what was counted before passes faster
                    speed = speed.plus(tokens, moment - clock)
                    for job in jobs:
                        job.note(**{KEY: asdict(speed)})
                clock = moment
                bar.update(len(buffer.texts))
                if not any(job.pending for job in jobs):
                    break
    except SfalError:
        # The corpus broke off; what has been counted so far need not be counted again.
        for job in jobs:
            _finish_writing(job, None)
        raise
    ended = position if position < stop and any(job.pending for job in jobs) else None
    for job in jobs:
        _finish_writing(job, ended)


def _finish_writing(job: Job, corpus_ended_at: int | None) -> None:
    if job.error is None and job.writer is not None:
        try:
            job.writer.finish(corpus_ended_at)
        except SfalError as e:
            job.fail(e)


def _left(jobs: Sequence[Job]) -> list[tuple[bool | None, list[tuple[int, int]]]]:
    """Of each job the rule of BOS, and the documents that it has not counted yet."""
    return [
        (job.source.prepend_bos, job.writer.manifest.gaps)
        for job in jobs
        if job.error is None and job.writer is not None
    ]


def _planned(
    found: Iterator[Buffer],
    left: Sequence[tuple[bool | None, Sequence[tuple[int, int]]]],
    model: LanguageModel,
    settings: CollectSettings,
) -> Iterator[tuple[Buffer, Plans]]:
    """Buffers with the plans that jobs will want.

    Runs in a thread of its own, so that reading and tokenising cost no time
    while a GPU counts; of the jobs it knows what was left when it began.
    """
    for buffer in found:
        rules = {
            prepend_bos
            for prepend_bos, gaps in left
            if any(start < buffer.stop and buffer.first < stop for start, stop in gaps)
        }
        yield buffer, {bos: plan_buffer(buffer.texts, model, settings, bos) for bos in rules}


def _count_buffer(
    buffer: Buffer,
    plans: Plans,
    documents_sha256: str,
    jobs: Sequence[Job],
    model: LanguageModel,
    settings: CollectSettings,
) -> int:
    """Pass one buffer through the model, for the jobs that want it; how many tokens passed."""
    wanting: dict[bool | None, list[Job]] = {}
    for job in jobs:
        if job.wants(buffer.first, buffer.stop):
            wanting.setdefault(job.source.prepend_bos, []).append(job)
        elif job.error is None:
            try:
                job.passed(buffer.stop, documents_sha256)
            except SfalError as e:
                job.fail(e)
    tokens = 0
    for prepend_bos, same in wanting.items():
        plan = plans[prepend_bos]
        _count_alike(buffer.first, plan, documents_sha256, same, model, settings)
        tokens = plan.counts.tokens
    return tokens


def _count_alike(
    first: int,
    plan: Plan,
    documents_sha256: str,
    jobs: Sequence[Job],
    model: LanguageModel,
    settings: CollectSettings,
) -> None:
    """Count the buffer that begins at a document, for jobs that want the same tokens."""
    found = {job.source.name: BufferWindows(first, plan) for job in jobs}
    for batch in plan.batches:
        activations = model.activations([plan.ids[place] for place in batch])
        for job in jobs:
            if job.error is not None or job.sae is None:
                continue
            place = point(job.source)
            try:
                fired = fired_windows(
                    activations[place],
                    [plan.windows[place] for place in batch],
                    job.sae,
                    max_elements(job.sae.device),
                    hook=f"{place} of {model.name}",
                    documents=[first + place for place in batch],
                )
            except SfalError as e:
                job.fail(e)
                continue
            found[job.source.name].add(batch, *fired)
    for job in jobs:
        if job.error is None:
            windows = found[job.source.name].windows()
            try:
                job.append(first, windows, plan.counts, documents_sha256)
            except SfalError as e:
                job.fail(e)
