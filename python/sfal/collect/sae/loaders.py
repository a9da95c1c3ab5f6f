"""SAEs in each layout they are published in, read into one form."""

from pathlib import Path
from typing import Any

import torch

from sfal.collect.sae.files import (
    check_arrays,
    encoder_shape,
    number,
    read_npz,
    read_safetensors,
    read_settings,
)
from sfal.collect.sae.layouts.table import read_layout
from sfal.collect.sae.saelens import load_from_release
from sfal.collect.sae.saelens_folder import saelens_folder
from sfal.collect.sae.weights import SaeWeights, check_shapes
from sfal.errors import ArtifactError, InvalidInputError, MissingError
from sfal.io import fingerprints
from sfal.io.hub import hub_errors
from sfal.sources.configuration.layouts import Layout, layout_of, sae_fingerprint
from sfal.sources.hub_layouts import fetch_sae, repository_layout
from sfal.sources.source import SaeRef

_LLAMA_RULES = {
    "act_fn": "jumprelu",
    "norm_activation": "dataset-wise",
    "use_glu_encoder": False,
    "apply_decoder_bias_to_pre_encoder": False,
}


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
    """Read a file or folder in any of the layouts that SFAL knows.

    Raises
    ------
    MissingError
        If there is no such file or folder.
    ArtifactError
        If its layout is none of these.
    """
    if not ref.path:
        raise MissingError("a local SAE is named by its path")
    layout = layout_of(Path(ref.path))
    return _read(layout, sae_fingerprint(Path(ref.path)), decoder)


def _read(layout: Layout, found: dict[str, str], decoder: bool) -> SaeWeights:
    path = layout.path
    if layout.name == "saelens":
        return saelens_folder(path, found, decoder=decoder)
    if layout.name == "gemma_scope":
        return _npz(path / "params.npz" if path.is_dir() else path, found, decoder)
    if layout.name == "llama_scope":
        weights = path / "checkpoints" / "final.safetensors"
        if not weights.is_file():
            weights = path / "final.safetensors"
        return _llama(path / "hyperparams.json", weights, found, decoder)
    return read_layout(layout, found, decoder=decoder)


def from_repository(ref: SaeRef, *, decoder: bool) -> SaeWeights:
    """Read an SAE from any repository of the hub, in any of the layouts that SFAL knows."""
    repo_id, folder = _repository(ref)
    layout = repository_layout(repo_id, folder, ref.revision)
    if layout.name == "saelens":
        start = f"{folder}/" if folder else ""
        weights, file = _fetch(repo_id, f"{start}sae_weights.safetensors", ref.revision)
        found = fingerprints.of_hub_file(repo_id, file, weights)
    else:
        path = fetch_sae(repo_id, folder, ref.revision)
        found = fingerprints.of_hub_file(repo_id, folder, path)
    return _read(layout, found, decoder)


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
    """Read Llama Scope's rule: ``(s * x) @ W + b > threshold * s_out``.

    s is sqrt(d_model) / the average norm of the input, s_out the same for the
    output; both are in the SAE's own settings, and only a transcoder's differ.
    SAELens' registry repeats s for its releases.

    The settings also say ``sparsity_include_decoder_norm``: in training, the
    pre-activations were weighted by the norm of their decoder rows before they
    met the threshold. SAELens does not do that, so it is not the default here
    either; `decoder` reads the rows for :attr:`SaeConfig.decoder_norm_gate`,
    which does.
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
    check_arrays(weights, tensors, {"encoder.bias": (n_features,)})
    # A transcoder may write to another width than it reads.
    if decoder and encoder_shape(weights, tensors, "decoder.weight")[1] != n_features:
        raise ArtifactError(f"{weights}: the decoder does not have {n_features} features")
    if number(settings_path, settings, "d_model") != d_in:
        raise ArtifactError(
            f"{settings_path}: d_model is {settings['d_model']}, but the encoder of {weights} "
            f"takes {d_in}"
        )
    place_out = settings.get("hook_point_out", settings.get("hook_point_in"))
    transcodes = place_out != settings.get("hook_point_in")
    scale = _scale(settings_path, settings, d_in, "in")
    scale_out = _scale(settings_path, settings, d_in, "out") if transcodes else scale
    arrays = {name: tensors[key].t() for key, name in names.items()}
    threshold = number(settings_path, settings, "jump_relu_threshold")
    arrays["threshold"] = torch.full((n_features,), threshold, dtype=torch.float64)
    return SaeWeights(
        str(weights),
        "jumprelu",
        arrays,
        fingerprint,
        input_scale=scale,
        threshold_scale=scale_out,
        facts={"hook_name": settings.get("hook_point_in")},
    )


def _scale(path: Path, settings: dict[str, Any], d_model: int, end: str) -> float:
    """Return the factor that gives activations an average norm of sqrt(d_model)."""
    norm = number(path, settings, "dataset_average_activation_norm", end)
    if norm <= 0:
        raise ArtifactError(f"{path}: dataset_average_activation_norm.{end} is {norm}, not > 0")
    return float(d_model**0.5 / norm)
