"""The library dictionary_learning: ``ae.pt`` and ``config.json`` in a folder per trainer."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sfal.collect.sae.files import read_settings, refuse_crosscoder
from sfal.collect.sae.layouts.arrays import check_size, read_arrays
from sfal.collect.sae.torch_files import TorchFile
from sfal.collect.sae.weights import SaeWeights
from sfal.errors import ArtifactError


class _Class(NamedTuple):
    """How a class of the library encodes."""

    architecture: str
    names: dict[str, str]
    by_rows: bool = True
    batch: bool = False


_LINEAR = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight"}
_MATRICES = {"W_enc": "W_enc", "b_enc": "b_enc", "W_dec": "W_dec"}
_TOP_K = {**_LINEAR, "b_dec": "b_dec"}
_CLASSES = {
    "AutoEncoder": _Class("standard", {**_LINEAR, "b_dec": "bias"}),
    "AutoEncoderNew": _Class("standard", _LINEAR),
    "GatedAutoEncoder": _Class(
        "gated",
        {
            "W_enc": "encoder.weight",
            "W_dec": "decoder.weight",
            "b_dec": "decoder_bias",
            "b_gate": "gate_bias",
            "b_mag": "mag_bias",
            "r_mag": "r_mag",
        },
    ),
    "JumpReluAutoEncoder": _Class("jumprelu", {**_MATRICES, "threshold": "threshold"}, False),
    "AutoEncoderTopK": _Class("topk", _TOP_K),
    "BatchTopKSAE": _Class("jumprelu", _TOP_K, batch=True),
    "MatryoshkaBatchTopKSAE": _Class("jumprelu", {**_MATRICES, "b_dec": "b_dec"}, False, True),
}
"""By name; a class whose names have a b_dec subtracts it from its input."""


def read(folder: Path, *, decoder: bool) -> SaeWeights:
    """Read an SAE, which encodes by the rule of its class.

    The factor by which the library's trainer scales inputs is in the saved
    biases already. AutoEncoderTopK stores a threshold too, which its encoder
    uses only on demand.

    Raises
    ------
    ArtifactError
        If its class is not known, or an array or setting is not as the class
        has it.
    """
    path = folder / "config.json"
    trainer = read_settings(path).get("trainer") if path.is_file() else {}
    if not isinstance(trainer, dict):
        raise ArtifactError(f"{path}: trainer is {str(trainer)[:80]!r}, not an object")
    return read_tensors(TorchFile(folder / "ae.pt"), path, trainer, decoder=decoder)


def read_tensors(
    file: TorchFile, path: Path, trainer: dict[str, Any], *, decoder: bool
) -> SaeWeights:
    """Read an SAE from its tensors and what `path` says of its trainer; errors as in :func:`read`."""
    name = _class_name(path, trainer, file)
    how = _CLASSES[name]
    names = {ours: theirs for ours, theirs in how.names.items() if ours != "W_dec" or decoder}
    # A feature is a row of nn.Linear's weight and a column of the decoder's.
    arrays = read_arrays(file, names, by_rows=how.by_rows, decoder_by_rows=not how.by_rows)
    d_in, n_features = arrays["W_enc"].shape
    check_size(path, trainer, "activation_dim", d_in)
    check_size(path, trainer, "dict_size", n_features)
    config: dict[str, Any] = {"apply_b_dec_to_input": "b_dec" in names}
    lacks_gate = ""
    if how.architecture == "topk":
        config["k"] = _k(file, path, trainer)
    if how.batch:
        threshold = file.number("threshold")
        # NaN would otherwise shut all features off; the trainer starts with -1.
        if threshold is None or not 0 <= threshold < float("inf"):
            lacks_gate = (
                f"{file.path} is a {name} whose threshold was never set (it is {threshold}), and "
                "without it what fires on a token depends on the other tokens of a batch"
            )
        arrays["threshold"] = torch.full((n_features,), threshold or 0.0, dtype=torch.float64)
    return SaeWeights(
        str(file.path),
        how.architecture,
        arrays,
        {},
        config,
        facts={"layout": "dictionary_learning", "class": name},
        lacks_gate=lacks_gate,
    )


def _class_name(path: Path, trainer: dict[str, Any], file: TorchFile) -> str:
    """Return the class that the settings name, or else the one that alone has these tensors."""
    for key in ("encoder.weight", "W_enc"):
        refuse_crosscoder(file.path, key, file.shapes.get(key, ()))
    stated = trainer.get("dict_class")
    if stated is not None:
        named: list[str] = re.findall(r"\w+", str(stated))
        if named and named[-1] in _CLASSES:
            return named[-1]
        raise ArtifactError(
            f"{path}: dict_class is {str(stated)[:80]!r}; SFAL knows {', '.join(_CLASSES)}",
            hint="count what it fires by its own code with $do_count_encoded",
        )
    stored = set(file.shapes)
    told = {
        name
        for name, how in _CLASSES.items()
        if set(how.names.values()) <= stored and ("r_mag" in stored) == (name == "GatedAutoEncoder")
    }
    if "decoder.bias" not in stored:
        told -= {"AutoEncoderNew"}
    if "group_sizes" not in stored:
        told -= {"MatryoshkaBatchTopKSAE"}
    if file.shapes.get("threshold", ()) == ():
        told -= {"JumpReluAutoEncoder"}
    if len(told) != 1:
        raise ArtifactError(
            f"{file.path} holds {', '.join(sorted(stored)[:12]) or 'no tensors'}, which alone does "
            "not tell how it encodes",
            hint="keep it beside the config.json that its trainer wrote, or count what it fires by "
            "its own code with $do_count_encoded",
        )
    return told.pop()


def _k(file: TorchFile, path: Path, trainer: dict[str, Any]) -> int:
    stated, stored = trainer.get("k"), file.number("k")
    k = stored if stated is None else stated
    if isinstance(k, bool) or not isinstance(k, int | float) or k != int(k) or k <= 0:
        raise ArtifactError(f"{path}: trainer.k is {str(k)[:80]!r}, not a number above 0")
    if stored is not None and stored != k:
        raise ArtifactError(f"{path}: trainer.k is {k}, but {file.path.name} has k = {stored:g}")
    return int(k)
