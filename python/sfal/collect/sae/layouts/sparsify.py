"""EleutherAI's sparsify: ``cfg.json`` and ``sae.safetensors`` in a folder per hook point."""

from pathlib import Path

from sfal.collect.sae.files import SafetensorsFile, read_settings
from sfal.collect.sae.layouts.arrays import (
    check_size,
    flag,
    positive_integer,
    read_arrays,
    unknown_settings,
)
from sfal.collect.sae.weights import SaeWeights
from sfal.errors import ArtifactError

_KNOWN = (
    "activation",
    "d_in",
    "expansion_factor",
    "k",
    "multi_topk",
    "normalize_decoder",
    "num_latents",
    "signed",
    "skip_connection",
    "transcode",
)
"""Of these, multi_topk, normalize_decoder and skip_connection bear on losses and outputs only."""


def read(folder: Path, *, decoder: bool) -> SaeWeights:
    """Read an SAE or transcoder of sparsify.

    What fires are the k largest of ``relu((x - b_dec) @ W.T + b)``, or the largest
    of each of k groups of neighbouring features for ``groupmax``. With
    ``signed``, which early versions had, the k are chosen by absolute value. A
    transcoder reads x as it is.

    Raises
    ------
    ArtifactError
        If a setting or an array is not as sparsify writes it.
    """
    path = folder / "cfg.json"
    settings = read_settings(path)
    activation = settings.get("activation", "topk")
    signed = flag(path, settings, "signed")
    if activation not in ("topk", "groupmax") or (signed and activation == "groupmax"):
        raise ArtifactError(
            f"{path}: activation is {str(activation)[:80]!r}{' with signed' * signed}, but sparsify "
            "has topk and groupmax"
        )
    transcode = flag(path, settings, "transcode")
    names = {"W_enc": "encoder.weight", "b_enc": "encoder.bias"}
    if not transcode:
        names["b_dec"] = "b_dec"
        if decoder:
            names["W_dec"] = "W_dec"
    file = SafetensorsFile(folder / "sae.safetensors")
    arrays = read_arrays(file, names, by_rows=True, decoder_by_rows=True)
    d_in, n_features = arrays["W_enc"].shape
    check_size(path, settings, "d_in", d_in)
    check_size(path, settings, "num_latents", n_features)
    k = positive_integer(path, settings, "k")
    if activation == "groupmax" and n_features % k:
        raise ArtifactError(f"{path}: {n_features} features are not k = {k} groups of equal size")
    return SaeWeights(
        str(folder),
        "abstopk" if signed else activation,
        arrays,
        {},
        {"k": k, "apply_b_dec_to_input": not transcode},
        facts={"layout": "sparsify"},
        file_notes=unknown_settings(path, settings, _KNOWN),
    )
