"""THU-KEG's OpenSAE: ``config.json`` and ``model.safetensors``, in shards if it is large."""

from pathlib import Path

import torch
from torch import Tensor

from sfal.collect.sae.files import (
    SafetensorsFile,
    number,
    read_settings,
    refuse_crosscoder,
    require,
)
from sfal.collect.sae.layouts.arrays import check_size, flag, positive_integer, read_arrays
from sfal.collect.sae.weights import SaeWeights
from sfal.errors import ArtifactError, CorruptError

_INDEX = "model.safetensors.index.json"
_EPSILON = 1e-5


def read(folder: Path, *, decoder: bool) -> SaeWeights:
    """Read an SAE of OpenSAE.

    What fires are the k largest of ``relu((norm(x) - b_dec) @ W.T + b)``, or those
    above ``jumprelu_theta``; norm takes mean and standard deviation out of x if
    ``input_normalize`` is set.

    Raises
    ------
    ArtifactError
        If a setting or an array is not as OpenSAE has it.
    """
    path = folder / "config.json"
    settings = read_settings(path)
    file = _Shards(folder)
    refuse_crosscoder(folder, "encoder.weight", file.shapes.get("encoder.weight", ()))
    activation = settings.get("activation")
    if activation not in ("topk", "jumprelu") or "input_hookpoint" not in settings:
        raise ArtifactError(
            f"{path} is not the configuration of an SAE: it has no input_hookpoint and activation "
            "of topk or jumprelu, as OpenSAE's have"
        )
    names = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "b_dec": "b_dec"}
    if decoder and settings["input_hookpoint"] == settings.get("output_hookpoint"):
        names["W_dec"] = "W_dec"
    arrays = read_arrays(file, names, by_rows=True, decoder_by_rows=True)
    d_in, n_features = arrays["W_enc"].shape
    check_size(path, settings, "hidden_size", d_in)
    check_size(path, settings, "feature_size", n_features)
    config: dict[str, object] = {"apply_b_dec_to_input": True}
    if flag(path, settings, "input_normalize", default=True):
        if settings.get("input_normalize_eps", _EPSILON) != _EPSILON:
            raise ArtifactError(f"{path}: input_normalize_eps is not {_EPSILON}, as SFAL has it")
        config["normalize_activations"] = "layer_norm"
    if activation == "topk":
        config["k"] = positive_integer(path, settings, "k")
    else:
        theta = number(path, settings, "jumprelu_theta")
        arrays["threshold"] = torch.full((n_features,), theta, dtype=torch.float64)
    return SaeWeights(
        str(folder), str(activation), arrays, {}, config, facts={"layout": "open_sae"}
    )


class _Shards:
    """Tensors of one safetensors file, or of several with an index."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        single = folder / "model.safetensors"
        names = [single.name] if single.is_file() else _shard_names(folder / _INDEX)
        self._files = [SafetensorsFile(folder / name) for name in names]
        self.shapes = {key: shape for file in self._files for key, shape in file.shapes.items()}

    def read(self, keys: list[str]) -> dict[str, Tensor]:
        """Read floating-point tensors."""
        require(self.path, keys, set(self.shapes))
        found: dict[str, Tensor] = {}
        for file in self._files:
            found |= file.read([key for key in keys if key in file.shapes])
        return found


def _shard_names(index: Path) -> list[str]:
    places = read_settings(index).get("weight_map")
    names = set(places.values()) if isinstance(places, dict) else set()
    for name in names:
        # The index may come from anywhere, and must not name files elsewhere.
        if not isinstance(name, str) or Path(name).name != name:
            raise CorruptError(f"{index}: {str(name)[:80]!r} is not a file beside it")
    return sorted(names)
