"""SAEs in SAELens' own folders, read without importing SAELens where the layout is plain."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from sfal.collect.sae.files import (
    SafetensorsFile,
    number,
    read_settings,
    refuse_crosscoder,
)
from sfal.collect.sae.layouts.arrays import check_size
from sfal.collect.sae.saelens import load_from_folder, normalisation_notes
from sfal.collect.sae.weights import KEYS, SaeWeights, check_shapes, facts, relevant, wanted_keys
from sfal.errors import ArtifactError
from sfal.sources.configuration.saelens import unnested

_SINCE_6 = re.compile(r"(\d{2,}|[6-9])\.")
_BATCH_TOPK = ("batchtopk", "matryoshka_batchtopk")
"""Architectures of SAELens' training, which it saves as JumpReLU in the end."""
_OTHERS = ("matching_pursuit", "temporal")
"""Architectures that only SAELens itself encodes."""
_NORMALISATIONS = (
    "none",
    "constant_norm_rescale",
    "covariance_whitening",
    "expected_average_only_in",
    "layer_norm",
)
_ACTIVATIONS = ("relu", "tanh-relu", "topk", "jumprelu", "identity")
"""Activation functions that leave the gate as the architecture says; tanh keeps signs."""


def saelens_folder(path: Path, fingerprint: dict[str, str], *, decoder: bool) -> SaeWeights:
    """Read a folder with ``cfg.json`` and ``sae_weights.safetensors``.

    Parameters
    ----------
    path : Path
        The folder.
    fingerprint : dict of str to str
        What identifies its files.
    decoder : bool
        Whether the decoder's norms are needed in any case.

    Raises
    ------
    ArtifactError
        If a file is missing or damaged, or a setting is not one that SFAL can apply.
    """
    config_path, weights = path / "cfg.json", path / "sae_weights.safetensors"
    config = unnested(read_settings(config_path))
    if config.get("normalize_activations") is True:  # as SAELens before version 4 spelled it
        config["normalize_activations"] = "expected_average_only_in"
    metadata = config.get("metadata")
    version = metadata.get("sae_lens_version") if isinstance(metadata, dict) else None
    architecture = config.get("architecture")
    known = isinstance(architecture, str) and architecture in KEYS
    plain = known and isinstance(version, str) and _SINCE_6.match(version)
    file = SafetensorsFile(weights)
    shapes = file.shapes
    refuse_crosscoder(weights, "W_enc", shapes.get("W_enc", ()))
    _check_settings(config_path, config)
    if plain:
        _check_top_k(config_path, config)
    _check_sizes(weights, config, shapes)
    if architecture in _BATCH_TOPK:
        return _scaled(path, _batch_topk(path, config, file, fingerprint, decoder))
    if not plain or not {"scaling_factor", "log_threshold"}.isdisjoint(shapes):
        loaded = load_from_folder(path, config)
        loaded.fingerprint = fingerprint
        return _scaled(path, loaded)
    arrays = file.read(wanted_keys(config, decoder))
    check_shapes(weights, arrays)
    return _scaled(
        path,
        SaeWeights(
            str(path),
            str(architecture),
            arrays,
            fingerprint,
            relevant(config),
            facts=facts(metadata),
            notes=normalisation_notes(str(path), config),
        ),
    )


def _batch_topk(
    path: Path,
    config: dict[str, Any],
    file: SafetensorsFile,
    fingerprint: dict[str, str],
    decoder: bool,
) -> SaeWeights:
    """Read a BatchTopK SAE in the configuration of its training.

    When training ends, SAELens saves it as JumpReLU, with its threshold for each
    feature and the decoder's norms folded into the encoder. A checkpoint has one
    threshold for all, against pre-activations times the norms.
    """
    is_checkpoint = "topk_threshold" in file.shapes
    if not is_checkpoint and "threshold" not in file.shapes:
        return _without_threshold(path, config, file, fingerprint, decoder)
    as_saved = {
        **config,
        "architecture": "jumprelu",
        "rescale_acts_by_decoder_norm": is_checkpoint
        and config.get("rescale_acts_by_decoder_norm", True),
    }
    names = wanted_keys(as_saved, decoder)
    if is_checkpoint:
        names[names.index("threshold")] = "topk_threshold"
    arrays = file.read(names)
    if is_checkpoint:
        common = arrays.pop("topk_threshold")
        if common.numel() != 1:
            raise ArtifactError(f"{file.path}: topk_threshold is not a single number")
        arrays["threshold"] = common.reshape(1).expand(arrays["b_enc"].shape[0]).contiguous()
    check_shapes(file.path, arrays)
    return SaeWeights(
        str(path),
        "jumprelu",
        arrays,
        fingerprint,
        {key: value for key, value in relevant(as_saved).items() if key != "k"},
        facts={**facts(config.get("metadata")), "class": config["architecture"]},
        notes=normalisation_notes(str(path), config),
    )


def _without_threshold(
    path: Path,
    config: dict[str, Any],
    file: SafetensorsFile,
    fingerprint: dict[str, str],
    decoder: bool,
) -> SaeWeights:
    """Read a BatchTopK SAE whose files do not say what fires on a single token."""
    norms = config.get("rescale_acts_by_decoder_norm", True)
    as_saved = {**config, "architecture": "topk", "rescale_acts_by_decoder_norm": norms}
    arrays = file.read(wanted_keys(as_saved, decoder))
    check_shapes(file.path, arrays)
    return SaeWeights(
        str(path),
        "topk",
        arrays,
        fingerprint,
        relevant(as_saved),
        facts={**facts(config.get("metadata")), "class": config["architecture"]},
        lacks_gate=f"{file.path} is a BatchTopK SAE without a threshold: what fires on a token "
        "depends on the other tokens of a batch; SAELens (save_inference_model) writes it",
        notes=normalisation_notes(str(path), config),
    )


def _check_sizes(weights: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse weights whose shape is not the one that the settings state."""
    shape = shapes.get("W_enc", ())
    if len(shape) == 2:
        for name, size in zip(("d_in", "d_sae"), shape, strict=True):
            check_size(weights.with_name("cfg.json"), config, name, size)


def _check_settings(path: Path, config: dict[str, Any]) -> None:
    """Refuse settings that would be ignored although they change what fires."""
    architecture = config.get("architecture", "standard")
    if architecture not in (*KEYS, *_OTHERS, *_BATCH_TOPK):
        raise ArtifactError(
            f"{path}: architecture is {str(architecture)[:60]!r}, which neither SFAL nor SAELens "
            f"knows; they know {', '.join((*KEYS, *_OTHERS, *_BATCH_TOPK))}",
            hint="count what it fires by its own code with $do_count_encoded",
        )
    normalisation = config.get("normalize_activations")
    if not isinstance(normalisation, bool | None) and normalisation not in _NORMALISATIONS:
        raise ArtifactError(
            f"{path}: normalize_activations is {str(normalisation)[:60]!r}, which SFAL cannot apply",
            hint="fold it into the weights with SAELens, and save the SAE again",
        )
    for name in ("activation_fn", "activation_fn_str"):
        function = config.get(name)
        if function is not None and function not in _ACTIVATIONS:
            raise ArtifactError(
                f"{path}: {name} is {str(function)[:60]!r}, which SFAL does not know"
            )


def _check_top_k(path: Path, config: dict[str, Any]) -> None:
    """Refuse a top-k activation that SAELens since version 6 ignores beside an architecture."""
    architecture = str(config.get("architecture"))
    for name in ("activation_fn", "activation_fn_str"):
        if config.get(name) == "topk" and "topk" not in architecture:
            raise ArtifactError(
                f"{path}: {name} is 'topk', but architecture is {architecture!r}",
                hint=f"set architecture to topk and k to its number there, or remove {name}",
            )


def _scaled(path: Path, loaded: SaeWeights) -> SaeWeights:
    """Apply the input's factor if it is beside the SAE."""
    normalisation = loaded.config.get("normalize_activations")
    if normalisation != "expected_average_only_in" or loaded.encoder is not None:
        return loaded
    scale = input_factor(path)
    return loaded if scale is None else replace(loaded, input_scale=scale, notes=())


def input_factor(path: Path) -> float | None:
    """Return the factor on an SAE's input in a checkpoint of SAELens; None if there is none.

    When training ends SAELens folds it into the weights; until then it is in
    ``activation_scaler.json``.

    Raises
    ------
    ArtifactError
        If the file is damaged, or the factor is not a number above 0.
    """
    file = path / "activation_scaler.json"
    settings = read_settings(file) if file.is_file() else {}
    if settings.get("scaling_factor") is None:
        return None
    scale = number(file, settings, "scaling_factor")
    if scale <= 0:
        raise ArtifactError(f"{file}: scaling_factor is {scale}, not > 0")
    return scale
