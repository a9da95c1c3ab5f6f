"""Loading of what a run reads: corpus and language model once, and an SAE per source."""

import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfal.collect.changed_corpus import continue_with_changed
from sfal.collect.corpus.defaults import AUTO, find_corpus
from sfal.collect.corpus.document import Conversation, Document
from sfal.collect.corpus.files import is_local
from sfal.collect.corpus.local import LocalCorpus
from sfal.collect.corpus.open import Corpus
from sfal.collect.model.hook_points import HookPoint, needed_layers
from sfal.collect.run import Run
from sfal.collect.settings import CollectSettings, CorpusConfig, ModelConfig, SaeConfig
from sfal.collect.training_notes import prepared_inputs, training_notes
from sfal.errors import InvalidInputError, Note, SfalError
from sfal.io import fingerprints
from sfal.sources.layouts import sae_fingerprint
from sfal.sources.source import Source
from sfal.store.layout import source_dir

if TYPE_CHECKING:
    from sfal.collect.model.language_model import LanguageModel
    from sfal.collect.sae.sae import Sae

_PACKAGES = ("sfal", "torch", "transformers", "tokenizers", "datasets", "pyarrow", "numpy")


def with_corpus(
    sources: Sequence[Source], settings: CollectSettings, data_dir: Path
) -> tuple[CollectSettings, Note | None]:
    """Return settings that name a corpus, and a note if it is not the preferred one.

    Raises
    ------
    DownloadError
        If the settings leave the corpus open and none can be had.
    """
    if settings.corpus != AUTO:
        return settings, None
    folders = [source_dir(data_dir, source.name, settings.run_name) for source in sources]
    corpus, note = find_corpus(sources[0].model, folders)
    return replace(settings, corpus=corpus), note


def load_model(runs: Sequence[Run], config: ModelConfig) -> "LanguageModel":
    """Load as many layers of the language model as the runs need.

    A run that asks for a layer that does not exist fails.

    Raises
    ------
    SfalError
        If the model cannot be loaded, or no run is left.
    """
    from sfal.collect.model.load import load_language_model

    name = runs[0].source.model
    config = replace(config, revision=_revision(runs, config))
    n_layers = _n_layers(name, config)
    for run in runs:
        if n_layers is not None:
            try:
                needed_layers([HookPoint.of(run.source)], n_layers, name)
            except SfalError as e:
                run.fail(e)
    remaining = [run for run in runs if run.error is None]
    if not remaining:
        raise runs[0].error or InvalidInputError(f"no source of {name} is left")
    return load_language_model(name, [HookPoint.of(run.source) for run in remaining], config)


def _revision(runs: Sequence[Run], config: ModelConfig) -> str | None:
    """Return the model's revision: the one requested, else the one that the SAEs name.

    Raises
    ------
    InvalidInputError
        If the SAEs name different ones.
    """
    if config.revision is not None:
        return config.revision
    stated = {run.source.training.revision for run in runs}
    if len(stated) > 1:
        named = ", ".join(sorted(revision or "none" for revision in stated))
        raise InvalidInputError(
            f"the SAEs were trained on different revisions of {runs[0].source.model} ({named})",
            hint="count them one at a time, or name one with $revision",
        )
    return stated.pop()


def _n_layers(model: str, config: ModelConfig) -> int | None:
    """Return a model's number of layers; None if only loading it can show what is wrong with it."""
    from transformers import AutoConfig

    with suppress(Exception):
        found = AutoConfig.from_pretrained(
            model, revision=config.revision, trust_remote_code=config.trust_remote_code
        )
        return int(found.get_text_config().num_hidden_layers)
    return None


def load_saes(runs: Sequence[Run], model: "LanguageModel", corpus: Corpus) -> None:
    """Load the SAE of every run; a run whose SAE is refused fails."""
    shared = {"model": model.fingerprint, "corpus": corpus.fingerprint}
    for run in runs:
        if run.error is not None:
            continue
        try:
            sae = load_source_sae(run.source, model, run.settings)
            for note in (*sae.notes, *training_notes(run.source, run.settings, model)):
                run.add_note(note)
            prepared = prepared_inputs(run.source, model)
            found = {**shared, "prepared": prepared} if prepared else shared
            run.start(sae, found, _circumstances(run, model))
        except SfalError as e:
            run.fail(e)


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


def check_local_inputs(runs: Sequence[Run], config: CorpusConfig) -> None:
    """Fail complete runs whose local inputs have been replaced since they were counted.

    A corpus that has only grown, or has been repaired, is taken as it is now.
    Inputs that are about to be loaded are checked then. An input that is no
    longer on disk needs no check, nor does one identified by a commit of the hub.
    """
    complete = [run for run in runs if run.error is None and not run.pending]
    if not complete:
        return
    shared: dict[str, Any] = {}
    model, path = Path(complete[0].source.model), Path(config.corpus).expanduser()
    if model.is_dir():
        shared["model"] = fingerprints.of_path(model)
    if is_local(config.corpus) and path.exists():
        corpus = LocalCorpus(path, config)
        continue_with_changed(complete, corpus)
        shared["corpus"] = corpus.fingerprint
    for run in complete:
        sae = run.source.sae
        own = {}
        try:
            if sae.kind == "local" and sae.path is not None and Path(sae.path).exists():
                own["sae"] = sae_fingerprint(Path(sae.path))
            run.check_inputs({**shared, **own})
        except SfalError as e:
            run.fail(e)


def notes_on_chat(document: Document | None, model: "LanguageModel") -> list[Note]:
    """Return a note if conversations are counted without a chat template."""
    if not isinstance(document, Conversation) or model.tokenizer.chat is not None:
        return []
    without = ", without its calls of tools" if document.calls_tools else ""
    return [
        Note(
            f"the tokenizer of {model.name} has no chat template, so the contents of a "
            f"conversation's messages are joined by line breaks{without}",
            "$chat_template(none) says that this is meant",
        )
    ]


def _circumstances(run: Run, model: "LanguageModel") -> dict[str, Any]:
    """Return facts for the manifest that do not decide the result."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "started": now(),
        "versions": versions,
        "device": run.settings.device,
        "machine": platform.machine(),
        "model": {"path": run.source.model, **model.metadata},
        "sae_path": run.source.sae.path,
        "corpus": run.settings.corpus,
    }


def now() -> str:
    """Return the current time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
