"""Runs that read the same tokens, and the max-activating examples found for each of them."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfal.collect.batching import Buffer, batch_by_length
from sfal.collect.examples.snippets import snippet
from sfal.collect.examples.top_activations import TOP, TopActivations, max_activations
from sfal.collect.firing import not_finite
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.language_model import LanguageModel
from sfal.collect.model.oom import max_elements
from sfal.collect.model_pass import model_pass
from sfal.collect.run import Run, recorded
from sfal.collect.sae.sae import Sae
from sfal.collect.settings import CollectSettings
from sfal.errors import SfalError
from sfal.sources.source import Source
from sfal.store.examples import Example, write_examples
from sfal.store.examples_checkpoint import (
    DocumentText,
    ExamplesState,
    load_examples_state,
    remove_examples_state,
    save_examples_state,
)

_FORMAT = 1
_ROWS = 1 << 14
"""Features whose examples are written at once."""
_MARGIN = 200
"""Characters kept of a document after its last token."""


def decided_by(run: Run, settings: CollectSettings) -> dict[str, Any]:
    """Return what decides a source's examples."""
    manifest = run.manifest
    return {
        "format": _FORMAT,
        "source": run.identity().as_json(),
        "settings": recorded(settings),
        "fingerprints": None if manifest is None else dict(manifest.fingerprints),
        "first": settings.n_docs,
        "asked": settings.examples,
        "per_feature": TOP,
    }


class _Gathering:
    """One run, and what has been found for it; a reader of the model's passes."""

    def __init__(self, run: Run, sae: Sae, settings: CollectSettings) -> None:
        self.run = run
        self.sae: Sae = sae
        self.decided_by = decided_by(run, settings)
        self.top = TopActivations(sae.n_features, torch.device(sae.device))
        self.stop = settings.n_docs
        """Ordinal after the last document that it has read."""
        self.saved = load_examples_state(run.folder, self.decided_by, (sae.n_features, TOP))
        if self.saved is not None:
            self.top.restore(self.saved.values, self.saved.documents, self.saved.positions)
            self.stop = self.saved.stop

    @property
    def source(self) -> Source:
        """The run's source."""
        return self.run.source

    @property
    def error(self) -> SfalError | None:
        """Why the run failed."""
        return self.run.error


class SharedPass:
    """Runs that read the same tokens.

    Parameters
    ----------
    model : LanguageModel
        Loaded with the points of all runs.
    settings : CollectSettings
        How many documents to read, and how.
    prepend_bos : bool, optional
        Whether the runs' SAEs want BOS in front; None: they do not say.
    """

    def __init__(
        self, model: LanguageModel, settings: CollectSettings, prepend_bos: bool | None
    ) -> None:
        self._model = model
        self._settings = settings
        self._prepend_bos = prepend_bos
        self._gatherings: list[_Gathering] = []
        self._texts: dict[int, DocumentText] = {}

    def add(self, run: Run) -> None:
        """Add a run, with what an earlier pass found for it."""
        if run.sae is not None:
            one = _Gathering(run, run.sae, self._settings)
            if one.saved is not None:
                self._texts.update(one.saved.texts)
                one.saved = None
            self._gatherings.append(one)

    @property
    def start(self) -> int:
        """Ordinal of the first document that some run has not read."""
        return min(one.stop for one in self._gatherings)

    def read(self, buffer: Buffer) -> None:
        """Pass one buffer of documents through the model, for the runs that have not read it."""
        settings, model = self._settings, self._model
        readers = [
            one for one in self._gatherings if one.error is None and one.stop <= buffer.first
        ]
        if not readers:
            return
        ids = model.tokenize(buffer.texts, settings.max_length, self._prepend_bos)
        tokens = [
            np.flatnonzero(
                ~np.isin(np.asarray(one, np.int64), list(model.special_ids_in(document)))
            )
            for one, document in zip(ids, buffer.texts, strict=True)
        ]
        lengths = [len(one) if len(real) else 0 for one, real in zip(ids, tokens, strict=True)]
        found = {one.source.name: _empty(len(ids), one.sae) for one in readers}
        batches = batch_by_length(lengths, settings.batch_tokens)
        for one, sae, batch, activations in model_pass(model, ids, batches, readers):
            values, positions = found[one.source.name]
            hook = f"{HookPoint.of(one.source)} of {model.name}"
            try:
                for row, document in enumerate(batch):
                    real = torch.from_numpy(tokens[document]).to(sae.device)
                    x = activations[row].to(sae.device)[real]
                    if not torch.isfinite(x).all():
                        raise not_finite(f"{hook}, document {buffer.first + document}")
                    values[document], rows = max_activations(x, sae, max_elements(sae.device))
                    positions[document] = real[rows].int()
            except SfalError as e:
                one.run.fail(e)
        for one in readers:
            if one.error is None:
                one.top.add(buffer.first, *found[one.source.name])
                one.stop = buffer.stop
        self._keep_texts(buffer)

    def _keep_texts(self, buffer: Buffer) -> None:
        """Keep the documents that examples refer to, and forget the others."""
        referenced = set[int]()
        for one in self._gatherings:
            referenced.update(one.top.referenced().tolist())
        self._texts = {n: text for n, text in self._texts.items() if n in referenced}
        new = sorted(
            n for n in referenced if buffer.first <= n < buffer.stop and n not in self._texts
        )
        tokenizer = self._model.tokenizer
        documents = [buffer.texts[n - buffer.first] for n in new]
        texts = [tokenizer.readable(document) for document in documents]
        spans = tokenizer.spans(documents, self._settings.max_length, self._prepend_bos)
        for n, text, some in zip(new, texts, spans, strict=True):
            self._texts[n] = _document_text(text, some)

    def save(self) -> None:
        """Save a checkpoint of each run."""
        for one in self._gatherings:
            if one.error is not None:
                continue
            top = one.top
            state = ExamplesState(
                one.stop,
                top.values.cpu().numpy(),
                top.documents.cpu().numpy(),
                top.positions.cpu().numpy(),
                {n: self._texts[n] for n in top.referenced().tolist()},
            )
            try:
                save_examples_state(one.run.folder, state, one.decided_by)
            except SfalError as e:
                one.run.fail(e)

    def write(self, stop: int) -> None:
        """Write the examples found in the documents before `stop`."""
        for one in self._gatherings:
            run, top = one.run, one.top
            if run.error is not None:
                continue
            metadata = {
                **one.decided_by,
                "corpus": recorded(self._settings)["corpus"]["name"],
                "documents": [self._settings.n_docs, stop],
                "n_features": one.sae.n_features,
                "features": int((top.values[:, 0] > 0).sum()),
                "sfal": version("sfal"),
            }
            try:
                write_examples(run.folder, self._examples(top), metadata)
                remove_examples_state(run.folder)
            except SfalError as e:
                run.fail(e)

    def _examples(self, top: TopActivations) -> Iterator[Example]:
        for start in range(0, len(top.values), _ROWS):
            some = slice(start, start + _ROWS)
            values = top.values[some].cpu().numpy()
            documents = top.documents[some].cpu().numpy()
            positions = top.positions[some].cpu().numpy()
            for row, rank in zip(*(axis.tolist() for axis in np.nonzero(values)), strict=True):
                doc, position = int(documents[row, rank]), int(positions[row, rank])
                text = self._texts[doc]
                span = text.spans[position]
                words = snippet(text.text, int(span[0]), int(span[1]))
                activation = float(values[row, rank])
                yield Example(start + row, rank, activation, doc, position, *words)


def _empty(n_documents: int, sae: Sae) -> tuple[Tensor, Tensor]:
    """Return zeros for the values and positions of a buffer's documents."""
    shape = (n_documents, sae.n_features)
    return (
        torch.zeros(shape, device=sae.device),
        torch.zeros(shape, dtype=torch.int32, device=sae.device),
    )


def _document_text(text: str, spans: list[tuple[int, int]]) -> DocumentText:
    array = np.array(spans, np.int32).reshape(-1, 2)
    end = int(array.max(initial=0))
    return DocumentText(text[: end + _MARGIN], array)
