"""What runs read: the corpus, and what a session says of model and SAEs."""

import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sfal.collect.changed_corpus import continue_with_changed
from sfal.collect.corpus.defaults import AUTO, find_corpus
from sfal.collect.corpus.document import Conversation, Document
from sfal.collect.corpus.files import is_local
from sfal.collect.corpus.local import LocalCorpus
from sfal.collect.corpus.open import Corpus
from sfal.collect.run import Run, portable_name
from sfal.collect.session.loading import SessionFacts, model_fact
from sfal.collect.settings import MAX_LENGTH, CollectSettings, CorpusConfig
from sfal.errors import InvalidInputError, Note, SfalError
from sfal.io import fingerprints
from sfal.sources.configuration.layouts import sae_fingerprint
from sfal.sources.source import Source
from sfal.store.layout import source_dir
from sfal.store.manifest import Manifest
from sfal.store.run_folder import RunFolder

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


def with_max_length(
    sources: Sequence[Source], settings: CollectSettings, data_dir: Path, *, fetches: bool = True
) -> tuple[CollectSettings, Note | None]:
    """Return settings that say how many tokens are kept of a document.

    Where they leave it open it is 1,024, or what the language model takes if
    that is less, of which a note tells. A model whose configuration cannot be
    read takes what its runs on disk record.

    Parameters
    ----------
    sources : sequence of Source
        Sources on one language model.
    settings : CollectSettings
        How they are to be counted.
    data_dir : Path
        Root of the data tree.
    fetches : bool
        Whether the model's configuration may be downloaded.

    Raises
    ------
    InvalidInputError
        If the model takes fewer tokens than a window has.
    """
    if settings.max_length is not None:
        return settings, None
    before = set[object]()
    for source in sources:
        run = RunFolder(source_dir(data_dir, source.name, settings.run_name))
        if run.readable_manifest is not None:
            before.add(run.readable_manifest.settings.get("max_length"))
    if MAX_LENGTH in before:  # the model takes as many, and need not be asked
        return replace(settings, max_length=MAX_LENGTH), None
    model = sources[0].model
    config = replace(settings, revision=settings.revision or sources[0].training.revision)
    limit = model_fact("max_position_embeddings", model, config, fetches=fetches)
    if limit is None:
        recorded = before.pop() if len(before) == 1 else None
        limit = recorded if isinstance(recorded, int) else MAX_LENGTH
    if limit >= MAX_LENGTH:
        return replace(settings, max_length=MAX_LENGTH), None
    name = portable_name(model)
    if settings.window_size > limit:
        raise InvalidInputError(
            f"window_size is {settings.window_size}, but {name} takes at most {limit} tokens: no "
            "document would have a window",
            hint="use a smaller $window_size",
        )
    note = Note(f"max_length is {limit}, since {name} takes at most {limit} tokens")
    return replace(settings, max_length=limit), note


def start_runs(runs: Sequence[Run], facts: SessionFacts, corpus: Corpus) -> None:
    """Start every run with what a session loaded; a run whose SAE was refused fails."""
    shared = {"model": dict(facts.model_fingerprint), "corpus": corpus.fingerprint}
    for run in runs:
        found = facts.sources.get(run.source.name)
        if run.error is not None or found is None:
            continue
        try:
            if isinstance(found, SfalError):
                raise found
            for note in found.notes:
                run.add_note(note)
            prepared = {"prepared": dict(found.prepared)} if found.prepared else {}
            fingerprints = {**shared, **prepared, "sae": dict(found.fingerprint)}
            run.start(found.n_features, dict(found.sae), fingerprints, _circumstances(run, facts))
        except SfalError as e:
            run.fail(e)


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


def notes_on_chat(document: Document | None, facts: SessionFacts) -> list[Note]:
    """Return a note if conversations are counted without a chat template."""
    if not isinstance(document, Conversation) or facts.has_chat_template:
        return []
    without = ", without its calls of tools" if document.calls_tools else ""
    return [
        Note(
            f"the tokenizer of {facts.model_name} has no chat template, so the contents of a "
            f"conversation's messages are joined by line breaks{without}",
            "$chat_template(none) says that this is meant",
        )
    ]


def mixed_devices_note(manifest: Manifest) -> Note | None:
    """Return a note if a run was counted on devices of several models."""
    if len(manifest.devices) < 2:
        return None
    return Note(
        f"its parts were counted on devices of {len(manifest.devices)} models "
        f"({'; '.join(manifest.devices)}), whose sums differ in their last bits: a feature within "
        "rounding of its threshold may fire on one and not on another"
    )


def _circumstances(run: Run, facts: SessionFacts) -> dict[str, Any]:
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
        "model": {"path": run.source.model, **facts.model},
        "sae_path": run.source.sae.path,
        "corpus": run.settings.corpus,
    }


def now() -> str:
    """Return the current time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
