"""circuit-tracer's transcoders: one per layer, or a layer of a cross-layer one."""

from pathlib import Path

from sfal.collect.sae.files import SafetensorsFile
from sfal.collect.sae.layouts.arrays import read_arrays
from sfal.collect.sae.weights import SaeWeights
from sfal.errors import ArtifactError
from sfal.sources.configuration.layouts import CIRCUIT_FILE

_THRESHOLDS = ("activation_function.threshold", "threshold")


def read(path: Path, *, decoder: bool) -> SaeWeights:
    """Read ``layer_N.safetensors``, or ``W_enc_N.safetensors`` of a cross-layer transcoder.

    What fires is ``x @ W_enc.T + b_enc`` above its threshold, or above 0 where
    there is none. Decoders and the skip connection do not bear on it, so they are
    not read; those of a cross-layer transcoder are in files of their own.

    Raises
    ------
    ArtifactError
        If an array is not as circuit-tracer has it.
    """
    del decoder  # it writes to another place than the encoder reads
    file = SafetensorsFile(path)
    named = CIRCUIT_FILE.fullmatch(path.name)
    crosses = path.name.startswith("W_enc_")
    end = f"_{named[1]}" if crosses and named else ""
    if unread := [name for name in file.shapes if name.startswith("log_threshold")]:
        raise ArtifactError(
            f"{path}: it holds {unread[0]}, which circuit-tracer does not read, so that what fires "
            "is not known",
            hint="count what it fires by its own code with $do_count_encoded",
        )
    names = {"W_enc": f"W_enc{end}", "b_enc": f"b_enc{end}"}
    threshold = next((name for name in _THRESHOLDS if f"{name}{end}" in file.shapes), None)
    if threshold is not None:
        names["threshold"] = f"{threshold}{end}"
    return SaeWeights(
        str(path),
        "transcoder" if threshold is None else "jumprelu_transcoder",
        read_arrays(file, names, by_rows=True, decoder_by_rows=True),
        {},
        facts={"layout": "circuit_tracer", "class": "cross-layer" if crosses else "per layer"},
    )
