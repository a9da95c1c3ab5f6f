"""Loading of a language model and SAEs, and what is said of them once they are loaded."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sfal.collect.model.hook_points import HookPoint, needed_layers
from sfal.collect.settings import CollectSettings, ModelConfig, SaeConfig
from sfal.collect.throughput import Speed
from sfal.collect.training_notes import prepared_inputs, training_notes
from sfal.errors import InvalidInputError, Note, SfalError
from sfal.sources.source import Source

if TYPE_CHECKING:
    from sfal.collect.model.language_model import LanguageModel
    from sfal.collect.sae.sae import Sae


@dataclass(frozen=True)
class SourceFacts:
    """What a session says of an SAE that it loaded."""

    n_features: int
    """Width."""
    sae: Mapping[str, Any]
    """Gate, input scale, thresholds, as a manifest records them."""
    fingerprint: Mapping[str, Any]
    """Hash of each local file, or the hub's repository, path and commit."""
    prepared: Mapping[str, Any]
    """What is done to tokens and activations because the SAE was trained so."""
    notes: tuple[Note, ...]
    """What the user should know about its settings and its training."""


@dataclass(frozen=True)
class SessionFacts:
    """What a session says of what it loaded."""

    device: str
    """See :func:`sfal.io.devices.device_model`."""
    model_name: str
    """Hub id or local folder."""
    model_fingerprint: Mapping[str, Any]
    """The hub's repository and commit, or the hash of each local file."""
    model: Mapping[str, Any]
    """Type, dtype and layers run, as a manifest records them."""
    has_chat_template: bool
    """Whether its tokenizer has one."""
    speed: Speed
    """The conditions under which text passes."""
    sources: Mapping[str, SourceFacts | SfalError]
    """By source: its SAE, or why it was refused."""

    @property
    def identity(self) -> dict[str, Any]:
        """Fingerprints of model and SAEs, which all sessions of a run share."""
        return {
            "model": dict(self.model_fingerprint),
            **{
                name: dict(found.fingerprint)
                for name, found in self.sources.items()
                if isinstance(found, SourceFacts)
            },
        }


@dataclass
class Reader:
    """A source with its SAE, and why it failed, for one pass of the model."""

    source: Source
    """The source."""
    sae: "Sae | None"
    """Its SAE; None if it was refused."""
    error: SfalError | None = None
    """Why it failed."""


def load_model(readers: Sequence[Reader], config: ModelConfig) -> "LanguageModel":
    """Load as many layers of the language model as the readers need.

    One that asks for a layer that does not exist fails.

    Raises
    ------
    SfalError
        If the model cannot be loaded, or no reader is left.
    """
    from sfal.collect.model.load import load_language_model

    name = readers[0].source.model
    config = replace(config, revision=_revision(readers, config))
    n_layers = _n_layers(name, config)
    for reader in readers:
        if n_layers is not None:
            try:
                needed_layers([HookPoint.of(reader.source)], n_layers, name)
            except SfalError as e:
                reader.error = e
    remaining = [reader for reader in readers if reader.error is None]
    if not remaining:
        raise readers[0].error or InvalidInputError(f"no source of {name} is left")
    return load_language_model(name, [HookPoint.of(one.source) for one in remaining], config)


def _revision(readers: Sequence[Reader], config: ModelConfig) -> str | None:
    """Return the model's revision: the one requested, else the one that the SAEs name.

    Raises
    ------
    InvalidInputError
        If the SAEs name different ones.
    """
    if config.revision is not None:
        return config.revision
    stated = {reader.source.training.revision for reader in readers}
    if len(stated) > 1:
        named = ", ".join(sorted(revision or "none" for revision in stated))
        raise InvalidInputError(
            f"the SAEs were trained on different revisions of {readers[0].source.model} ({named})",
            hint="count them one at a time, or name one with $revision",
        )
    return stated.pop()


def _n_layers(model: str, config: ModelConfig) -> int | None:
    """Return a model's number of layers; None if only loading it can show what is wrong with it."""
    return model_fact("num_hidden_layers", model, config)


def model_fact(name: str, model: str, config: ModelConfig, *, fetches: bool = True) -> int | None:
    """Return a number that a language model's configuration states; None if it cannot be read.

    Parameters
    ----------
    name : str
        As transformers names it.
    model : str
        Hub id or local folder.
    config : ModelConfig
        Revision, and whether Python code in the repository may run.
    fetches : bool
        Whether the configuration may be downloaded.
    """
    from transformers import AutoConfig

    with suppress(Exception):
        found = AutoConfig.from_pretrained(
            model,
            revision=config.revision,
            trust_remote_code=config.trust_remote_code,
            local_files_only=not fetches,
        )
        value = getattr(found.get_text_config(), name)
        return value if isinstance(value, int) else None
    return None


def load_saes(
    readers: Mapping[str, Reader], model: "LanguageModel", settings: CollectSettings
) -> dict[str, SourceFacts | SfalError]:
    """Load the SAE of every reader; return what is known of it, or why it was refused."""
    found: dict[str, SourceFacts | SfalError] = {}
    for name, reader in readers.items():
        if reader.error is None:
            try:
                reader.sae = load_source_sae(reader.source, model, settings)
                found[name] = SourceFacts(
                    n_features=reader.sae.n_features,
                    sae={"architecture": reader.sae.architecture, **reader.sae.metadata},
                    fingerprint=reader.sae.fingerprint,
                    prepared=prepared_inputs(reader.source, model),
                    notes=(*reader.sae.notes, *training_notes(reader.source, settings, model)),
                )
            except SfalError as e:
                reader.error = e
        if reader.error is not None:
            found[name] = reader.error
    return found


def load_source_sae(source: Source, model: "LanguageModel", config: SaeConfig) -> "Sae":
    """Load the SAE of a source onto the language model's device.

    Raises
    ------
    SfalError
        If it cannot be loaded, or does not match the model.
    """
    from sfal.collect.sae.sae import load_sae

    sae = load_sae(source.sae, config, device=model.device)
    model.check_width(HookPoint.of(source), sae.d_in, source.name)
    return sae
