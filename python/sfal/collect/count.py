"""Counting: each buffer of documents through the model, and its windows to every run."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict

from sfal.collect.batching import Buffer, BufferWindows, Plan, buffers, plan_buffer
from sfal.collect.corpus.document import Document
from sfal.collect.corpus.open import FirstDocuments, RunningHash
from sfal.collect.firing import fired_windows
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.language_model import LanguageModel
from sfal.collect.model.oom import max_elements
from sfal.collect.model_pass import model_pass
from sfal.collect.run import Run
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.collect.throughput import KEY, initial_speed
from sfal.errors import SfalError
from sfal.io.prefetch import prefetched
from sfal.store.parts import Windows
from sfal.terminal.progress import progress

Plans = dict[bool | None, Plan]
"""How a buffer passes the model, for each value of ``prepend_bos``."""


def count(
    documents: Iterator[Document],
    runs: Sequence[Run],
    model: LanguageModel,
    settings: CollectSettings,
) -> None:
    """Count what is left of the runs, buffer by buffer.

    If a run fails, the others continue.

    Parameters
    ----------
    documents : iterator of Document
        Documents to count, from the first on.
    runs : sequence of Run
        With their SAEs; at least one has something left.
    model : LanguageModel
        The model that the SAEs read.
    settings : CollectSettings
        What to count, and how.

    Raises
    ------
    SfalError
        If the corpus cannot be read further. What has been counted is kept.
    """
    start, stop = settings.documents
    text_hash, first = RunningHash(), FirstDocuments()
    position = start
    speed = initial_speed(model, sum(run.error is None for run in runs))
    found = buffers(documents, start, stop, BUFFER_DOCUMENTS)
    clock = time.perf_counter()
    try:
        with (
            progress(stop - start, f"counting, {runs[0].model_name}", "document") as bar,
            closing(prefetched(_planned(found, _left(runs), model, settings))) as planned,
        ):
            for buffer, plans in planned:
                for text in buffer.texts:
                    text_hash.add(text)
                    first.add(text)
                for run in runs:
                    run.note(**{FirstDocuments.KEY: first.hashes})
                position = buffer.stop
                tokens = _count_buffer(buffer, plans, text_hash.value, runs, model)
                now = time.perf_counter()
                if tokens:  # documents counted earlier pass faster
                    speed = speed.plus(tokens, now - clock)
                    for run in runs:
                        run.note(**{KEY: asdict(speed)})
                clock = now
                bar.update(len(buffer.texts))
                if not any(run.pending for run in runs):
                    break
    except SfalError:
        # The corpus cannot be read further; keep what has been counted.
        for run in runs:
            _finish_writing(run, None)
        raise
    ended = position if position < stop and any(run.pending for run in runs) else None
    for run in runs:
        _finish_writing(run, ended)


def count_windows(
    first: int, plan: Plan, runs: Sequence[Run], model: LanguageModel
) -> dict[str, Windows]:
    """Pass a buffer through the model, and find the features of its windows for each run.

    A run fails if its activations are not finite or do not fit into memory.

    Parameters
    ----------
    first : int
        Ordinal of the buffer's first document.
    plan : Plan
        Its tokens, windows and batches.
    runs : sequence of Run
        Runs that read the same tokens, with their SAEs.
    model : LanguageModel
        The model that the SAEs read.

    Returns
    -------
    dict of str to Windows
        By the source's name, for the runs that have not failed.
    """
    found = {run.source.name: BufferWindows(first, plan) for run in runs}
    for run, sae, batch, activations in model_pass(model, plan.ids, plan.batches, runs):
        try:
            fired = fired_windows(
                activations,
                [plan.windows[document] for document in batch],
                sae,
                max_elements(sae.device),
                hook=f"{HookPoint.of(run.source)} of {model.name}",
                documents=[first + document for document in batch],
            )
        except SfalError as e:
            run.fail(e)
            continue
        found[run.source.name].add(batch, *fired)
    return {run.source.name: found[run.source.name].windows() for run in runs if run.error is None}


def _finish_writing(run: Run, corpus_ended_at: int | None) -> None:
    if run.error is None and run.writer is not None:
        try:
            run.writer.finish(corpus_ended_at)
        except SfalError as e:
            run.fail(e)


def _left(runs: Sequence[Run]) -> list[tuple[bool | None, list[tuple[int, int]]]]:
    """Return each run's ``prepend_bos``, and the documents that it has not counted yet."""
    return [
        (run.source.prepend_bos, run.writer.manifest.gaps)
        for run in runs
        if run.error is None and run.writer is not None
    ]


def _planned(
    found: Iterator[Buffer],
    left: Sequence[tuple[bool | None, Sequence[tuple[int, int]]]],
    model: LanguageModel,
    settings: CollectSettings,
) -> Iterator[tuple[Buffer, Plans]]:
    """Yield buffers with the plans that the runs will need.

    This runs in its own thread, so that reading and tokenising cost no time
    while a GPU counts. All it knows of the runs is what was left at the start.
    """
    for buffer in found:
        needed = {
            prepend_bos
            for prepend_bos, gaps in left
            if any(start < buffer.stop and buffer.first < stop for start, stop in gaps)
        }
        yield (
            buffer,
            {
                bos: plan_buffer(buffer.texts, model, settings, settings.batch_tokens, bos)
                for bos in needed
            },
        )


def _count_buffer(
    buffer: Buffer,
    plans: Plans,
    documents_sha256: str,
    runs: Sequence[Run],
    model: LanguageModel,
) -> int:
    """Count one buffer for the runs that still need it; return how many tokens passed."""
    needing: dict[bool | None, list[Run]] = {}
    for run in runs:
        if run.wants(buffer.first, buffer.stop):
            needing.setdefault(run.source.prepend_bos, []).append(run)
        elif run.error is None:
            try:
                run.check_documents(buffer.stop, documents_sha256)
            except SfalError as e:
                run.fail(e)
    tokens = 0
    for prepend_bos, same in needing.items():
        plan = plans[prepend_bos]
        found = count_windows(buffer.first, plan, same, model)
        for run in same:
            if run.error is None:
                try:
                    run.append(buffer.first, found[run.source.name], plan.counts, documents_sha256)
                except SfalError as e:
                    run.fail(e)
        tokens = plan.counts.tokens
    return tokens
