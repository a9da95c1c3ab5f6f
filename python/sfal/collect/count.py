"""Counting: each buffer of documents to a session, and the windows it finds to every run."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from sfal.collect.batching import Buffer, buffers
from sfal.collect.corpus.document import Document
from sfal.collect.corpus.open import FirstDocuments, RunningHash
from sfal.collect.executors.protocol import Answer, Executor, map_buffers
from sfal.collect.run import Run
from sfal.collect.session.session import Counted, CountTask
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.collect.throughput import KEY
from sfal.errors import SfalError
from sfal.terminal.progress import progress


def count(
    documents: Iterator[Document],
    runs: Sequence[Run],
    executor: Executor[Any],
    settings: CollectSettings,
) -> None:
    """Count what is left of the runs, buffer by buffer.

    If a run fails, the others continue.

    Parameters
    ----------
    documents : iterator of Document
        Documents to count, from the first on.
    runs : sequence of Run
        Started; at least one has something left.
    executor : Executor
        Its sessions have loaded the model and the SAEs of the runs.
    settings : CollectSettings
        What to count, and how.

    Raises
    ------
    SfalError
        If the corpus cannot be read further, or no worker is left. What has
        been counted is kept.
    """
    start, stop = settings.documents
    text_hash, first = RunningHash(), FirstDocuments()
    position = start
    speed = executor.facts.speed.on(executor.workers)
    tasks = _tasks(buffers(documents, start, stop, BUFFER_DOCUMENTS), runs)
    clock = time.perf_counter()
    try:
        with (
            progress(stop - start, f"counting, {runs[0].model_name}", "document") as bar,
            closing(map_buffers(executor, tasks)) as answers,
        ):
            for answer in answers:
                buffer = answer.task.buffer
                for text in buffer.texts:
                    text_hash.add(text)
                    first.add(text)
                for run in runs:
                    run.note(**{FirstDocuments.KEY: first.hashes})
                position = buffer.stop
                _append(answer, text_hash.value, runs)
                now = time.perf_counter()
                if answer.found.tokens:  # documents counted earlier pass faster
                    speed = speed.plus(answer.found.tokens, now - clock)
                    for run in runs:
                        run.note(**{KEY: asdict(speed)})
                clock = now
                bar.update(len(buffer.texts))
                if not any(run.pending for run in runs):
                    break
    except SfalError:
        # Keep what has been counted.
        for run in runs:
            _finish_writing(run, None)
        raise
    ended = position if position < stop and any(run.pending for run in runs) else None
    for run in runs:
        _finish_writing(run, ended)


def _finish_writing(run: Run, corpus_ended_at: int | None) -> None:
    if run.error is None and run.writer is not None:
        try:
            run.writer.finish(corpus_ended_at)
        except SfalError as e:
            run.fail(e)


def _tasks(found: Iterator[Buffer], runs: Sequence[Run]) -> Iterator[CountTask]:
    """Yield buffers with the sources that are to be counted in them.

    This runs in its own thread, so that reading costs no time while the model
    runs. All it knows of what is left is what was left at the start.
    """
    left = [
        (run, run.writer.manifest.gaps)
        for run in runs
        if run.error is None and run.writer is not None
    ]
    for buffer in found:
        wanted = tuple(
            run.source.name
            for run, gaps in left
            if run.error is None
            and any(start < buffer.stop and buffer.first < stop for start, stop in gaps)
        )
        yield CountTask(buffer, wanted)


def _append(
    answer: Answer[CountTask],
    documents_sha256: str,
    runs: Sequence[Run],
) -> None:
    """Give the windows of one buffer to the runs that still need it."""
    buffer, counted = answer.task.buffer, answer.found
    assert isinstance(counted, Counted)
    for run in runs:
        if run.error is not None:
            continue
        try:
            if not run.wants(buffer.first, buffer.stop):
                run.check_documents(buffer.stop, documents_sha256)
                continue
            found = counted.sources[run.source.name]
            if isinstance(found, SfalError):
                raise found
            run.append(buffer.first, *found, documents_sha256, answer.device)
        except SfalError as e:
            run.fail(e)
