"""Language models, loaded without their heads and only as deep as is needed."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sfal.cooc import fingerprints
from sfal.cooc.hooks import CUTTABLE, HookPoint, layers_of, needed_layers
from sfal.cooc.language_model import LanguageModel
from sfal.cooc.tokens import Tokenizer
from sfal.errors import ArtifactError, InvalidInputError
from sfal.hub import hub_errors

__all__ = ["HookPoint", "LanguageModel", "load_language_model"]

_log = logging.getLogger(__name__)
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


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
    if dtype != "auto" and dtype not in _DTYPES:
        raise InvalidInputError(f"dtype {dtype!r}: known are auto, {', '.join(_DTYPES)}")
    on_cpu = device.type == "cpu"
    chosen = _DTYPES[("float32" if on_cpu else "bfloat16") if dtype == "auto" else dtype]
    with _loading(model), _quiet():
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        common = {"revision": revision, "trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(model, **common)
        text = config.get_text_config()
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
    decoder.eval().requires_grad_(False).to(device)
    loaded = LanguageModel(
        model, decoder, decoder.config, tokenizer, points, _fingerprint(model, config)
    )
    loaded.metadata["layers_run"] = n_layers
    _log.info("%s: %d layers on %s", model, n_layers, device)
    return loaded


def _check_complete(model: str, info: dict[str, Any]) -> None:
    """Refuse weights that are missing, which transformers would make up at random."""
    missing = [
        str(name) for name in sorted(info["missing_keys"]) if not str(name).startswith("vision")
    ]
    if missing:
        raise ArtifactError(
            f"{model} lacks {len(missing)} of its weights ({', '.join(missing[:3])} …); "
            "its files are incomplete or belong to another model"
        )


def _fingerprint(model: str, config: Any) -> dict[str, str]:
    if Path(model).is_dir():
        return fingerprints.of_path(Path(model))
    return {"repo": model, "revision": getattr(config, "_commit_hash", None) or "unknown"}


@contextmanager
def _loading(model: str) -> Iterator[None]:
    """Say what is wrong with a model that cannot be loaded."""
    from safetensors import SafetensorError

    with hub_errors(f"model {model}", "or name a local folder with --model"):
        try:
            yield
        except SafetensorError as e:
            raise ArtifactError(f"the weights of {model} are damaged: {e}") from e
        except ValueError as e:
            if "trust_remote_code" in str(e):
                raise InvalidInputError(
                    f"{model} brings Python code of its own; if you trust it, allow it with "
                    "--trust-remote-code"
                ) from e
            if isinstance(e, InvalidInputError) or not Path(model).is_dir():
                raise
            raise InvalidInputError(f"{model} cannot be loaded: {_first_line(e)}") from e
        except OSError as e:
            if not Path(model).is_dir():
                raise
            raise ArtifactError(f"{model} is no complete model folder: {_first_line(e)}") from e


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
