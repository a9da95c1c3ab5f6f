"""Where each feature fires most strongly, in documents that are not counted.

The examples come from the documents behind those that are counted, so that
labels made from them and the co-occurrences stem from different text.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfal.cooc.batches import Buffer, batch_by_length, buffers
from sfal.cooc.contexts import context
from sfal.cooc.corpus import Corpus
from sfal.cooc.job import Job
from sfal.cooc.language_model import LanguageModel
from sfal.cooc.load import point
from sfal.cooc.saes import Sae
from sfal.cooc.settings import BUFFER_DOCUMENTS, CollectSettings
from sfal.cooc.strongest import TOP, Strongest, strongest_tokens
from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.progress import progress
from sfal.store.examples import Example, read_examples_metadata, write_examples

_FORMAT = 1
_ROWS = 1 << 14
"""Features whose examples are written at once."""
_MARGIN = 200
"""Characters kept of a document behind its last token."""

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
    max_elements: int,
) -> None:
    """Write the examples of jobs whose documents are counted; one that is refused is given up.

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
    max_elements : int
        Most activations of tokens and features held at once.
    """
    wanting = [job for job in jobs if job.sae is not None and job.error is None]
    if not wanting:
        return
    try:
        documents = _further(corpus, settings)
        _gather(wanting, documents, model, settings, max_elements)
    except SfalError as e:
        for job in wanting:
            if job.error is None:
                job.fail(e)


def _further(corpus: Corpus, settings: CollectSettings) -> Iterator[str]:
    """Documents behind those that are counted."""
    documents = corpus.documents(settings.n_docs)
    first = next(documents, None)
    if first is None:
        raise InvalidInputError(
            f"corpus {corpus.name} has no document behind the first {settings.n_docs}, which are "
            "all counted, so none is left for --examples; the counts are kept. Take another "
            "--corpus, or a smaller --n-docs in another --data-dir"
        )
    return chain([first], documents)


def _gather(
    jobs: Sequence[Job],
    documents: Iterator[str],
    model: LanguageModel,
    settings: CollectSettings,
    max_elements: int,
) -> None:
    alike: dict[bool | None, _Pass] = {}
    for job in jobs:
        bos = job.source.prepend_bos
        alike.setdefault(bos, _Pass(model, settings, bos, max_elements)).add(job)
    first = stop = settings.n_docs
    with progress(settings.examples, f"examples, {jobs[0].source.model}", "document") as bar:
        for buffer in buffers(documents, first, first + settings.examples, BUFFER_DOCUMENTS):
            for one in alike.values():
                one.look_at(buffer)
            stop = buffer.stop
            bar.update(len(buffer.texts))
            if all(job.error is not None for job in jobs):
                return
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


@dataclass(frozen=True)
class _Text:
    """What is kept of a document that is named."""

    text: str
    """Its text up to a little behind the last token."""
    spans: NDArray[np.int32]
    """First character of each token and the one behind its last."""

    @classmethod
    def of(cls, text: str, spans: list[tuple[int, int]]) -> "_Text":
        places = np.array(spans, np.int32).reshape(-1, 2)
        end = int(places.max(initial=0))
        return cls(text[: end + _MARGIN], places)


class _Pass:
    """Jobs that see the same tokens."""

    def __init__(
        self,
        model: LanguageModel,
        settings: CollectSettings,
        prepend_bos: bool | None,
        max_elements: int,
    ) -> None:
        self._model = model
        self._settings = settings
        self._bos = prepend_bos
        self._jobs: list[tuple[Job, Sae, Strongest]] = []
        self._texts: dict[int, _Text] = {}
        self._max_elements = max_elements

    def add(self, job: Job) -> None:
        if job.sae is not None:
            strongest = Strongest(job.sae.n_features, torch.device(job.sae.device))
            self._jobs.append((job, job.sae, strongest))

    def look_at(self, buffer: Buffer) -> None:
        """Let one buffer of documents pass."""
        settings, model = self._settings, self._model
        ids = model.tokenize(buffer.texts, settings.max_length, self._bos)
        special = np.fromiter(model.special_ids, np.int64)
        tokens = [np.flatnonzero(~np.isin(np.asarray(one, np.int64), special)) for one in ids]
        lengths = [len(one) if len(there) else 0 for one, there in zip(ids, tokens, strict=True)]
        alive = [entry for entry in self._jobs if entry[0].error is None]
        found = [
            (
                torch.zeros((len(ids), sae.n_features), device=sae.device),
                torch.zeros((len(ids), sae.n_features), dtype=torch.int32, device=sae.device),
            )
            for _, sae, _ in alive
        ]
        for batch in batch_by_length(lengths, settings.batch_tokens):
            activations = model.activations([ids[place] for place in batch])
            for (job, sae, _), (values, positions) in zip(alive, found, strict=True):
                if job.error is not None:
                    continue
                here = point(job.source)
                for row, place in enumerate(batch):
                    at = torch.from_numpy(tokens[place]).to(sae.device)
                    x = activations[here][row].to(sae.device)[at]
                    try:
                        _check_finite(x, f"{here} of {model.name}", buffer.first + place)
                        values[place], rows = strongest_tokens(x, sae, self._max_elements)
                    except SfalError as e:
                        job.fail(e)
                        break
                    positions[place] = at[rows].int()
        for (job, _, strongest), (values, positions) in zip(alive, found, strict=True):
            if job.error is None:
                strongest.add(buffer.first, values, positions)
        self._keep_texts(buffer)

    def _keep_texts(self, buffer: Buffer) -> None:
        """Keep the documents that are named, and forget the others."""
        named = set[int]()
        for _, _, strongest in self._jobs:
            named.update(strongest.referenced().tolist())
        self._texts = {n: text for n, text in self._texts.items() if n in named}
        new = sorted(n for n in named if buffer.first <= n < buffer.stop)
        texts = [buffer.texts[n - buffer.first] for n in new]
        spans = self._model.tokenizer.spans(texts, self._settings.max_length, self._bos)
        for n, text, places in zip(new, texts, spans, strict=True):
            self._texts[n] = _Text.of(text, places)

    def write(self, stop: int) -> None:
        """Write what has been found in the documents before `stop`."""
        for job, sae, strongest in self._jobs:
            if job.error is not None:
                continue
            metadata = {
                **_made_of(job, self._settings),
                "corpus": self._settings.deciding()["corpus"]["name"],
                "documents": [self._settings.n_docs, stop],
                "n_features": sae.n_features,
                "features": int((strongest.values[:, 0] > 0).sum()),
                "sfal": version("sfal"),
            }
            try:
                write_examples(job.folder, self._examples(strongest), metadata)
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


def _check_finite(x: Tensor, hook: str, document: int) -> None:
    if not torch.isfinite(x).all():
        raise InvalidInputError(
            f"NaN or infinite activations at {hook}, document {document}; "
            "float16 overflows in some models, take --dtype bfloat16 or float32"
        )
