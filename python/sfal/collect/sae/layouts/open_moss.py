"""Later layout of OpenMOSS, the authors of Llama Scope: ``config.json``, ``sae_weights.safetensors``."""

from pathlib import Path
from typing import Any

from sfal.collect.sae.files import SafetensorsFile, number, read_settings
from sfal.collect.sae.layouts.arrays import flag, positive_integer, read_arrays
from sfal.collect.sae.weights import SaeWeights
from sfal.errors import ArtifactError, Note

_ACTIVATIONS = {"relu": "standard", "jumprelu": "jumprelu", "topk": "topk"}
_NAMES = (
    {"W_enc": "W_E", "b_enc": "b_E", "W_dec": "W_D"},
    {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight"},
)
_THRESHOLDS = ("log_jumprelu_threshold", "activation_function.log_jumprelu_threshold")
_NORM = "dataset_average_activation_norm"


def read(folder: Path, *, decoder: bool) -> SaeWeights:
    """Read an SAE that states ``s * x @ W + b``, with its activation after it.

    s is sqrt(d_model) / the average norm of the input where the weights are for
    normalised inputs. The decoder's norms, by which the training weighs features,
    are left out as SAELens leaves them out, unless `decoder` asks for them.

    Raises
    ------
    ArtifactError
        If a setting or an array is not as OpenMOSS has it.
    """
    path = folder / "config.json"
    settings = read_settings(path)
    kind, activation = settings.get("sae_type", "sae"), settings.get("act_fn", "relu")
    if kind != "sae" or not isinstance(activation, str) or activation not in _ACTIVATIONS:
        raise ArtifactError(
            f"{path}: sae_type is {str(kind)[:40]!r} and act_fn {str(activation)[:40]!r}, but SFAL "
            f"reads SAEs with {', '.join(_ACTIVATIONS)}",
            hint="count what it fires by its own code with $do_count_encoded",
        )
    if flag(path, settings, "use_glu_encoder"):
        raise ArtifactError(f"{path}: use_glu_encoder is true, which SFAL does not support")
    file = SafetensorsFile(folder / "sae_weights.safetensors")
    by_rows = "encoder.weight" in file.shapes
    names = dict(_NAMES[by_rows])
    if not decoder:
        del names["W_dec"]
    if activation == "jumprelu":
        names["threshold"] = next((n for n in _THRESHOLDS if n in file.shapes), _THRESHOLDS[0])
    arrays = read_arrays(file, names, by_rows=by_rows, decoder_by_rows=not by_rows)
    config: dict[str, Any] = {"apply_b_dec_to_input": False}
    if activation == "jumprelu":
        arrays["threshold"] = arrays["threshold"].exp()
    elif activation == "topk":
        config["k"] = positive_integer(path, settings, "top_k")
    notes: tuple[Note, ...] = ()
    if not decoder and flag(path, settings, "sparsity_include_decoder_norm", default=True):
        notes = (
            Note(
                f"{path} says that the SAE weighs features by their decoder norms before the gate, "
                "which SAELens and SFAL leave out",
                "$decoder_norm_gate counts by what it says",
            ),
        )
    scale = 1.0
    how = settings.get("norm_activation", "dataset-wise")
    if how == "dataset-wise":
        scale = arrays["W_enc"].shape[0] ** 0.5 / _norm(path, settings, file)
    elif how == "token-wise":
        config["normalize_activations"] = "constant_norm_rescale"
    elif how != "inference":
        raise ArtifactError(
            f"{path}: norm_activation is {str(how)[:40]!r}, which depends on more than one token"
        )
    return SaeWeights(
        str(folder),
        _ACTIVATIONS[activation],
        arrays,
        {},
        config,
        input_scale=scale,
        facts={"layout": "open_moss"},
        file_notes=notes,
    )


def _norm(path: Path, settings: dict[str, Any], file: SafetensorsFile) -> float:
    """Return the average norm of the inputs, from the weights or from the settings."""
    hook = settings.get("hook_point_in")
    stored = f"{_NORM}.{hook}"
    if stored in file.shapes and file.shapes[stored] in ((), (1,)):
        norm = float(file.read([stored])[stored].reshape(()))
    else:
        norms = settings.get(_NORM)
        key = "in" if isinstance(norms, dict) and "in" in norms else str(hook)
        norm = number(path, settings, _NORM, key)
    if not 0 < norm < float("inf"):
        raise ArtifactError(f"{path}: {_NORM} is {norm}, not a number above 0")
    return norm
