"""Language models, loaded without their heads and only as deep as is needed."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from sfal.collect.model.hook_points import CUTTABLE, HookPoint, layers_of, needed_layers
from sfal.collect.model.language_model import LanguageModel
from sfal.collect.model.oom import device_memory
from sfal.collect.model.tokenizer import Tokenizer
from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.io import fingerprints
from sfal.io.hub import hub_errors

__all__ = ["HookPoint", "LanguageModel", "load_language_model"]

_log = logging.getLogger(__name__)
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
_NOT_READ = ("vision", "multi_modal", "audio")
"""How the names of weights begin that no text passes."""


def load_language_model(
    model: str,
    points: Sequence[HookPoint],
    *,
    device: str | torch.device = "cpu",
    dtype: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """Load a decoder without its head, only as deep as the points need.

    Parameters
    ----------
    model : str
        Hub id, or a local folder in transformers' layout.
    points : sequence of HookPoint
        Where activations will be read; at least one.
    device : str or torch.device
        Device to run on.
    dtype : str
        ``auto`` (bfloat16 on a GPU, float32 on a CPU) or a dtype's name.
    revision : str, optional
        Commit, branch or tag on the hub.
    trust_remote_code : bool
        Whether Python code in the repository may run.

    Returns
    -------
    LanguageModel

    Raises
    ------
    UnknownSaeError
        If the model lacks a layer, site or module.
    DownloadError
        If the model is gated, missing or out of reach.
    ArtifactError
        If its files are damaged or do not hold all weights.
    InvalidInputError
        If it is no model that transformers knows, or wants code of its own.
    """
    if not points:
        raise InvalidInputError("no place to read activations at; name a layer and a site")
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("there is no GPU that torch can use; take --device cpu")
    if dtype != "auto" and dtype not in _DTYPES:
        raise InvalidInputError(f"dtype {dtype!r}: known are auto, {', '.join(_DTYPES)}")
    on_cpu = device.type == "cpu"
    chosen = _DTYPES[("float32" if on_cpu else "bfloat16") if dtype == "auto" else dtype]
    with _loading(model), _quiet():
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        fingerprint = _fingerprint(model, revision)
        # One commit for all files, though the branch may move while they are fetched.
        commit = fingerprint["revision"] if "repo" in fingerprint else None
        common = {"revision": commit, "trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(model, **common)
        text = config.get_text_config()
        if getattr(text, "num_hidden_layers", None) is None:
            raise InvalidInputError(f"{model} ({text.model_type}) is no language model with layers")
        n_layers = needed_layers(points, text.num_hidden_layers, model)
        if text.model_type in CUTTABLE:
            text.num_hidden_layers = n_layers
        whole, info = AutoModel.from_pretrained(
            model, config=config, dtype=chosen, output_loading_info=True, **common
        )
        decoder = getattr(whole, "language_model", whole)
        _check_complete(model, info)
        tokenizer = Tokenizer(AutoTokenizer.from_pretrained(model, **common), model)
    del layers_of(decoder, text)[n_layers:]
    with device_memory(f"{n_layers} layers of {model} do not fit the memory of {device}"):
        decoder.eval().requires_grad_(False).to(device)
    loaded = LanguageModel(model, decoder, decoder.config, tokenizer, points, fingerprint)
    loaded.metadata["layers_run"] = n_layers
    _log.info("%s: %d layers on %s", model, n_layers, device)
    return loaded


def _check_complete(model: str, info: dict[str, Any]) -> None:
    """Refuse weights that are missing, which transformers would make up at random."""
    missing = [
        name for name in sorted(map(str, info["missing_keys"])) if not name.startswith(_NOT_READ)
    ]
    if missing:
        raise ArtifactError(
            f"{model} lacks {len(missing)} of its weights ({', '.join(missing[:3])} …); "
            "its files are incomplete or belong to another model"
        )


def _fingerprint(model: str, revision: str | None) -> dict[str, str]:
    """Hashes of a local folder's files, or the commit that a name on the hub stands for now."""
    if Path(model).is_dir():
        return fingerprints.of_path(Path(model))
    from transformers.utils.hub import cached_file

    found = fingerprints.of_hub_file(
        model, "config.json", Path(cached_file(model, "config.json", revision=revision))
    )
    return {"repo": model, "revision": found["revision"]}


@contextmanager
def _loading(model: str) -> Iterator[None]:
    """Say what is wrong with a model that cannot be loaded."""
    from safetensors import SafetensorError

    is_folder = Path(model).is_dir()
    try:
        with hub_errors(f"model {model}", "or name a local folder with --model"):
            try:
                yield
            except OSError as e:
                if is_folder and not isinstance(e, SfalError):
                    line = _first_line(e)
                    raise ArtifactError(f"{model} is no complete model folder: {line}") from e
                raise
    except SfalError:
        raise
    except SafetensorError as e:
        raise ArtifactError(f"the weights of {model} are damaged: {e}") from e
    except UnpicklingError as e:
        raise ArtifactError(
            f"the weights of {model} are a pickle that is damaged or holds more than numbers; "
            "take a copy of the model in .safetensors"
        ) from e
    except ValueError as e:
        if "trust_remote_code" in str(e):
            raise InvalidInputError(
                f"{model} brings Python code of its own; if you trust it, allow it with "
                "--trust-remote-code"
            ) from e
        raise InvalidInputError(f"{model} cannot be loaded: {_first_line(e)}") from e
    except OSError as e:
        raise ArtifactError(f"{model} cannot be loaded: {_first_line(e)}") from e


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the load reports and bars of transformers off the terminal, not the hub's bars."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging as their_logging

    verbosity = their_logging.get_verbosity()
    bars = their_logging.is_progress_bar_enabled()
    downloads = not are_progress_bars_disabled()
    their_logging.set_verbosity_error()
    their_logging.disable_progress_bar()
    if downloads:
        enable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        their_logging.set_verbosity(verbosity)
        if bars:
            their_logging.enable_progress_bar()
