"""SAELens' configurations of an SAE, brought into one form whichever version wrote them."""

from collections.abc import Mapping
from typing import Any

_RENAMED = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "hook_point_layer": "hook_layer",
}
"""Fields of SAELens before version 4, by their later names."""


def unnested(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of an SAE that may be inside that of its training run.

    Since version 6, a run's configuration (``runner_cfg.json``) holds that of the
    SAE under ``sae``; people save it as ``cfg.json``. The run's own fields become
    metadata, as SAELens makes them.

    Examples
    --------
    >>> unnested({"hook_name": "h", "lr": 1, "sae": {"d_in": 4, "metadata": {"l0": 3}}})
    {'d_in': 4, 'metadata': {'hook_name': 'h', 'lr': 1, 'l0': 3}}
    """
    inner = config.get("sae")
    if not isinstance(inner, Mapping):
        return dict(config)
    run = {key: value for key, value in config.items() if key not in ("sae", "metadata", *inner)}
    outer, own = config.get("metadata"), inner.get("metadata")
    metadata = {
        **run,
        **(outer if isinstance(outer, Mapping) else {}),
        **(own if isinstance(own, Mapping) else {}),
    }
    return {**inner, "metadata": metadata}


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with its metadata beside its other fields, under their later names.

    A hook that is given by its name inside a layer (``hook_resid_post``), or with a
    place for the layer (``blocks.{layer}.hook_resid_post``), is completed by
    ``hook_layer``.
    """
    single = unnested(config)
    metadata = single.get("metadata")
    both = {**single, **(metadata if isinstance(metadata, Mapping) else {})}
    both.pop("metadata", None)
    flat = {_RENAMED.get(str(key), str(key)): value for key, value in both.items()}
    for field in ("hook_name", "hook_names"):
        names = flat.get(field)
        open_still = flat.get("hook_name") is None or flat["hook_name"] is names
        if open_still and isinstance(names, list | tuple) and len(names) == 1:
            flat["hook_name"] = names[0]
    hook, layer = flat.get("hook_name"), flat.get("hook_layer")
    if isinstance(hook, str) and isinstance(layer, int) and not isinstance(layer, bool):
        if hook.startswith(("hook_resid_", "hook_mlp_", "hook_attn_", "attn.hook_", "mlp.hook_")):
            hook = f"blocks.{layer}.{hook}"
        flat["hook_name"] = hook.replace("{layer}", str(layer))
    return flat
