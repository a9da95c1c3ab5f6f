"""Where each feature fires most strongly, in documents that are not counted.

The examples come from the documents behind those that are counted, so that
labels made from them and the co-occurrences stem from different text.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfal.collect.batching import Buffer, batch_by_length, buffers
from sfal.collect.corpus.open import Corpus
from sfal.collect.examples.snippets import context
from sfal.collect.examples.top_activations import TOP, Strongest, strongest_tokens
from sfal.collect.inputs import point
from sfal.collect.model.language_model import LanguageModel
from sfal.collect.model.oom import max_elements
from sfal.collect.run import Job
from sfal.collect.sae.sae import Sae
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.store.examples import (
    Example,
    how_to_divide,
    read_examples_metadata,
    write_examples,
)
from sfal.store.examples_checkpoint import (
    DocumentText,
    ExamplesState,
    load_examples_state,
    remove_examples_state,
    save_examples_state,
)
from sfal.terminal.progress import progress

_FORMAT = 1
_ROWS = 1 << 14
"""Features whose examples are written at once."""
_MARGIN = 200
"""Characters kept of a document behind its last token."""
_SAVING = 0.02
"""Share of the time that is spent on saving how far the pass has come."""

logger = logging.getLogger(__name__)


def lacks_examples(job: Job, settings: CollectSettings) -> bool:
    """Whether the examples asked for are still to be gathered."""
    if not settings.examples or job.error is not None:
        return False
    try:
        there = read_examples_metadata(job.folder)
    except ArtifactError:
        return True
    wanted = _made_of(job, settings)
    return any(there.get(key) != value for key, value in wanted.items())


def gather_examples(
    jobs: Sequence[Job],
    corpus: Corpus,
    model: LanguageModel,
    settings: CollectSettings,
) -> None:
    """Write the examples of jobs whose documents are counted; one that is refused is given up.

    How far it has come is saved now and then. A pass that was stopped goes on
    from there, and gives the same bytes as one that was not.

    Parameters
    ----------
    jobs : sequence of Job
        With their SAEs; those in error are left out.
    corpus : Corpus
        Where the documents are from.
    model : LanguageModel
        With the jobs' points.
    settings : CollectSettings
        Says how many documents behind those counted.
    """
    wanting = [job for job in jobs if job.sae is not None and job.error is None]
    if not wanting:
        return
    try:
        _gather(wanting, corpus, model, settings)
    except SfalError as e:
        for job in wanting:
            if job.error is None:
                job.fail(e)


def _further(jobs: Sequence[Job], corpus: Corpus, n_docs: int, start: int) -> Iterator[str]:
    """Documents behind the `n_docs` that are counted, from `start` on."""
    documents = corpus.documents(start)
    if start > n_docs:
        return documents
    first = next(documents, None)
    if first is None:
        counted = min([n_docs, *(job.manifest.end for job in jobs if job.manifest is not None)])
        raise InvalidInputError(
            f"all {counted} documents of corpus {corpus.name} are counted, so none is left for "
            f"--examples; the counts are kept. To have both, {how_to_divide(counted)}"
        )
    return chain([first], documents)


def _gather(
    jobs: Sequence[Job], corpus: Corpus, model: LanguageModel, settings: CollectSettings
) -> None:
    alike: dict[bool | None, _Pass] = {}
    for job in jobs:
        bos = job.source.prepend_bos
        alike.setdefault(bos, _Pass(model, settings, bos)).add(job)
    first = settings.n_docs
    stop = min(one.start for one in alike.values())
    documents = _further(jobs, corpus, first, stop)
    saved_at, cost = time.monotonic(), 0.0
    with progress(settings.examples, f"examples, {jobs[0].model_name}", "document") as bar:
        bar.update(stop - first)
        for buffer in buffers(documents, stop, first + settings.examples, BUFFER_DOCUMENTS):
            for one in alike.values():
                one.look_at(buffer)
            stop = buffer.stop
            bar.update(len(buffer.texts))
            if all(job.error is not None for job in jobs):
                return
            began = time.monotonic()
            if len(buffer.texts) == BUFFER_DOCUMENTS and began - saved_at >= cost / _SAVING:
                for one in alike.values():
                    one.save()
                saved_at = time.monotonic()
                cost = saved_at - began
    if stop - first < settings.examples:
        logger.warning(
            "the corpus ends after %d of the %d documents for examples",
            stop - first,
            settings.examples,
        )
    for one in alike.values():
        one.write(stop)


def _made_of(job: Job, settings: CollectSettings) -> dict[str, Any]:
    """What decides a source's examples."""
    manifest = job.manifest
    return {
        "format": _FORMAT,
        "source": job.identity(),
        "settings": settings.deciding(),
        "fingerprints": None if manifest is None else dict(manifest.fingerprints),
        "first": settings.n_docs,
        "asked": settings.examples,
        "per_feature": TOP,
    }


class _Gathering:
    """One job, and what has been found for it."""

    def __init__(self, job: Job, sae: Sae, settings: CollectSettings) -> None:
        self.job = job
        self.sae = sae
        self.made_of = _made_of(job, settings)
        self.strongest = Strongest(sae.n_features, torch.device(sae.device))
        self.stop = settings.n_docs
        """Ordinal behind the last document that it has seen."""
        self.saved = load_examples_state(job.folder, self.made_of, (sae.n_features, TOP))
        if self.saved is not None:
            self.strongest.restore(self.saved.values, self.saved.documents, self.saved.positions)
            self.stop = self.saved.stop

    def wants(self, buffer: Buffer) -> bool:
        """Whether it has not seen the buffer yet."""
        return self.job.error is None and self.stop <= buffer.first


class _Pass:
    """Jobs that see the same tokens."""

    def __init__(
        self, model: LanguageModel, settings: CollectSettings, prepend_bos: bool | None
    ) -> None:
        self._model = model
        self._settings = settings
        self._bos = prepend_bos
        self._gatherings: list[_Gathering] = []
        self._texts: dict[int, DocumentText] = {}

    def add(self, job: Job) -> None:
        """Take a job, with what an earlier pass had found for it."""
        if job.sae is not None:
            one = _Gathering(job, job.sae, self._settings)
            if one.saved is not None:
                self._texts.update(one.saved.texts)
                one.saved = None
            self._gatherings.append(one)

    @property
    def start(self) -> int:
        """Ordinal of the first document that some job has not seen."""
        return min(one.stop for one in self._gatherings)

    def look_at(self, buffer: Buffer) -> None:
        """Let one buffer of documents pass."""
        settings, model = self._settings, self._model
        wanting = [one for one in self._gatherings if one.wants(buffer)]
        if not wanting:
            return
        ids = model.tokenize(buffer.texts, settings.max_length, self._bos)
        special = np.fromiter(model.special_ids, np.int64)
        tokens = [np.flatnonzero(~np.isin(np.asarray(one, np.int64), special)) for one in ids]
        lengths = [len(one) if len(there) else 0 for one, there in zip(ids, tokens, strict=True)]
        found = [
            (
                torch.zeros((len(ids), one.sae.n_features), device=one.sae.device),
                torch.zeros(
                    (len(ids), one.sae.n_features), dtype=torch.int32, device=one.sae.device
                ),
            )
            for one in wanting
        ]
        for batch in batch_by_length(lengths, settings.batch_tokens):
            activations = model.activations([ids[place] for place in batch])
            for one, (values, positions) in zip(wanting, found, strict=True):
                job, sae = one.job, one.sae
                if job.error is not None:
                    continue
                here = point(job.source)
                for row, place in enumerate(batch):
                    at = torch.from_numpy(tokens[place]).to(sae.device)
                    x = activations[here][row].to(sae.device)[at]
                    try:
                        _check_finite(x, f"{here} of {model.name}", buffer.first + place)
                        values[place], rows = strongest_tokens(x, sae, max_elements(sae.device))
                    except SfalError as e:
                        job.fail(e)
                        break
                    positions[place] = at[rows].int()
        for one, (values, positions) in zip(wanting, found, strict=True):
            if one.job.error is None:
                one.strongest.add(buffer.first, values, positions)
                one.stop = buffer.stop
        self._keep_texts(buffer)

    def _keep_texts(self, buffer: Buffer) -> None:
        """Keep the documents that are named, and forget the others."""
        named = set[int]()
        for one in self._gatherings:
            named.update(one.strongest.referenced().tolist())
        self._texts = {n: text for n, text in self._texts.items() if n in named}
        new = sorted(n for n in named if buffer.first <= n < buffer.stop and n not in self._texts)
        texts = [buffer.texts[n - buffer.first] for n in new]
        spans = self._model.tokenizer.spans(texts, self._settings.max_length, self._bos)
        for n, text, places in zip(new, texts, spans, strict=True):
            self._texts[n] = _document_text(text, places)

    def save(self) -> None:
        """Save how far each job has come."""
        for one in self._gatherings:
            if one.job.error is not None:
                continue
            kept = one.strongest
            state = ExamplesState(
                one.stop,
                kept.values.cpu().numpy(),
                kept.documents.cpu().numpy(),
                kept.positions.cpu().numpy(),
                {n: self._texts[n] for n in kept.referenced().tolist()},
            )
            try:
                save_examples_state(one.job.folder, state, one.made_of)
            except SfalError as e:
                one.job.fail(e)

    def write(self, stop: int) -> None:
        """Write what has been found in the documents before `stop`."""
        for one in self._gatherings:
            job, strongest = one.job, one.strongest
            if job.error is not None:
                continue
            metadata = {
                **one.made_of,
                "corpus": self._settings.deciding()["corpus"]["name"],
                "documents": [self._settings.n_docs, stop],
                "n_features": one.sae.n_features,
                "features": int((strongest.values[:, 0] > 0).sum()),
                "sfal": version("sfal"),
            }
            try:
                write_examples(job.folder, self._examples(strongest), metadata)
                remove_examples_state(job.folder)
            except SfalError as e:
                job.fail(e)

    def _examples(self, strongest: Strongest) -> Iterator[Example]:
        for start in range(0, len(strongest.values), _ROWS):
            some = slice(start, start + _ROWS)
            values = strongest.values[some].cpu().numpy()
            documents = strongest.documents[some].cpu().numpy()
            positions = strongest.positions[some].cpu().numpy()
            for row, rank in zip(*(there.tolist() for there in np.nonzero(values)), strict=True):
                doc, position = int(documents[row, rank]), int(positions[row, rank])
                text = self._texts[doc]
                span = text.spans[position]
                words = context(text.text, int(span[0]), int(span[1]))
                activation = float(values[row, rank])
                yield Example(start + row, rank, activation, doc, position, *words)


def _document_text(text: str, spans: list[tuple[int, int]]) -> DocumentText:
    places = np.array(spans, np.int32).reshape(-1, 2)
    end = int(places.max(initial=0))
    return DocumentText(text[: end + _MARGIN], places)


def _check_finite(x: Tensor, hook: str, document: int) -> None:
    if not torch.isfinite(x).all():
        raise InvalidInputError(
            f"NaN or infinite activations at {hook}, document {document}; "
            "float16 overflows in some models, take --dtype bfloat16 or float32"
        )
