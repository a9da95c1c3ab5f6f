"""Gemma Scope 2: ``params.safetensors`` and ``config.json`` in a folder per SAE."""

from pathlib import Path

from sfal.collect.sae.files import SafetensorsFile, read_settings
from sfal.collect.sae.layouts.arrays import read_arrays
from sfal.collect.sae.weights import SaeWeights
from sfal.errors import ArtifactError


def read(path: Path, *, decoder: bool) -> SaeWeights:
    """Read an SAE, a transcoder, or a layer of a cross-layer transcoder.

    What fires is ``x @ w_enc + b_enc`` above its threshold.

    Raises
    ------
    ArtifactError
        If a setting or an array is not as Gemma Scope 2 has it.
    """
    folder = path if path.is_dir() else path.parent
    settings_path = folder / "config.json"
    settings = read_settings(settings_path) if settings_path.is_file() else {}
    architecture = settings.get("architecture", "jump_relu")
    if architecture != "jump_relu":
        raise ArtifactError(
            f"{settings_path}: architecture is {str(architecture)[:80]!r}, but Gemma Scope 2 has "
            "jump_relu"
        )
    if path.name.startswith("params_layer_") and "crosscoder" in "/".join(
        path.absolute().parts[-3:]
    ):
        raise ArtifactError(
            f"{path} is a layer of a crosscoder, whose features read several layers at once, and "
            "SFAL counts SAEs that read one",
            hint="count what it fires by its own code with $do_count_encoded",
        )
    file = SafetensorsFile(path / "params.safetensors" if path.is_dir() else path)
    names = {"W_enc": "w_enc", "b_enc": "b_enc", "threshold": "threshold"}
    # A transcoder's decoder writes to another place than its encoder reads.
    place_out = settings.get("hf_hook_point_out")
    transcodes = place_out is not None and place_out != settings.get("hf_hook_point_in")
    if decoder and not transcodes:
        names["W_dec"] = "w_dec"
    arrays = read_arrays(file, names, by_rows=False, decoder_by_rows=True)
    return SaeWeights(
        str(path),
        "jumprelu_transcoder" if transcodes else "jumprelu",
        arrays,
        {},
        facts={"layout": "gemma_scope_2"},
    )
