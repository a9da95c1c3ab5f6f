"""Single torch files, told by the names of their tensors: those of Goodfire, OpenAI and Qwen-Scope."""

from collections.abc import Callable
from pathlib import Path

from sfal.collect.sae.files import read_settings, refuse_crosscoder
from sfal.collect.sae.layouts.arrays import check_size, read_arrays
from sfal.collect.sae.layouts.dictionary_learning import read_tensors
from sfal.collect.sae.torch_files import TorchFile
from sfal.collect.sae.weights import SaeWeights
from sfal.errors import ArtifactError
from sfal.sources.configuration.on_disk import qwen_repo, settings_beside


def read(path: Path, *, decoder: bool) -> SaeWeights:
    """Read an SAE from a single torch file.

    Raises
    ------
    ArtifactError
        If its tensors are not those of a layout that SFAL knows.
    """
    file = TorchFile(path)
    for key in ("encoder.weight", "W_enc"):
        refuse_crosscoder(path, key, file.shapes.get(key, ()))
    for names, reader in _LAYOUTS:
        if names <= set(file.shapes):
            return reader(file, decoder)
    if path.name.endswith(".sae.pt"):
        return _qwen(file, decoder)
    beside = settings_beside(path)
    if beside is not None:
        return _nanda(file, beside, decoder)
    return read_tensors(file, path, {}, decoder=decoder)


def _goodfire(file: TorchFile, decoder: bool) -> SaeWeights:
    """Read Goodfire's rule: ``relu(x @ W.T + b)``."""
    names = {"W_enc": "encoder_linear.weight", "b_enc": "encoder_linear.bias"}
    if decoder:
        names["W_dec"] = "decoder_linear.weight"
    arrays = read_arrays(file, names, by_rows=True, decoder_by_rows=False)
    config = {"apply_b_dec_to_input": False}
    return SaeWeights(str(file.path), "standard", arrays, {}, config, facts={"layout": "goodfire"})


def _openai(file: TorchFile, decoder: bool) -> SaeWeights:
    """Read OpenAI's rule: an activation of ``(x - pre_bias) @ W.T + latent_bias``.

    With TopK, x is first normalised by its mean and standard deviation.
    """
    names = {"W_enc": "encoder.weight", "b_enc": "latent_bias", "b_dec": "pre_bias"}
    if decoder:
        names["W_dec"] = "decoder.weight" if "decoder.weight" in file.shapes else "encoder.weight"
    tied = names.get("W_dec") == "encoder.weight"
    arrays = read_arrays(file, names, by_rows=True, decoder_by_rows=tied)
    activation = file.settings.get("activation", "ReLU")
    state = file.settings.get("activation_state_dict")
    after = state.get("postact_fn", "ReLU") if isinstance(state, dict) else "ReLU"
    if activation not in ("ReLU", "TopK") or after != "ReLU":
        raise ArtifactError(
            f"{file.path}: its activation is {str(activation)[:40]} and {str(after)[:40]}, but "
            "OpenAI's SAEs have ReLU, or TopK and ReLU"
        )
    config: dict[str, object] = {"apply_b_dec_to_input": True}
    if activation == "TopK":
        k = state.get("k") if isinstance(state, dict) else None
        if type(k) is not int or k <= 0:
            raise ArtifactError(
                f"{file.path}: k of its TopK is {str(k)[:40]}, not a number above 0"
            )
        config |= {"k": k, "normalize_activations": "layer_norm"}
    architecture = "topk" if activation == "TopK" else "standard"
    return SaeWeights(str(file.path), architecture, arrays, {}, config, facts={"layout": "openai"})


def _nanda(file: TorchFile, beside: Path, decoder: bool) -> SaeWeights:
    """Read Neel Nanda's rule, which others took up: ``relu((x - b_dec) @ W + b_enc)``."""
    settings = read_settings(beside)
    names = {"W_enc": "W_enc", "b_enc": "b_enc", "b_dec": "b_dec"}
    names |= {"W_dec": "W_dec"} if decoder else {}
    arrays = read_arrays(file, names, by_rows=False, decoder_by_rows=True)
    check_size(beside, settings, "act_size", arrays["W_enc"].shape[0])
    check_size(beside, settings, "dict_size", arrays["W_enc"].shape[1])
    config = {"apply_b_dec_to_input": True}
    return SaeWeights(str(file.path), "standard", arrays, {}, config, facts={"layout": "nanda"})


def _qwen(file: TorchFile, decoder: bool) -> SaeWeights:
    """Read Qwen-Scope's rule: the k largest of ``x @ W.T + b``; k is in the repository's name."""
    names = {"W_enc": "W_enc", "b_enc": "b_enc"} | ({"W_dec": "W_dec"} if decoder else {})
    arrays = read_arrays(file, names, by_rows=True, decoder_by_rows=False)
    repo = qwen_repo(file.path.absolute())
    k = int(repo[3]) if repo else None
    return SaeWeights(
        str(file.path),
        "topk",
        arrays,
        {},
        {"apply_b_dec_to_input": False} | ({"k": k} if k else {}),
        facts={"layout": "qwen_scope"},
        lacks_gate=""
        if k
        else f"{file.path} does not say how many features fire on a token; Qwen-Scope has the "
        "number in its repositories' names, as L0_50 in SAE-Res-Qwen3-1.7B-Base-W32K-L0_50",
    )


_LAYOUTS: tuple[tuple[frozenset[str], Callable[[TorchFile, bool], SaeWeights]], ...] = (
    (frozenset({"encoder_linear.weight", "encoder_linear.bias"}), _goodfire),
    (frozenset({"encoder.weight", "latent_bias", "pre_bias"}), _openai),
)
"""The tensors that tell a layout, and its reader."""
