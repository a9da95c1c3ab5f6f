"""Names of the places that SAEs read at, in TransformerLens' spelling and as module paths."""

import re
from dataclasses import dataclass

from sfal.sources.source import Site

BLOCK_HOOKS: dict[str, Site] = {
    "hook_resid_post": "res",
    "hook_resid_pre": "res_pre",
    "hook_resid_mid": "res_mid",
    "hook_mlp_out": "mlp",
    "attn.hook_z": "att",
    "hook_attn_out": "attn_out",
    "hook_mlp_in": "mlp_in",
    "ln1.hook_normalized": "ln1",
    "ln2.hook_normalized": "ln2",
    "mlp.hook_in": "mlp_input",
    "mlp.hook_post": "neurons",
}
"""Sites by TransformerLens' name of the hook inside a layer, after ``blocks.N.``."""

_ALIASES = {
    "hook_z": "attn.hook_z",
    "hook_mlp_post": "mlp.hook_post",
    "hook_in": "hook_resid_pre",
    "hook_out": "hook_resid_post",
}
"""Short names that some published SAEs use, and those of TransformerLens' TransformerBridge."""

_LAYER_LISTS = "layers|h|blocks"


@dataclass(frozen=True)
class Place:
    """A place in a language model."""

    site: Site
    """The site; ``custom`` for a module that is not one of the known sites."""
    layer: int
    """Layer, from 0; 0 for a place outside the layers."""
    module: str | None = None
    """Path of the module, for ``custom``."""


def place_of_hook(hook: str | None, module: str | None = None) -> Place | None:
    """Return the place that an SAE's configuration names; None if it is not known.

    Parameters
    ----------
    hook : str, optional
        ``hook_name``: TransformerLens' name (``blocks.3.hook_resid_post``), or a
        module path, for SAEs trained on transformers' own models.
    module : str, optional
        ``hf_hook_name``: the module path of the same place, which decides unless
        `hook` is one of the places where both are known to agree. SAELens gives
        ``hook_mlp_in`` for Gemma Scope 2's transcoders, for example, although
        they read the norm's output.

    Examples
    --------
    >>> place_of_hook("blocks.3.hook_resid_post")
    Place(site='res', layer=3, module=None)
    >>> place_of_hook("model.layers.3")
    Place(site='res', layer=3, module=None)
    >>> place_of_hook("model.layers.3.mlp")
    Place(site='custom', layer=3, module='model.layers.3.mlp')
    """
    found = _lens_place(hook or "")
    if found is not None and found.site in ("res", "res_pre", "mlp", "att", "attn_out"):
        return found
    if module:
        return place_of_module(module)
    if found is None and hook and looks_like_module(hook):
        return place_of_module(hook)
    return found


def place_of_module(path: str) -> Place:
    """Return the place of a module path, which may end in ``.input`` or ``.output``.

    A whole layer is the site ``res`` or ``res_pre``; anything else is ``custom``.
    """
    whole = re.fullmatch(rf"(?:[a-z_]+\.)*(?:{_LAYER_LISTS})\.(\d+)(\.input|\.output)?", path)
    if whole is not None:
        return Place("res_pre" if whole[2] == ".input" else "res", int(whole[1]))
    inside = re.search(r"\.(\d+)\.", f".{path}.")
    return Place("custom", int(inside[1]) if inside else 0, path)


def _lens_place(hook: str) -> Place | None:
    if hook == "hook_embed":
        return Place("embed", 0)
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook)
    if match is None:
        return None
    site = BLOCK_HOOKS.get(_ALIASES.get(match[2], match[2]))
    return None if site is None else Place(site, int(match[1]))


def looks_like_module(hook: str) -> bool:
    """Return whether a hook is a module path of transformers, not a hook of TransformerLens."""
    inside = re.search(rf"(?:^|\.)(?:{_LAYER_LISTS})\.\d+(?:\.|$)", hook)
    return inside is not None and "hook_" not in hook
