"""SAEs in each layout they are published in, read into one form."""

import re
from pathlib import Path

import torch

from sfal.collect.sae.files import (
    check_arrays,
    encoder_shape,
    number,
    read_npz,
    read_safetensors,
    read_settings,
    safetensors_keys,
)
from sfal.collect.sae.saelens import load_from_folder, load_from_release
from sfal.collect.sae.weights import KEYS, SaeWeights, check_shapes, facts, relevant, wanted_keys
from sfal.errors import ArtifactError, InvalidInputError, MissingError
from sfal.io import fingerprints
from sfal.io.hub import hub_errors
from sfal.sources.source import SaeRef

_LLAMA_RULES = {
    "act_fn": "jumprelu",
    "norm_activation": "dataset-wise",
    "use_glu_encoder": False,
    "apply_decoder_bias_to_pre_encoder": False,
}
_SINCE_6 = re.compile(r"(\d{2,}|[6-9])\.")


def gemma_scope(ref: SaeRef, *, decoder: bool) -> SaeWeights:
    """Read Gemma Scope's ``params.npz`` from the hub; its arrays alone give the shapes."""
    repo_id, folder = _repository(ref)
    path, file = _fetch(repo_id, f"{folder}/params.npz", ref.revision)
    return _npz(path, fingerprints.of_hub_file(repo_id, file, path), decoder)


def llama_scope(ref: SaeRef, *, decoder: bool) -> SaeWeights:
    """Read Llama Scope's settings and safetensors from the hub."""
    repo_id, folder = _repository(ref)
    settings, _ = _fetch(repo_id, f"{folder}/hyperparams.json", ref.revision)
    weights, file = _fetch(repo_id, f"{folder}/checkpoints/final.safetensors", ref.revision)
    found = fingerprints.of_hub_file(repo_id, file, weights)
    return _llama(settings, weights, found, decoder)


def from_local(ref: SaeRef, *, decoder: bool) -> SaeWeights:
    """Read an npz file, or a folder in Gemma Scope's, Llama Scope's or SAELens' layout.

    Raises
    ------
    MissingError
        If there is no such file or folder.
    ArtifactError
        If its layout is none of these.
    """
    path = Path(ref.path or "")
    if not ref.path or not path.exists():
        raise MissingError(f"no SAE at {path}: there is no such file or folder")
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
        f"{path} is not an SAE: expected an .npz file, or a folder with cfg.json (SAELens), "
        "params.npz (Gemma Scope) or hyperparams.json (Llama Scope)"
    )


def from_release(ref: SaeRef, dtype: str) -> SaeWeights:
    """Load an SAE of a SAELens release through SAELens itself.

    Raises
    ------
    DownloadError
        If it cannot be fetched.
    ArtifactError
        If SAELens cannot read its files.
    """
    release, sae_id = ref.release or ref.repo_id, ref.sae_id or ref.path
    if release is None or sae_id is None:
        raise InvalidInputError("an SAE of SAELens is named by its release and its id")
    loaded = load_from_release(release, sae_id, dtype)
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

    with hub_errors(f"{file} of {repo_id}", "or name a local SAE with $sae_path"):
        return Path(hf_hub_download(repo_id, file, revision=revision)), file


def _npz(path: Path, fingerprint: dict[str, str], decoder: bool) -> SaeWeights:
    keys = ["W_enc", "b_enc", "threshold"] + ["W_dec"] * decoder
    arrays = read_npz(path, keys)
    check_shapes(path, arrays)
    return SaeWeights(str(path), "jumprelu", arrays, fingerprint)


def _llama(
    settings_path: Path, weights: Path, fingerprint: dict[str, str], decoder: bool
) -> SaeWeights:
    """Read Llama Scope's rule: ``(s * x) @ W + b > threshold * s``.

    s is sqrt(d_model) / the average norm of the input, both in the SAE's own
    settings. SAELens' registry repeats the input's s for its releases.
    """
    settings = read_settings(settings_path)
    for key, expected in _LLAMA_RULES.items():
        if settings.get(key, expected) != expected:
            raise ArtifactError(
                f"{settings_path}: {key} is {settings[key]!r}, but SFAL supports only Llama "
                f"Scope's {expected!r}"
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
    return SaeWeights(
        str(weights),
        "jumprelu",
        arrays,
        fingerprint,
        input_scale=scale,
        threshold_scale=scale,
        facts={"hook_name": settings.get("hook_point_in")},
    )


def _saelens_folder(path: Path, decoder: bool) -> SaeWeights:
    """Read SAELens' own folder, without importing SAELens where the layout is plain."""
    config_path, weights = path / "cfg.json", path / "sae_weights.safetensors"
    config = read_settings(config_path)
    metadata = config.get("metadata")
    version = metadata.get("sae_lens_version") if isinstance(metadata, dict) else None
    architecture = config.get("architecture")
    fingerprint = fingerprints.of_path(path)
    known = isinstance(architecture, str) and architecture in KEYS
    plain = known and isinstance(version, str) and _SINCE_6.match(version)
    stored = safetensors_keys(weights)
    if not plain or stored & {"scaling_factor", "log_threshold"}:
        loaded = load_from_folder(path)
        loaded.fingerprint = fingerprint
        return loaded
    arrays = read_safetensors(weights, wanted_keys(config, decoder))
    check_shapes(weights, arrays)
    return SaeWeights(
        str(path),
        str(architecture),
        arrays,
        fingerprint,
        relevant(config),
        facts=facts(metadata),
    )
