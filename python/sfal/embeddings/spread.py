"""Embedding on several devices, with the executors of stage 1."""

import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfal.collect.executors.placement import Placement
from sfal.collect.executors.protocol import Executor, map_buffers
from sfal.embeddings.embedders import Embedder, EmbedderRef, SentenceEmbedder
from sfal.io.devices import device_model

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbedFacts:
    """What a worker says of the embedder that it loaded."""

    device: str
    """See :func:`sfal.io.devices.device_model`."""
    fingerprint: str
    """Distinguishes this model from another of the same name."""
    embedder: dict[str, Any]
    """How the model is run, for metadata."""

    @property
    def identity(self) -> dict[str, Any]:
        """What all workers share."""
        return {"model": self.fingerprint, **self.embedder}


class EmbedSession:
    """A loaded embedder.

    Parameters
    ----------
    embedder : Embedder
        The embedder.
    device : str
        Where it runs.
    """

    def __init__(self, embedder: Embedder, device: str) -> None:
        self.embedder = embedder
        self.facts = EmbedFacts(device_model(device), embedder.fingerprint, embedder.facts)


@dataclass(frozen=True)
class EmbedSpec:
    """The embedder that every worker loads."""

    ref: EmbedderRef
    """Which."""
    batch_size: int
    """Texts per batch."""

    def load(self, device: str) -> EmbedSession:
        """Load it onto a device.

        Raises
        ------
        SfalError
            As :class:`SentenceEmbedder`.
        """
        return EmbedSession(SentenceEmbedder(self.ref, device, self.batch_size), device)


@dataclass(frozen=True)
class EmbedTask:
    """Texts to be encoded together."""

    first: int
    """Ordinal of the first text."""
    texts: list[str]
    """Each of them."""

    def __str__(self) -> str:
        return f"texts {self.first} to {self.first + len(self.texts) - 1}"

    def prepare(self, session: EmbedSession) -> None:
        """Do nothing: tokenising is part of encoding."""

    def run(self, session: EmbedSession, prepared: None) -> NDArray[np.float32]:
        """Return their vectors."""
        return session.embedder.encode(self.texts)


class SpreadEmbedder:
    """An embedder in several workers.

    Parameters
    ----------
    executor : Executor
        Its sessions have loaded the embedder.
    """

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self.fingerprint: str = executor.facts.fingerprint
        self.facts: dict[str, Any] = executor.facts.embedder

    @classmethod
    def load(
        cls, ref: EmbedderRef, placement: Placement, device: str, batch_size: int
    ) -> "SpreadEmbedder":
        """Load an embedder into workers.

        Raises
        ------
        SfalError
            If it cannot be loaded, or no worker started.
        """
        from sfal.collect.executors.door import open_executor

        spec = EmbedSpec(ref, batch_size)
        return cls(open_executor(spec, placement, placement.placed(device)))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors of texts, shape (n, D)."""
        return next(self.encode_each([texts]))

    def encode_each(self, pieces: Sequence[Sequence[str]]) -> Generator[NDArray[np.float32]]:
        """Yield the vectors of pieces of a list of texts, in order, several at a time."""
        first = 0
        tasks = []
        for piece in pieces:
            tasks.append(EmbedTask(first, list(piece)))
            first += len(piece)
        with closing(map_buffers(self._executor, tasks)) as answers:
            for answer in answers:
                yield answer.found

    def close(self) -> None:
        """End the workers, and say what became of them."""
        self._executor.close()
        for note in self._executor.notes:
            _log.warning("%s", note)


def encode_each(
    embedder: Embedder, pieces: Sequence[Sequence[str]]
) -> Generator[NDArray[np.float32]]:
    """Yield the vectors of pieces of a list of texts, in order."""
    if isinstance(embedder, SpreadEmbedder):
        yield from embedder.encode_each(pieces)
        return
    for piece in pieces:
        yield embedder.encode(piece)
