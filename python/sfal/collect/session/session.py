"""A language model and SAEs, loaded once: buffers of documents in, windows out.

A run has one session in its own process, or one in each worker (see
:mod:`sfal.collect.executors`). A session reads no corpus and writes no files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sfal.collect.batching import Buffer, BufferWindows, Plan, plan_buffer
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model_pass import model_pass
from sfal.collect.session import loading
from sfal.collect.session.loading import Reader, SessionFacts
from sfal.collect.settings import CollectSettings
from sfal.collect.throughput import initial_speed
from sfal.errors import SfalError
from sfal.io.devices import device_model
from sfal.sources.source import Source
from sfal.store.manifest import Counts
from sfal.store.parts import Windows

if TYPE_CHECKING:
    from sfal.collect.model.language_model import LanguageModel

Plans = dict[bool | None, Plan]
"""How a buffer passes the model, for each value of ``prepend_bos``."""


@dataclass(frozen=True)
class Counted:
    """What a session found in a buffer."""

    tokens: int
    """Tokens that passed the model."""
    sources: dict[str, tuple[Windows, Counts] | SfalError]
    """By source: its windows and their totals, without occurrences; or why it failed."""


class Session:
    """A loaded language model and SAEs; one serves a whole run.

    Attributes
    ----------
    model : LanguageModel
        The model.
    readers : dict of str to Reader
        By source: its SAE, or the error that refused it.
    settings : CollectSettings
        What to count, and how.
    """

    def __init__(
        self,
        model: "LanguageModel",
        readers: Mapping[str, Reader],
        settings: CollectSettings,
        facts: SessionFacts,
    ) -> None:
        self.model = model
        self.readers = dict(readers)
        self.settings = settings
        self.facts = facts

    @classmethod
    def load(cls, sources: Sequence[Source], settings: CollectSettings) -> "Session":
        """Load the language model of some sources, as many layers as they need, and their SAEs.

        Parameters
        ----------
        sources : sequence of Source
            Sources on one language model. One that is refused does not stop the others.
        settings : CollectSettings
            With the device and dtype resolved.

        Raises
        ------
        SfalError
            If the model cannot be loaded, or no source is left.
        """
        readers = {source.name: Reader(source, None) for source in sources}
        model = loading.load_model(list(readers.values()), settings)
        found = loading.load_saes(readers, model, settings)
        left = sum(reader.error is None for reader in readers.values())
        facts = SessionFacts(
            device=device_model(str(model.device)),
            model_name=model.name,
            model_fingerprint=model.fingerprint,
            model=model.metadata,
            has_chat_template=model.tokenizer.chat is not None,
            speed=initial_speed(model, left),
            sources=found,
        )
        return cls(model, readers, settings, facts)

    def plan(self, buffer: Buffer, wanted: Sequence[str]) -> Plans:
        """Tokenise a buffer as some sources want it, and plan its windows and batches.

        Raises
        ------
        InvalidInputError
            If a document cannot be tokenised.
        """
        settings = self.settings
        return {
            bos: plan_buffer(buffer.texts, self.model, settings, settings.batch_tokens, bos)
            for bos in {self.readers[name].source.prepend_bos for name in wanted}
        }

    def count(
        self, buffer: Buffer, wanted: Sequence[str] | None = None, plans: Plans | None = None
    ) -> Counted:
        """Pass a buffer through the model, and find the features of its windows.

        Parameters
        ----------
        buffer : Buffer
            Documents.
        wanted : sequence of str, optional
            Names of the sources that are to be counted; default: all.
        plans : dict, optional
            What :meth:`plan` returned for them.

        Returns
        -------
        Counted
            A source whose activations are not finite or do not fit into memory
            fails, and the others are counted.

        Raises
        ------
        SfalError
            If the buffer cannot be tokenised, or does not fit through the model.
        """
        names = list(self.readers if wanted is None else wanted)
        plans = self.plan(buffer, names) if plans is None else plans
        counted = Counted(0, {})
        for bos, plan in plans.items():
            same = [
                replace(reader)
                for reader in map(self.readers.__getitem__, names)
                if reader.source.prepend_bos == bos
            ]
            counted = Counted(
                plan.counts.tokens, {**counted.sources, **self._count(buffer.first, plan, same)}
            )
        return counted

    def _count(
        self, first: int, plan: Plan, readers: Sequence[Reader]
    ) -> dict[str, tuple[Windows, Counts] | SfalError]:
        """Count for sources that read the same tokens."""
        from sfal.collect.firing import fired_windows
        from sfal.collect.model.oom import max_elements

        found = {reader.source.name: BufferWindows(first, plan) for reader in readers}
        for reader, sae, batch, activations in model_pass(
            self.model, plan.ids, plan.batches, readers
        ):
            try:
                fired = fired_windows(
                    activations,
                    [plan.windows[document] for document in batch],
                    sae,
                    max_elements(sae.device),
                    hook=f"{HookPoint.of(reader.source)} of {self.model.name}",
                    documents=[first + document for document in batch],
                )
            except SfalError as e:
                reader.error = e
                continue
            found[reader.source.name].add(batch, *fired)
        return {
            reader.source.name: reader.error or (found[reader.source.name].windows(), plan.counts)
            for reader in readers
        }


@dataclass(frozen=True)
class CollectSpec:
    """What a session of a run loads, wherever it runs."""

    sources: tuple[Source, ...]
    """Sources on one language model."""
    settings: CollectSettings
    """With the device and dtype resolved."""

    def load(self, device: str) -> Session:
        """Load a session onto a device.

        Raises
        ------
        SfalError
            As :meth:`Session.load`.
        """
        settings = replace(self.settings, device=device, **self.settings.on_one())
        return Session.load(self.sources, settings)


@dataclass(frozen=True)
class CountTask:
    """A buffer to be counted."""

    buffer: Buffer
    """Documents."""
    wanted: tuple[str, ...]
    """Names of the sources that still need them."""

    def __str__(self) -> str:
        return str(self.buffer)

    def prepare(self, session: Session) -> Plans:
        """Tokenise, while the session may be counting another buffer in another thread."""
        return session.plan(self.buffer, self.wanted)

    def run(self, session: Session, plans: Plans) -> Counted:
        """Count."""
        return session.count(self.buffer, self.wanted, plans)
