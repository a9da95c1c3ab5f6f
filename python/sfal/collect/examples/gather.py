"""Max-activating examples of each feature, from documents that are not counted.

The examples come from the documents after those that are counted, so that
labels made from them and the co-occurrences stem from different text.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import chain

from sfal.collect.batching import buffers
from sfal.collect.corpus.document import Document
from sfal.collect.corpus.open import Corpus
from sfal.collect.examples.shared_pass import SharedPass, decided_by
from sfal.collect.model.language_model import LanguageModel
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
    model: LanguageModel,
    settings: CollectSettings,
) -> None:
    """Write the examples of runs whose documents are counted. If one fails, the others continue.

    A checkpoint is saved now and then. A pass that was interrupted continues
    from there, and writes the same bytes as one that was not.

    Parameters
    ----------
    runs : sequence of Run
        With their SAEs; those that have failed are left out.
    corpus : Corpus
        Where the documents come from.
    model : LanguageModel
        Loaded with the points of all runs.
    settings : CollectSettings
        How many documents after those counted to read, and how.
    """
    remaining = [run for run in runs if run.sae is not None and run.error is None]
    if not remaining:
        return
    try:
        _gather(remaining, corpus, model, settings)
    except SfalError as e:
        for run in remaining:
            if run.error is None:
                run.fail(e)


def _gather(
    runs: Sequence[Run], corpus: Corpus, model: LanguageModel, settings: CollectSettings
) -> None:
    by_bos: dict[bool | None, SharedPass] = {}
    for run in runs:
        prepend_bos = run.source.prepend_bos
        by_bos.setdefault(prepend_bos, SharedPass(model, settings, prepend_bos)).add(run)
    passes = list(by_bos.values())
    first = settings.n_docs
    stop = min(one.start for one in passes)
    documents = _documents(runs, corpus, first, stop)
    saved_at, cost = time.monotonic(), 0.0
    with progress(settings.examples, f"examples, {runs[0].model_name}", "document") as bar:
        bar.update(stop - first)
        for buffer in buffers(documents, stop, first + settings.examples, BUFFER_DOCUMENTS):
            for one in passes:
                one.read(buffer)
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
