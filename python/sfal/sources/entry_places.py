"""Where the SAEs of SAELens' registry read, as far as their names tell without a network."""

import re

from sfal.sources.hooks import BLOCK_HOOKS, Place, place_of_hook
from sfal.sources.registry import RegistryEntry

_LLAMA_LETTERS = {"R": "hook_resid_post", "M": "hook_mlp_out", "A": "hook_attn_out"}
_GEMMA_2 = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}
_GEMMA_3 = {
    "resid_post": "hook_resid_post",
    "mlp_out": "hook_mlp_out",
    "attn_out": "attn.hook_z",
}
_RESIDUAL = frozenset({"deepseek_r1", "dictionary_learning_1", "goodfire", "qwen_scope"})
"""Layouts that SAELens always reads at the residual stream after a layer."""


def place_of_entry(entry: RegistryEntry) -> Place | None:
    """Return where an SAE of the registry reads; None if only its files say so.

    SAELens' loaders take the same places from the same names.

    Parameters
    ----------
    entry : RegistryEntry
        The SAE.
    """
    hook, module = _hook_of(entry)
    return place_of_hook(hook, module)


def _hook_of(entry: RegistryEntry) -> tuple[str | None, str | None]:
    """Return the names of TransformerLens' hook and of the module, where there are any."""
    layout, path = entry.layout, entry.path
    if layout in ("gemma_2", "gemma_2_transcoder"):
        if path.startswith("embedding/"):
            return "hook_embed", None
        site = "ln2.hook_normalized"
        if layout == "gemma_2":
            site = _GEMMA_2[entry.repo_id.rpartition("-")[2]]
        return _block(_number(r"layer_(\d+)", path), site), None
    if layout == "gemma_3":
        layer = _number(r"layer_(\d+)", path)
        for folder, site in _GEMMA_3.items():
            if path.startswith(folder):
                return _block(layer, site), None
        return None, f"model.layers.{layer}.pre_feedforward_layernorm.output"
    if layout == "llama_scope":
        layer = _number(r"Base-L(\d+)", path)
        return _block(layer, _LLAMA_LETTERS[entry.repo_id.partition("-LX")[2][:1]]), None
    if layout == "llama_scope_r1_distill":
        return _block(_number(r"/L(\d+)R", path), "hook_resid_post"), None
    if layout in _RESIDUAL:
        layer = _number(r"(?:layer_?|-l|blocks\.)(\d+)", f"{path} {entry.sae_id}")
        return _block(layer, "hook_resid_post"), None
    if layout == "mwhanna_transcoder":
        return _block(_number(r"layer_(\d+)", path), "mlp.hook_in"), None
    if layout == "mntss_clt_layer_transcoder":
        return None, None
    known = "|".join(re.escape(name) for name in [*BLOCK_HOOKS, "hook_z"])
    named = re.search(rf"blocks\.\d+\.(?:{known})", entry.sae_id)
    return (named[0] if named else None), None


def _block(layer: int | None, site: str) -> str | None:
    return None if layer is None else f"blocks.{layer}.{site}"


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) if found else None
