"""Bart Bussmann's BatchTopK trainer: ``sae.pt`` and ``config.json`` in a folder per checkpoint."""

from pathlib import Path

from sfal.collect.sae.files import read_settings
from sfal.collect.sae.layouts.arrays import check_size, flag, positive_integer, read_arrays
from sfal.collect.sae.torch_files import TorchFile
from sfal.collect.sae.weights import SaeWeights
from sfal.errors import ArtifactError

_TYPES = {"vanilla": "standard", "topk": "topk", "batchtopk": "topk", "jumprelu": "jumprelu"}


def read(folder: Path, *, decoder: bool) -> SaeWeights:
    """Read an SAE of this trainer.

    With input_unit_norm, x is first normalised by its mean and standard deviation.
    ``topk`` takes the k largest of ``(x - b_dec) @ W``, without b_enc; ``vanilla``
    is ``relu((x - b_dec) @ W + b_enc)``, ``jumprelu`` ``x @ W + b_enc``
    above its threshold. The trainer's ``batchtopk`` chooses among all tokens of a
    batch and stores no threshold, so that a token alone says nothing.

    Raises
    ------
    ArtifactError
        If a setting or an array is not as the trainer writes it.
    """
    path, file = folder / "config.json", TorchFile(folder / "sae.pt")
    settings = read_settings(path)
    kind = settings.get("sae_type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ArtifactError(
            f"{path}: sae_type is {str(kind)[:80]!r}; SFAL knows {', '.join(_TYPES)}"
        )
    names = {"W_enc": "W_enc", "b_enc": "b_enc"} | ({"W_dec": "W_dec"} if decoder else {})
    if kind == "jumprelu":
        names["threshold"] = "jumprelu.log_threshold"
    else:
        names["b_dec"] = "b_dec"
    arrays = read_arrays(file, names, by_rows=False, decoder_by_rows=True)
    check_size(path, settings, "act_size", arrays["W_enc"].shape[0])
    check_size(path, settings, "dict_size", arrays["W_enc"].shape[1])
    config: dict[str, object] = {"apply_b_dec_to_input": kind != "jumprelu"}
    if flag(path, settings, "input_unit_norm"):
        config["normalize_activations"] = "layer_norm"
    if kind == "jumprelu":
        arrays["threshold"] = arrays["threshold"].exp()
    if "topk" in kind:
        arrays["b_enc"] = arrays["b_enc"].new_zeros(arrays["b_enc"].shape)
        config["k"] = positive_integer(path, settings, "top_k")
    lacks_gate = (
        f"{folder} is a BatchTopK SAE without a threshold: what fires on a token depends on the "
        f"other tokens of a batch (it was trained with {config.get('k')} a token)"
    )
    return SaeWeights(
        str(folder),
        _TYPES[kind],
        arrays,
        {},
        config,
        facts={"layout": "batch_topk", "class": kind},
        lacks_gate=lacks_gate if kind == "batchtopk" else "",
    )
