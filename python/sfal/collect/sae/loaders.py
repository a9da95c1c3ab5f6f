"""SAEs in each layout they come in, read into one form."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sfal.collect.sae.files import (
    check_arrays,
    encoder_shape,
    number,
    read_npz,
    read_safetensors,
    read_settings,
    safetensors_keys,
)
from sfal.errors import ArtifactError, InvalidInputError
from sfal.io import fingerprints
from sfal.io.hub import hub_errors
from sfal.sources.source import SaeRef


@dataclass
class Loaded:
    """What was read of an SAE, before scale, dtype and device are chosen."""

    where: str
    """File or repository, for messages."""
    architecture: str
    """As SAELens names it."""
    arrays: dict[str, Tensor]
    """By SAELens' names: W_enc [d_in, n_features], b_enc, threshold, …; W_dec where needed."""
    fingerprint: dict[str, str]
    """Hash of each local file, or repository, path and commit."""
    config: dict[str, Any] = field(default_factory=dict)
    """SAELens' settings that bear on the gate."""
    input_scale: float = 1.0
    """Factor on the input that the SAE asks for."""
    threshold_scale: float | None = None
    """Factor on the threshold where that is given for unscaled inputs; else None."""
    facts: dict[str, Any] = field(default_factory=dict)
    """More for the manifest, such as the hook it was trained on."""
    encoder: Any = None
    """SAELens' own SAE, where no gate of ours does the same."""


def gemma_scope(ref: SaeRef, *, decoder: bool) -> Loaded:
    """Gemma Scope's ``params.npz`` from the hub; shapes come from its arrays alone."""
    repo_id, folder = _repository(ref)
    path, file = _fetch(repo_id, f"{folder}/params.npz", ref.revision)
    return _npz(path, fingerprints.of_hub_file(repo_id, file, path), decoder)


def llama_scope(ref: SaeRef, *, decoder: bool) -> Loaded:
    """Llama Scope's settings and safetensors from the hub."""
    repo_id, folder = _repository(ref)
    settings, _ = _fetch(repo_id, f"{folder}/hyperparams.json", ref.revision)
    weights, file = _fetch(repo_id, f"{folder}/checkpoints/final.safetensors", ref.revision)
    found = fingerprints.of_hub_file(repo_id, file, weights)
    return _llama(settings, weights, found, decoder)


def from_local(ref: SaeRef, *, decoder: bool) -> Loaded:
    """An npz file, or a folder in Gemma Scope's, Llama Scope's or SAELens' layout.

    Raises
    ------
    ArtifactError
        If there is no such file or folder, or its layout is none of these.
    """
    path = Path(ref.path or "")
    if not ref.path or not path.exists():
        raise ArtifactError(f"no SAE at {path}: there is no such file or folder")
    if path.is_file() and path.suffix == ".npz":
        return _npz(path, fingerprints.of_path(path), decoder)
    if path.is_dir():
        if (path / "cfg.json").is_file():
            return _saelens_folder(path, decoder)
        found = fingerprints.of_path(path)
        if (path / "params.npz").is_file():
            return _npz(path / "params.npz", found, decoder)
        if (path / "hyperparams.json").is_file():
            weights = path / "checkpoints" / "final.safetensors"
            if not weights.is_file():
                weights = path / "final.safetensors"
            return _llama(path / "hyperparams.json", weights, found, decoder)
    raise ArtifactError(
        f"{path} is no SAE: expected an .npz file, or a folder with cfg.json (SAELens), "
        "params.npz (Gemma Scope) or hyperparams.json (Llama Scope)"
    )


def from_release(ref: SaeRef, dtype: str) -> Loaded:
    """An SAE of a SAELens release, loaded by SAELens itself.

    Raises
    ------
    DownloadError
        If it cannot be fetched.
    ArtifactError
        If SAELens cannot make sense of its files.
    """
    from sfal.collect.sae.saelens import fetch

    release, sae_id = ref.release or ref.repo_id, ref.sae_id or ref.path
    if release is None or sae_id is None:
        raise InvalidInputError("an SAE of SAELens is named by its release and its id")
    loaded = fetch(release, sae_id, dtype)
    if ref.repo_id:
        revision = fingerprints.cached_commit(ref.repo_id)
        loaded.fingerprint = {"repo": ref.repo_id, "path": ref.path or "", "revision": revision}
    return loaded


def _repository(ref: SaeRef) -> tuple[str, str]:
    if ref.repo_id is None or ref.path is None:
        raise InvalidInputError(f"{ref} names no repository and path")
    return ref.repo_id, ref.path


def _fetch(repo_id: str, file: str, revision: str | None) -> tuple[Path, str]:
    from huggingface_hub import hf_hub_download

    with hub_errors(f"{file} of {repo_id}", "or name a local SAE with --sae"):
        return Path(hf_hub_download(repo_id, file, revision=revision)), file


def _npz(path: Path, fingerprint: dict[str, str], decoder: bool) -> Loaded:
    keys = ["W_enc", "b_enc", "threshold"] + ["W_dec"] * decoder
    arrays = read_npz(path, keys)
    check_shapes(path, arrays)
    return Loaded(str(path), "jumprelu", arrays, fingerprint)


_LLAMA_RULES = {
    "act_fn": "jumprelu",
    "norm_activation": "dataset-wise",
    "use_glu_encoder": False,
    "apply_decoder_bias_to_pre_encoder": False,
}


def _llama(
    settings_path: Path, weights: Path, fingerprint: dict[str, str], decoder: bool
) -> Loaded:
    """Llama Scope's rule: ``(s * x) @ W + b > threshold * s``.

    s is sqrt(d_model) / the average norm of the input, both in the SAE's own
    settings. SAELens' registry repeats the input's s for its releases.
    """
    settings = read_settings(settings_path)
    for key, expected in _LLAMA_RULES.items():
        if settings.get(key, expected) != expected:
            raise ArtifactError(
                f"{settings_path}: {key} is {settings[key]!r}; SFAL knows Llama Scope's "
                f"{expected!r} only"
            )
    names = {"encoder.weight": "W_enc", "encoder.bias": "b_enc"}
    if decoder:
        names["decoder.weight"] = "W_dec"
    tensors = read_safetensors(weights, list(names))
    n_features, d_in = encoder_shape(weights, tensors, "encoder.weight")
    check_arrays(
        weights,
        tensors,
        {"encoder.bias": (n_features,), "decoder.weight": (d_in, n_features)},
    )
    if number(settings_path, settings, "d_model") != d_in:
        raise ArtifactError(
            f"{settings_path}: d_model is {settings['d_model']}, but the encoder of {weights} "
            f"takes {d_in}"
        )
    norm = number(settings_path, settings, "dataset_average_activation_norm", "in")
    if norm <= 0:
        raise ArtifactError(
            f"{settings_path}: dataset_average_activation_norm.in is {norm}, not > 0"
        )
    arrays = {name: tensors[key].t() for key, name in names.items()}
    threshold = number(settings_path, settings, "jump_relu_threshold")
    arrays["threshold"] = torch.full((n_features,), threshold, dtype=torch.float64)
    scale = d_in**0.5 / norm
    return Loaded(
        str(weights),
        "jumprelu",
        arrays,
        fingerprint,
        input_scale=scale,
        threshold_scale=scale,
        facts={"hook_name": settings.get("hook_point_in")},
    )


KEYS = {
    "standard": ("W_enc", "b_enc"),
    "transcoder": ("W_enc", "b_enc"),
    "skip_transcoder": ("W_enc", "b_enc"),
    "jumprelu": ("W_enc", "b_enc", "threshold"),
    "jumprelu_transcoder": ("W_enc", "b_enc", "threshold"),
    "jumprelu_skip_transcoder": ("W_enc", "b_enc", "threshold"),
    "gated": ("W_enc", "b_gate", "b_mag", "r_mag"),
    "topk": ("W_enc", "b_enc"),
    "abstopk": ("W_enc", "b_enc"),
}
"""By SAELens' architecture: the arrays that decide what fires. Others go through its encode."""

_CONFIG = (
    "k",
    "rescale_acts_by_decoder_norm",
    "apply_b_dec_to_input",
    "normalize_activations",
)
_SINCE_6 = re.compile(r"(\d{2,}|[6-9])\.")


def _saelens_folder(path: Path, decoder: bool) -> Loaded:
    """SAELens' own folder, read without importing it where the layout is plain."""
    config_path, weights = path / "cfg.json", path / "sae_weights.safetensors"
    config = read_settings(config_path)
    told = config.get("metadata")
    version = told.get("sae_lens_version") if isinstance(told, dict) else None
    architecture = config.get("architecture")
    found = fingerprints.of_path(path)
    known = isinstance(architecture, str) and architecture in KEYS
    plain = known and isinstance(version, str) and _SINCE_6.match(version)
    there = safetensors_keys(weights)
    if not plain or there & {"scaling_factor", "log_threshold"}:
        from sfal.collect.sae.saelens import open_folder

        loaded = open_folder(path)
        loaded.fingerprint = found
        return loaded
    arrays = read_safetensors(weights, wanted_keys(config, decoder))
    check_shapes(weights, arrays)
    return Loaded(str(path), str(architecture), arrays, found, relevant(config), facts=facts(told))


def wanted_keys(config: dict[str, Any], decoder: bool) -> list[str]:
    """Arrays that the gate of an architecture needs."""
    keys = list(KEYS[config["architecture"]])
    if takes_b_dec(config):
        keys.append("b_dec")
    if decoder or config.get("rescale_acts_by_decoder_norm"):
        keys.append("W_dec")
    return keys


def takes_b_dec(config: dict[str, Any]) -> bool:
    """Whether the decoder's bias is taken from the input; of a transcoder it never is."""
    return bool(
        config.get("apply_b_dec_to_input", True) and "transcoder" not in config["architecture"]
    )


def relevant(config: dict[str, Any]) -> dict[str, Any]:
    """Those of SAELens' settings that bear on what fires."""
    found = {key: config[key] for key in _CONFIG if config.get(key) is not None}
    found["apply_b_dec_to_input"] = takes_b_dec(config)
    return found


def facts(metadata: Any) -> dict[str, Any]:
    """What SAELens' metadata says about the SAE's training, for the manifest."""
    if not isinstance(metadata, dict):
        return {}
    keys = ("hook_name", "hf_hook_name", "model_name", "prepend_bos", "neuronpedia_id")
    return {key: metadata[key] for key in keys if metadata.get(key) is not None}


def check_shapes(path: Path, arrays: dict[str, Tensor]) -> None:
    """Refuse arrays that do not go with ``W_enc``; see :func:`check_arrays`."""
    d_in, n_features = encoder_shape(path, arrays, "W_enc")
    of_features = ("b_enc", "threshold", "b_gate", "b_mag", "r_mag")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(of_features, (n_features,))
    shapes |= {"W_dec": (n_features, d_in), "b_dec": (d_in,)}
    check_arrays(path, arrays, shapes)
