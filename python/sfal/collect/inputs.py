"""Loading what a run needs: corpus and language model once, an SAE for every job."""

import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfal.collect.corpus.local import LocalCorpus
from sfal.collect.corpus.open import Corpus, open_corpus
from sfal.collect.run import Job
from sfal.collect.settings import CollectSettings
from sfal.errors import InvalidInputError, SfalError
from sfal.io import fingerprints
from sfal.sources.source import Source

if TYPE_CHECKING:
    from sfal.collect.model.hook_points import HookPoint
    from sfal.collect.model.load import LanguageModel
    from sfal.collect.sae.sae import Sae

_PACKAGES = ("sfal", "torch", "transformers", "tokenizers", "datasets", "pyarrow", "numpy")


def load_corpus(settings: CollectSettings) -> Corpus:
    """Find the corpus of a run.

    Raises
    ------
    SfalError
        If it is not there, cannot be read or cannot be fetched.
    """
    return open_corpus(
        settings.corpus,
        text_column=settings.text_column,
        config=settings.corpus_config,
        split=settings.split,
        revision=settings.corpus_revision,
    )


def load_model(jobs: Sequence[Job], settings: CollectSettings) -> "LanguageModel":
    """Load the language model as deep as the jobs need; a job that asks for more is given up.

    Raises
    ------
    SfalError
        If the model cannot be loaded, or no job is left.
    """
    from sfal.collect.model.hook_points import needed_layers
    from sfal.collect.model.load import load_language_model

    name = jobs[0].source.model
    n_layers = _n_layers(name, settings)
    for job in jobs:
        if n_layers is not None:
            try:
                needed_layers([point(job.source)], n_layers, name)
            except SfalError as e:
                job.fail(e)
    alive = [job for job in jobs if job.error is None]
    if not alive:
        raise jobs[0].error or InvalidInputError(f"no source of {name} is left")
    return load_language_model(
        name,
        [point(job.source) for job in alive],
        device=settings.device,
        dtype=settings.dtype,
        revision=settings.revision,
        trust_remote_code=settings.trust_remote_code,
    )


def _n_layers(model: str, settings: CollectSettings) -> int | None:
    """Layers of a model; None where only loading it can say what is wrong with it."""
    from transformers import AutoConfig

    with suppress(Exception):
        config = AutoConfig.from_pretrained(
            model, revision=settings.revision, trust_remote_code=settings.trust_remote_code
        )
        return int(config.get_text_config().num_hidden_layers)
    return None


def load_saes(
    jobs: Sequence[Job], model: "LanguageModel", corpus: Corpus, settings: CollectSettings
) -> None:
    """Load the SAE of every job; a job whose SAE is refused is given up."""
    shared = {"model": model.fingerprint, "corpus": corpus.fingerprint}
    for job in jobs:
        if job.error is not None:
            continue
        try:
            sae = load_one(job.source, model, settings)
            job.load(sae, shared, _circumstances(job, model, settings))
        except SfalError as e:
            job.fail(e)


def check_in_place(jobs: Sequence[Job], settings: CollectSettings) -> None:
    """Give up jobs that are done, but whose local inputs have been exchanged since.

    Inputs that are to be loaded are checked then. What has gone from the disk
    needs no check, nor does what a commit of the hub says.
    """
    done = [job for job in jobs if job.error is None and not job.pending]
    if not done:
        return
    found: dict[str, Any] = {}
    model, corpus = Path(done[0].source.model), Path(settings.corpus)
    if model.is_dir():
        found["model"] = fingerprints.of_path(model)
    if corpus.is_file():
        found["corpus"] = LocalCorpus(corpus, settings.text_column).fingerprint
    for job in done:
        sae = job.source.sae
        own = {}
        if sae.kind == "local" and sae.path is not None and Path(sae.path).exists():
            own["sae"] = fingerprints.of_path(Path(sae.path))
        try:
            job.check_inputs({**found, **own})
        except SfalError as e:
            job.fail(e)


def load_one(source: Source, model: "LanguageModel", settings: CollectSettings) -> "Sae":
    """Load the SAE of a source.

    Raises
    ------
    SfalError
        If it cannot be loaded, or does not fit the model.
    """
    from sfal.collect.sae.sae import load_sae

    sae = load_sae(
        source.sae,
        device=settings.device,
        dtype=settings.sae_dtype,
        top_k=settings.top_k,
        input_scale=settings.input_scale,
        decoder_norm_gate=settings.decoder_norm_gate,
    )
    model.check_width(point(source), sae.d_in, source.name)
    return sae


def point(source: Source) -> "HookPoint":
    """Where a source reads."""
    from sfal.collect.model.hook_points import HookPoint

    return HookPoint(source.layer, source.site, source.hook_module)


def _circumstances(job: Job, model: "LanguageModel", settings: CollectSettings) -> dict[str, Any]:
    """What a manifest tells about how it came about, without deciding the result."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "started": now(),
        "versions": versions,
        "device": settings.device,
        "machine": platform.machine(),
        "model": {"path": job.source.model, **model.metadata},
        "sae_path": job.source.sae.path,
        "corpus": settings.corpus,
    }


def now() -> str:
    """Time of day, to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
