"""Sentence embedding models, each loaded as its authors intended.

Models that need special settings are listed in :mod:`sfal.embeddings.model_settings`;
all others load with sentence-transformers' defaults.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sfal.embeddings.digests import folder_sha256
from sfal.embeddings.model_settings import ModelSettings, settings_for
from sfal.embeddings.prompts import PromptChoice
from sfal.errors import (
    ArtifactError,
    CorruptError,
    InvalidInputError,
    MemoryLimitError,
    SfalError,
)
from sfal.io.devices import resolve_device
from sfal.store.layout import check_name

DEFAULT_EMBEDDER = "Qwen/Qwen3-Embedding-0.6B"
NEURONPEDIA = "neuronpedia"
"""Name of the embedder without a model, which takes the vectors of Neuronpedia's export."""
MAX_TOKENS = 512
"""Tokens after which an explanation is cut; usual ones have a tenth of it."""


@dataclass(frozen=True)
class EmbedderRef:
    """An embedding model, named but not loaded."""

    name: str
    """Name of its folder in a source's: hub id, ``local/NAME`` or ``neuronpedia``."""
    path: Path | None = None
    """Folder of a local model."""
    revision: str | None = None
    """Commit, branch or tag of a hub model."""
    trust_remote_code: bool = False
    """Whether Python code in the model's repository may run."""
    prompt: PromptChoice = field(default_factory=PromptChoice)
    """What precedes each text."""

    @property
    def target(self) -> str:
        """Hub id or path that sentence-transformers loads."""
        return self.name if self.path is None else str(self.path)

    @cached_property
    def fingerprint(self) -> str | None:
        """Digest of a local model's files; the requested revision of a hub model."""
        return self.revision if self.path is None else folder_sha256(self.path)


def resolve_embedder(
    model: str,
    name: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    prompt: PromptChoice | None = None,
) -> EmbedderRef:
    """Return the embedder of a hub id or a local folder.

    Parameters
    ----------
    model : str
        ``neuronpedia``, a hub id, or the path of a folder with a model.
    name : str, optional
        Name of a local model, instead of ``local/FOLDER``.
    revision : str, optional
        Commit, branch or tag on the hub.
    trust_remote_code : bool
        Whether Python code in the model's repository may run.
    prompt : PromptChoice, optional
        What precedes each text; default: what the model's authors advise.

    Raises
    ------
    InvalidInputError
        If `model` is a path without a model, or is not a usable name.
    """
    prompt = prompt or PromptChoice()
    path = Path(model).expanduser()
    is_model = (path / "modules.json").is_file() or (path / "config.json").is_file()
    looks_local = path.is_absolute() or model.startswith(("./", "../", "~"))
    if is_model or looks_local:
        if not is_model:
            raise InvalidInputError(
                f"embedding model {model}: there is no model (no modules.json or config.json)"
            )
        path = path.resolve()
        return EmbedderRef(
            check_name(name or f"local/{path.name}", "embedder"),
            path,
            trust_remote_code=trust_remote_code,
            prompt=prompt,
        )
    if name is not None:
        raise InvalidInputError(
            f"the name {name} is for a model in a local folder, and {model} is not one",
            hint="leave out $embedding_name",
        )
    if model == NEURONPEDIA and prompt.is_given:
        raise InvalidInputError(
            "Neuronpedia's vectors exist already, so no prompt can precede their texts",
            hint="leave out $prompt and $prompt_name, or name a model as $embedding_models",
        )
    name = check_name(model, "embedding model")
    return EmbedderRef(name, None, revision, trust_remote_code, prompt)


class Embedder(Protocol):
    """A loaded embedding model."""

    fingerprint: str
    """Distinguishes this model from another of the same name."""
    facts: dict[str, Any]
    """How the model is run, for metadata."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors of texts, shape (n, D); the same list gives the same bits."""


class SentenceEmbedder:
    """A model loaded by sentence-transformers.

    Parameters
    ----------
    ref : EmbedderRef
        The model.
    device : str
        As :func:`sfal.io.devices.resolve_device` takes it.
    batch_size : int
        Texts per batch.

    Raises
    ------
    InvalidInputError
        If the model needs Python code from its repository and that is not
        allowed, or if there is no GPU as `device` requests.
    DownloadError
        If the model cannot be fetched.
    ArtifactError
        If the model cannot be loaded, or its pooling is not the one with which
        it was trained.
    """

    def __init__(self, ref: EmbedderRef, device: str = "auto", batch_size: int = 32) -> None:
        settings = settings_for(ref.target)
        if settings.needs_code and not ref.trust_remote_code:
            raise _needs_code(ref.target)
        self._name = ref.target
        self._batch_size = batch_size
        self._model = _load(ref, settings, resolve_device(device))
        self._check_pooling(settings)
        self._suffix = self._eos() if settings.ends_with_eos else ""
        limit = self._model.max_seq_length
        # Word-vector models read texts of any length and accept no limit.
        if limit != math.inf:
            self._model.max_seq_length = limit = min(limit or MAX_TOKENS, MAX_TOKENS)
        self.fingerprint = ref.fingerprint if ref.fingerprint and ref.path else _commit(ref)
        self.facts = {
            "dtype": str(next(self._model.parameters()).dtype).removeprefix("torch."),
            "max_tokens": None if limit == math.inf else limit,
            "pooling": self._pooling(),
            **ref.prompt.facts(ref.target, self._model.prompts, self._model.default_prompt_name),
        }

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors of texts.

        Parameters
        ----------
        texts : sequence of str
            Texts. Batches are formed from these alone, so the same list gives
            the same bits on the same machine.

        Returns
        -------
        vectors : ndarray of shape (n, D), float32
            One row per text.

        Raises
        ------
        MemoryLimitError
            If a batch does not fit into the device's memory.
        """
        import torch

        try:
            vectors = self._model.encode(
                [text + self._suffix for text in texts],
                batch_size=self._batch_size,
                prompt=self.facts.get("prompt", ""),
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        except torch.OutOfMemoryError as e:
            raise MemoryLimitError(
                f"{self._name} with batches of {self._batch_size} does not fit into the "
                "device's memory",
                hint="use a smaller $batch_size, or $device(cpu)",
            ) from e
        return np.asarray(vectors, dtype=np.float32)

    def _pooling(self) -> str | None:
        for module in self._model:
            mode = getattr(module, "pooling_mode", None)
            if mode is not None:
                return "+".join(mode) if isinstance(mode, (tuple, list)) else str(mode)
        return None

    def _check_pooling(self, settings: ModelSettings) -> None:
        if settings.pooling is not None and self._pooling() != settings.pooling:
            raise ArtifactError(
                f"{self._name} pools by {self._pooling()}, but was trained with "
                f"{settings.pooling}: its folder lacks modules.json or 1_Pooling",
                hint="fetch all files of the model",
            )

    def _eos(self) -> str:
        """Return the text that makes EOS the last token; empty if the tokenizer adds it."""
        tokenizer = self._model.tokenizer
        ids = tokenizer("a")["input_ids"]
        return "" if ids and ids[-1] == tokenizer.eos_token_id else str(tokenizer.eos_token)


def _commit(ref: EmbedderRef) -> str:
    """Return the commit of a hub model that has just been loaded, from the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(ref.name, "config.json", revision=ref.revision)
    # …/snapshots/COMMIT/config.json; a cache of another layout does not tell.
    return Path(found).parent.name if isinstance(found, str) else "unknown"


def _load(ref: EmbedderRef, settings: ModelSettings, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    from sfal.io.hub import hub_errors

    half = settings.half_on_cuda and device.startswith("cuda")
    try:
        with hub_errors(f"embedding model {ref.target}", "give a folder with a model by its path"):
            return SentenceTransformer(
                ref.target,
                device=device,
                revision=ref.revision,
                trust_remote_code=ref.trust_remote_code,
                # By default a model stored in bfloat16 would run in it on a CPU too.
                model_kwargs={"dtype": "bfloat16" if half else "float32"},
                processor_kwargs=(
                    {"padding_side": settings.padding_side} if settings.padding_side else {}
                ),
                config_kwargs=dict(settings.config),
            )
    except SfalError:
        raise
    except UnpicklingError as e:
        raise CorruptError(
            f"the weights of {ref.target} are a pickle that is damaged or holds more than numbers",
            hint="use a copy of the model in .safetensors",
        ) from e
    except Exception as e:  # code in the model's repository may raise anything
        text = " ".join(str(e).split())
        if "trust_remote_code" in text and not ref.trust_remote_code:
            raise _needs_code(ref.target) from e
        raise ArtifactError(
            f"embedding model {ref.target} cannot be loaded: {type(e).__name__}: {text[:300]}",
            hint=f"{DEFAULT_EMBEDDER} needs no code from its repository and loads everywhere",
        ) from e


def _needs_code(model: str) -> InvalidInputError:
    return InvalidInputError(
        f"{model} works only with the Python code in its repository",
        hint="read that code, then allow it with $trust_remote_code",
    )
