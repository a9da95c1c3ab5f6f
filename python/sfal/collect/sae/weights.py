"""The arrays and settings of an SAE that decide which of its features fire."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from sfal.collect.sae.files import check_arrays, encoder_shape
from sfal.errors import Note

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
"""The arrays that decide what fires, by SAELens' architecture; others need SAELens' encode."""

_CONFIG = (
    "k",
    "rescale_acts_by_decoder_norm",
    "apply_b_dec_to_input",
    "normalize_activations",
)


@dataclass
class SaeWeights:
    """What was read from an SAE's files, before scale, dtype and device are chosen."""

    where: str
    """File or repository, for messages."""
    architecture: str
    """As SAELens names it."""
    arrays: dict[str, Tensor]
    """By SAELens' names: W_enc [d_in, n_features], b_enc, threshold, …; W_dec where needed."""
    fingerprint: dict[str, str]
    """Hash of each local file, or repository, path and commit."""
    config: dict[str, Any] = field(default_factory=dict)
    """SAELens' settings that affect the gate."""
    input_scale: float = 1.0
    """Factor on the input that the SAE asks for."""
    threshold_scale: float | None = None
    """Factor on the threshold if that is given for unscaled inputs; else None."""
    facts: dict[str, Any] = field(default_factory=dict)
    """More for the manifest, such as the hook it was trained on."""
    lacks_gate: str = ""
    """Why the files alone do not say what fires, if they do not; top_k then says it."""
    file_notes: tuple[Note, ...] = ()
    """What the user should know about the files."""
    encoder: Any = None
    """SAELens' own SAE, if none of our gates does the same."""
    notes: tuple[Note, ...] = ()
    """What the user should know about the settings."""


def wanted_keys(config: dict[str, Any], decoder: bool) -> list[str]:
    """Return the arrays that an architecture's gate needs.

    Parameters
    ----------
    config : dict
        SAELens' settings of the SAE.
    decoder : bool
        Whether the decoder's norms are needed in any case.
    """
    keys = list(KEYS[config["architecture"]])
    if _takes_b_dec(config):
        keys.append("b_dec")
    if decoder or config.get("rescale_acts_by_decoder_norm"):
        keys.append("W_dec")
    return keys


def relevant(config: dict[str, Any]) -> dict[str, Any]:
    """Return those of SAELens' settings that affect what fires."""
    found = {key: config[key] for key in _CONFIG if config.get(key) is not None}
    found["apply_b_dec_to_input"] = _takes_b_dec(config)
    return found


def facts(metadata: Any) -> dict[str, Any]:
    """Return what SAELens' metadata says about the SAE's training, for the manifest."""
    if not isinstance(metadata, dict):
        return {}
    keys = ("hook_name", "hf_hook_name", "model_name", "prepend_bos", "neuronpedia_id")
    return {key: metadata[key] for key in keys if metadata.get(key) is not None}


def check_shapes(path: Path, arrays: dict[str, Tensor]) -> None:
    """Refuse arrays that do not match ``W_enc``; see :func:`sfal.collect.sae.files.check_arrays`."""
    d_in, n_features = encoder_shape(path, arrays, "W_enc")
    per_feature = ("b_enc", "threshold", "b_gate", "b_mag", "r_mag")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(per_feature, (n_features,))
    shapes |= {"W_dec": (n_features, d_in), "b_dec": (d_in,)}
    check_arrays(path, arrays, shapes)


def _takes_b_dec(config: dict[str, Any]) -> bool:
    """Return whether the decoder's bias is subtracted from the input; a transcoder's never is."""
    return bool(
        config.get("apply_b_dec_to_input", True) and "transcoder" not in config["architecture"]
    )
