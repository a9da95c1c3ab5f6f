"""Max-activating examples of each feature, from documents that are not counted.

The examples come from the documents after those that are counted, so that
labels made from them and the co-occurrences stem from different text.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

from sfal.collect.batching import buffers
from sfal.collect.corpus.document import Document
from sfal.collect.corpus.open import Corpus
from sfal.collect.examples.shared_pass import SharedPass, decided_by
from sfal.collect.examples.task import ExamplesTask
from sfal.collect.executors.protocol import Executor, map_buffers
from sfal.collect.run import Run
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.store.examples import hint_to_divide, read_examples_metadata
from sfal.terminal.progress import progress

_SAVING = 0.02
"""Share of the time that may be spent on saving checkpoints."""

logger = logging.getLogger(__name__)


def lacks_examples(run: Run, settings: CollectSettings) -> bool:
    """Return whether the requested examples are still to be gathered."""
    if not settings.examples or run.error is not None:
        return False
    try:
        metadata = read_examples_metadata(run.folder)
    except ArtifactError:
        return True
    wanted = decided_by(run, settings)
    return any(metadata.get(key) != value for key, value in wanted.items())


def gather_examples(
    runs: Sequence[Run],
    corpus: Corpus,
    executor: Executor[Any],
    settings: CollectSettings,
) -> None:
    """Write the examples of runs whose documents are counted. If one fails, the others continue.

    A checkpoint is saved now and then. A pass that was interrupted continues
    from there, and writes the same bytes as one that was not.

    Parameters
    ----------
    runs : sequence of Run
        Started; those that have failed are left out.
    corpus : Corpus
        Where the documents come from.
    executor : Executor
        Its sessions have loaded the model and the SAEs of the runs.
    settings : CollectSettings
        How many documents after those counted to read, and how.
    """
    remaining = [run for run in runs if run.error is None]
    if not remaining:
        return
    try:
        _gather(remaining, corpus, executor, settings)
    except SfalError as e:
        for run in remaining:
            if run.error is None:
                run.fail(e)


def _gather(
    runs: Sequence[Run], corpus: Corpus, executor: Executor[Any], settings: CollectSettings
) -> None:
    by_bos: dict[bool | None, SharedPass] = {}
    for run in runs:
        one = by_bos.setdefault(run.source.prepend_bos, SharedPass(settings))
        one.add(run, executor.facts.sources[run.source.name].n_features)
    passes = list(by_bos.values())
    first = settings.n_docs
    stop = min(one.start for one in passes)
    documents = _documents(runs, corpus, first, stop)
    found = buffers(documents, stop, first + settings.examples, BUFFER_DOCUMENTS)
    tasks = (
        ExamplesTask(
            buffer,
            {name: floor for one in passes for name, floor in one.floors(buffer.first).items()},
        )
        for buffer in found
    )
    saved_at, cost = time.monotonic(), 0.0
    with (
        progress(settings.examples, f"examples, {runs[0].model_name}", "document") as bar,
        closing(map_buffers(executor, tasks)) as answers,
    ):
        bar.update(stop - first)
        for answer in answers:
            buffer = answer.task.buffer
            for bos, examples in answer.found.items():
                by_bos[bos].take(buffer, examples)
            stop = buffer.stop
            bar.update(len(buffer.texts))
            if all(run.error is not None for run in runs):
                return
            began = time.monotonic()
            if len(buffer.texts) == BUFFER_DOCUMENTS and began - saved_at >= cost / _SAVING:
                for one in passes:
                    one.save()
                saved_at = time.monotonic()
                cost = saved_at - began
    if stop - first < settings.examples:
        logger.warning(
            "the corpus ends after %d of the %d documents for examples",
            stop - first,
            settings.examples,
        )
    for one in passes:
        one.write(stop)


def _documents(runs: Sequence[Run], corpus: Corpus, n_docs: int, start: int) -> Iterator[Document]:
    """Return the documents from `start` on, of those after the `n_docs` that are counted."""
    documents = corpus.documents(start)
    if start > n_docs:
        return documents
    first = next(documents, None)
    if first is None:
        counted = min([n_docs, *(run.manifest.end for run in runs if run.manifest is not None)])
        raise InvalidInputError(
            f"all {counted} documents of corpus {corpus.name} are counted, so none is left for "
            "examples; the counts are kept",
            hint=f"to have both, {hint_to_divide(counted)}",
        )
    return chain([first], documents)
