"""Language models, loaded without their heads and only with the layers needed."""

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
from sfal.collect.model.quantised import check_quantised, loading_quantised, quantisation
from sfal.collect.model.tokenizer import Tokenizer
from sfal.collect.settings import ModelConfig
from sfal.errors import ArtifactError, CorruptError, InvalidInputError, SfalError
from sfal.io import fingerprints
from sfal.io.first_line import first_line
from sfal.io.hub import hub_errors

_log = logging.getLogger(__name__)
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
_DEFAULTS = ModelConfig()
_NOT_READ = ("vision", "multi_modal", "audio")
"""Prefixes of weights that text does not use."""


def load_language_model(
    model: str, points: Sequence[HookPoint], config: ModelConfig = _DEFAULTS
) -> LanguageModel:
    """Load a decoder without its head, and only as many layers as the points need.

    Parameters
    ----------
    model : str
        Hub id, or a local folder in transformers' layout.
    points : sequence of HookPoint
        Where activations will be read; at least one.
    config : ModelConfig
        Revision, device and dtype, and whether Python code in the repository
        may run.

    Returns
    -------
    LanguageModel

    Raises
    ------
    UnknownSaeError
        If the model lacks a layer, site or module.
    DownloadError
        If the model is gated, missing or unreachable.
    ArtifactError
        If its files are damaged or lack weights.
    InvalidInputError
        If transformers does not support the model, the model has Python code of
        its own that may not run, or the device is not available.
    MissingDependencyError
        If it is quantised, and a package for that is not installed.
    MemoryLimitError
        If it does not fit into the device's memory.
    """
    if not points:
        raise InvalidInputError("no place to read activations at; name a layer and a site")
    config = config.resolved()
    with _loading(model), _quiet():
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        fingerprint = _fingerprint(model, config.revision)
        # One commit for all files, though the branch may move while they are being fetched.
        commit = fingerprint["revision"] if "repo" in fingerprint else None
        common = {"revision": commit, "trust_remote_code": config.trust_remote_code}
        architecture = AutoConfig.from_pretrained(model, **common)
        text = architecture.get_text_config()
        if getattr(text, "num_hidden_layers", None) is None:
            raise InvalidInputError(
                f"{model} ({text.model_type}) is not a language model with layers"
            )
        quantised = quantisation(architecture) or quantisation(text)
        if quantised is not None:
            check_quantised(model, quantised)
        n_layers = needed_layers(points, text.num_hidden_layers, model)
        if text.model_type in CUTTABLE:
            text.num_hidden_layers = n_layers
        # The layers of a quantised model cannot all be moved once they are there.
        place = {} if quantised is None else {"device_map": {"": config.device}}
        with loading_quantised(model, quantised):
            whole, info = AutoModel.from_pretrained(
                model,
                config=architecture,
                dtype=_DTYPES[config.dtype],
                output_loading_info=True,
                **place,
                **common,
            )
        decoder = getattr(whole, "language_model", whole)
        _check_complete(model, info)
        tokenizer = Tokenizer(AutoTokenizer.from_pretrained(model, **common), model)
    del layers_of(decoder, text)[n_layers:]
    with device_memory(
        f"{n_layers} layers of {model} do not fit into the memory of {config.device}"
    ):
        decoder.eval().requires_grad_(False)
        if quantised is None:
            decoder.to(config.device)
    loaded = LanguageModel(model, decoder, decoder.config, tokenizer, points, fingerprint)
    loaded.metadata["layers_run"] = n_layers
    if quantised is not None:
        loaded.metadata["quantised"] = quantised
    _log.info("%s: %d layers on %s", model, n_layers, config.device)
    return loaded


def _check_complete(model: str, info: dict[str, Any]) -> None:
    """Refuse a model with missing weights, which transformers would fill in at random."""
    missing = [
        name for name in sorted(map(str, info["missing_keys"])) if not name.startswith(_NOT_READ)
    ]
    if missing:
        raise ArtifactError(
            f"{model} lacks {len(missing)} of its weights ({', '.join(missing[:3])} …); "
            "its files are incomplete or belong to another model"
        )


def _fingerprint(model: str, revision: str | None) -> dict[str, str]:
    """Return hashes of a local folder's files, or the current commit of a name on the hub."""
    if Path(model).is_dir():
        return fingerprints.of_path(Path(model))
    from transformers.utils.hub import cached_file

    found = fingerprints.of_hub_file(
        model, "config.json", Path(cached_file(model, "config.json", revision=revision))
    )
    return {"repo": model, "revision": found["revision"]}


@contextmanager
def _loading(model: str) -> Iterator[None]:
    """Name the model, and the reason, in whatever error loading it raises."""
    from safetensors import SafetensorError

    is_folder = Path(model).is_dir()
    try:
        with hub_errors(f"model {model}", "or name a local folder with $model"):
            try:
                yield
            except OSError as e:
                if is_folder and not isinstance(e, SfalError):
                    line = first_line(e)
                    raise ArtifactError(f"{model} is not a complete model folder: {line}") from e
                raise
    except SfalError:
        raise
    except SafetensorError as e:
        raise CorruptError(f"the weights of {model} are damaged: {e}") from e
    except UnpicklingError as e:
        raise CorruptError(
            f"the weights of {model} are a pickle that is damaged or holds more than numbers",
            hint="use a copy of the model in .safetensors",
        ) from e
    except ValueError as e:
        if "trust_remote_code" in str(e):
            raise InvalidInputError(
                f"{model} comes with its own Python code",
                hint="if you trust it, set $trust_remote_code",
            ) from e
        raise InvalidInputError(f"{model} cannot be loaded: {first_line(e)}") from e
    except OSError as e:
        raise ArtifactError(f"{model} cannot be loaded: {first_line(e)}") from e


def _is_not_about_masks(record: logging.LogRecord) -> bool:
    return "passing in an `attention_mask`" not in record.getMessage()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' load reports and bars off the terminal, but not the hub's bars."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging as their_logging

    verbosity = their_logging.get_verbosity()
    bars = their_logging.is_progress_bar_enabled()
    downloads = not are_progress_bars_disabled()
    their_logging.set_verbosity_error()
    # For good: documents are padded on the right, where a causal model needs no mask.
    logging.getLogger("transformers.modeling_utils").addFilter(_is_not_about_masks)
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
