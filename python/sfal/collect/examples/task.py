"""What a session does for examples: the max-activating tokens of one buffer of documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfal.collect.batching import Buffer, batch_by_length
from sfal.collect.examples.top_activations import Packed, TopActivations, max_activations
from sfal.collect.firing import not_finite
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.oom import max_elements
from sfal.collect.model_pass import model_pass
from sfal.collect.sae.sae import Sae
from sfal.collect.session.loading import Reader
from sfal.collect.session.session import Session
from sfal.errors import SfalError
from sfal.store.examples_checkpoint import DocumentText

_MARGIN = 200
"""Characters kept of a document after its last token."""


@dataclass(frozen=True)
class Tokens:
    """A tokenised buffer."""

    ids: list[list[int]]
    """Token ids of each document."""
    real: list[NDArray[np.int64]]
    """Positions of those of each document that are not special."""


@dataclass(frozen=True)
class BufferExamples:
    """What was found in a buffer for sources that read the same tokens."""

    found: dict[str, Packed | SfalError]
    """By source: its max-activating tokens, or why it failed."""
    texts: dict[int, DocumentText]
    """The documents that these refer to, by ordinal."""


@dataclass(frozen=True)
class ExamplesTask:
    """A buffer in which max-activating tokens are to be found."""

    buffer: Buffer
    """Documents."""
    floors: Mapping[str, NDArray[np.float32]]
    """By source: the activation of each feature that is to be exceeded, of shape (n_features,).
    What does not exceed it would lose its place to an earlier document anyway."""

    def __str__(self) -> str:
        return str(self.buffer)

    def prepare(self, session: Session) -> dict[bool | None, Tokens]:
        """Tokenise the buffer as its sources want it."""
        kinds = {session.readers[name].source.prepend_bos for name in self.floors}
        return {bos: self._tokens(session, bos) for bos in kinds}

    def _tokens(self, session: Session, prepend_bos: bool | None) -> Tokens:
        texts, model = self.buffer.texts, session.model
        ids = model.tokenize(texts, session.settings.kept_tokens, prepend_bos)
        real = [
            np.flatnonzero(
                ~np.isin(np.asarray(one, np.int64), list(model.special_ids_in(document)))
            )
            for one, document in zip(ids, texts, strict=True)
        ]
        return Tokens(ids, real)

    def run(
        self, session: Session, prepared: Mapping[bool | None, Tokens]
    ) -> dict[bool | None, BufferExamples]:
        """Find them.

        Raises
        ------
        SfalError
            If the buffer does not fit through the model.
        """
        return {
            bos: self._examples(
                session,
                bos,
                tokens,
                [
                    replace(session.readers[name])
                    for name in self.floors
                    if session.readers[name].source.prepend_bos == bos
                ],
            )
            for bos, tokens in prepared.items()
        }

    def _examples(
        self, session: Session, bos: bool | None, tokens: Tokens, readers: Sequence[Reader]
    ) -> BufferExamples:
        model, first = session.model, self.buffer.first
        lengths = [
            len(one) if len(real) else 0 for one, real in zip(tokens.ids, tokens.real, strict=True)
        ]
        places = {one.source.name: _empty(len(tokens.ids), one.sae) for one in readers if one.sae}
        batches = batch_by_length(lengths, session.settings.batch_tokens)
        for one, sae, batch, activations in model_pass(model, tokens.ids, batches, readers):
            values, positions = places[one.source.name]
            hook = f"{HookPoint.of(one.source)} of {model.name}"
            try:
                for row, document in enumerate(batch):
                    real = torch.from_numpy(tokens.real[document]).to(sae.device)
                    x = activations[row].to(sae.device)[real]
                    if not torch.isfinite(x).all():
                        raise not_finite(f"{hook}, document {first + document}")
                    values[document], rows = max_activations(x, sae, max_elements(sae.device))
                    positions[document] = real[rows].int()
            except SfalError as e:
                one.error = e
        found: dict[str, Packed | SfalError] = {}
        for one in readers:
            name = one.source.name
            found[name] = one.error or self._packed(name, *places[name])
        return BufferExamples(found, dict(self._texts(session, bos, found.values())))

    def _packed(self, source: str, values: Tensor, positions: Tensor) -> Packed:
        floor = torch.from_numpy(self.floors[source]).to(values.device)
        top = TopActivations(values.shape[1], values.device)
        top.add(self.buffer.first, torch.where(values > floor, values, 0), positions)
        return top.packed()

    def _texts(
        self, session: Session, bos: bool | None, found: Iterable[Packed | SfalError]
    ) -> Iterator[tuple[int, DocumentText]]:
        """Yield the documents that examples refer to, with the characters of their tokens."""
        referenced = set[int]()
        for one in found:
            if isinstance(one, Packed):
                referenced.update(np.unique(one.documents).tolist())
        ordinals = sorted(referenced)
        documents = [self.buffer.texts[n - self.buffer.first] for n in ordinals]
        tokenizer = session.model.tokenizer
        texts = [tokenizer.readable(document) for document in documents]
        spans = tokenizer.spans(documents, session.settings.kept_tokens, bos)
        for n, text, some in zip(ordinals, texts, spans, strict=True):
            array = np.array(some, np.int32).reshape(-1, 2)
            yield n, DocumentText(text[: int(array.max(initial=0)) + _MARGIN], array)


def _empty(n_documents: int, sae: Sae) -> tuple[Tensor, Tensor]:
    """Return zeros for the values and positions of a buffer's documents."""
    shape = (n_documents, sae.n_features)
    return (
        torch.zeros(shape, device=sae.device),
        torch.zeros(shape, dtype=torch.int32, device=sae.device),
    )
