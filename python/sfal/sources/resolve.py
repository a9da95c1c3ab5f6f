"""Sources named by a SAELens release or a Neuronpedia id, and those on the local disk."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from sfal.errors import (
    CorruptError,
    InvalidInputError,
    MissingError,
    SfalError,
    UnknownSaeError,
)
from sfal.sources.neuronpedia import explained_sae
from sfal.sources.registry import RegistryEntry, registry
from sfal.sources.scopes import model_name
from sfal.sources.source import SaeRef, Site, Source

_HOOKS: dict[str, Site] = {
    "hook_resid_post": "res",
    "hook_resid_pre": "res_pre",
    "hook_mlp_out": "mlp",
    "attn.hook_z": "att",
    "hook_attn_out": "attn_out",
}
_OWNERS = {
    "gemma": "google",
    "llama": "meta-llama",
    "meta-llama": "meta-llama",
    "mistral": "mistralai",
    "pythia": "EleutherAI",
    "qwen": "Qwen",
}
_OWN_LAYOUTS = {"gemma_2": "gemma_scope", "llama_scope": "llama_scope"}


def resolve_saelens(release: str, sae_id: str, model: str | None = None) -> Source:
    """Return the source of a SAELens release.

    Gemma Scope and Llama Scope have loaders of ours. For any other SAE the
    configuration is fetched through SAELens, to learn its site and layer.

    Parameters
    ----------
    release, sae_id : str
        As :func:`registry` lists them.
    model : str, optional
        Hub id or folder of the language model, if SAELens' name for it is not
        a hub id.

    Returns
    -------
    source : Source

    Raises
    ------
    UnknownSaeError
        If SAELens knows no such release or id; the message names similar ones.
    """
    entry = _entry(release, sae_id)
    layout = _OWN_LAYOUTS.get(entry.layout or "")
    if layout and (match := re.search(r"(?:layer_|Base-L)(\d+)", entry.path)):
        site, layer = _scope_site(entry), int(match[1])
        kind, bos = layout, None
    else:
        config = _saelens_config(entry)
        metadata = config.get("metadata") or {}
        hook = str(metadata.get("hook_name") or config.get("hook_name") or "")
        site, layer = _site_of_hook(hook, f"{release} {sae_id}")
        kind = "saelens"
        bos = metadata.get("prepend_bos", config.get("prepend_bos"))
    chosen = model or _hub_model(entry.model)
    spelled = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{entry.release}-{entry.sae_id}")
    return Source(
        name=entry.neuronpedia_id or f"{model_name(chosen)}/{layer}-{spelled}",
        model=chosen,
        site=site,
        layer=layer,
        sae=SaeRef(
            cast(Any, kind),
            repo_id=entry.repo_id,
            path=entry.path,
            release=entry.release,
            sae_id=entry.sae_id,
        ),
        neuronpedia_id=entry.neuronpedia_id,
        prepend_bos=bos,
    )


def resolve_named(neuronpedia_id: str) -> Source:
    """Return the source with a Neuronpedia id.

    Parameters
    ----------
    neuronpedia_id : str
        Such as ``gemma-2-2b/0-gemmascope-res-16k``.

    Returns
    -------
    source : Source
        Of an SAE that SAELens' registry lists under that id, or else of the one
        that Neuronpedia's export names.

    Raises
    ------
    UnknownSaeError
        If neither knows an SAE with that id; the message names similar ones.
    """
    for entry in registry():
        if entry.neuronpedia_id == neuronpedia_id:
            return resolve_saelens(entry.release, entry.sae_id)
    source, reason = _of_export(neuronpedia_id)
    if source is not None:
        return source
    import difflib

    known = sorted({e.neuronpedia_id for e in registry() if e.neuronpedia_id})
    near = difflib.get_close_matches(neuronpedia_id, known, 3, 0.6)
    raise UnknownSaeError(
        f"SAELens knows no SAE that Neuronpedia calls {neuronpedia_id!r}{_perhaps(near)}{reason}",
        hint="for any other SAE: $do_count_sae, then $do_explain or $do_download, then $do_embed "
        "and $do_score",
    )


def _of_export(neuronpedia_id: str) -> tuple[Source | None, str]:
    """Return the source that Neuronpedia's export describes, or None and why there is none."""
    try:
        explained = explained_sae(neuronpedia_id)
    except SfalError as e:
        return None, f", and Neuronpedia's export does not answer ({e.message})"
    if explained is None:
        return None, ", and Neuronpedia's export has no such source"
    reasons = []
    for place, sae_id in explained.places():
        known = next(
            (e for e in registry() if e.repo_id == place and sae_id in (e.sae_id, e.path)), None
        )
        release, name = (known.release, known.sae_id) if known else (place, sae_id)
        try:
            source = resolve_saelens(release, name or "")
        except UnknownSaeError as e:
            reasons.append(e.message)
            continue
        return replace(source, name=neuronpedia_id, neuronpedia_id=neuronpedia_id), ""
    said = "; ".join(reasons) or "it names neither a SAELens release nor a repository of the hub"
    return None, f", and from Neuronpedia's export it cannot be loaded: {said}"


def resolve_local(
    sae: Path,
    model: str | None = None,
    site: str | None = None,
    layer: int | None = None,
    hook_module: str | None = None,
) -> Source:
    """Return the source of an SAE on the local disk.

    Parameters
    ----------
    sae : Path
        A SAELens or Llama Scope folder, a folder with ``params.npz``, or an npz file.
    model : str, optional
        Hub id or folder of the language model; default: from the SAE's
        configuration.
    site : str, optional
        ``res``, ``res_pre``, ``mlp``, ``att`` or ``attn_out``; default: from
        the SAE's configuration.
    layer : int, optional
        Layer, from 0; default: from the SAE's configuration.
    hook_module : str, optional
        Path of the module to read, instead of a site.

    Returns
    -------
    source : Source

    Raises
    ------
    MissingError
        If there is no such file or folder.
    CorruptError
        If the SAE's configuration cannot be read.
    InvalidInputError
        If model, site or layer is neither given nor in the configuration.
    """
    if not sae.exists():
        raise MissingError(f"no SAE at {sae}: there is no such file or folder")
    config = _local_config(sae)
    model = model or config.get("model_name")
    if not model:
        raise InvalidInputError(
            f"{sae} does not say which language model it is for", hint="name it with $model"
        )
    if hook_module:
        found = re.search(r"\.(\d+)\.", f".{hook_module}.")
        site, layer = "custom", layer if layer is not None else int(found[1]) if found else 0
    elif (site is None or layer is None) and config.get("hook_name"):
        hook_site, hook_layer = _site_of_hook(str(config["hook_name"]), str(sae))
        site, layer = site or hook_site, hook_layer if layer is None else layer
    if site is None or layer is None:
        raise InvalidInputError(
            f"{sae} does not say where in the model it reads", hint="give $site and $layer"
        )
    folder = re.sub(r"[^A-Za-z0-9._-]+", "-", sae.resolve().name.removesuffix(".npz")).strip(".-")
    return Source(
        name=f"{model_name(model)}/{layer}-{folder}-{site}",
        model=model,
        site=cast(Site, site),
        layer=layer,
        sae=SaeRef("local", path=str(sae)),
        hook_module=hook_module,
        prepend_bos=config.get("prepend_bos"),
    )


def _entry(release: str, sae_id: str) -> RegistryEntry:
    of_release = [e for e in registry() if e.release == release]
    for entry in of_release:
        if entry.sae_id == sae_id:
            return entry
    import difflib

    if not of_release:
        near = difflib.get_close_matches(release, sorted({e.release for e in registry()}), 3, 0.4)
        raise UnknownSaeError(f"SAELens knows no release {release!r}{_perhaps(near)}")
    near = difflib.get_close_matches(sae_id, [e.sae_id for e in of_release], 3, 0.4)
    raise UnknownSaeError(
        f"release {release!r} has no SAE {sae_id!r}{_perhaps(near)}",
        hint=f"$do_sources({release}) lists its {len(of_release)}",
    )


def _perhaps(near: list[str]) -> str:
    return f"; perhaps {' or '.join(near)}" if near else ""


def _scope_site(entry: RegistryEntry) -> Site:
    """Return the site of a Gemma Scope or Llama Scope repository, from its name."""
    if "LX" in entry.repo_id:
        letter = entry.repo_id.partition("-LX")[2][:1]
        return cast(Site, {"R": "res", "M": "mlp", "A": "attn_out"}[letter])
    return cast(Site, entry.repo_id.rpartition("-")[2])


def _saelens_config(entry: RegistryEntry) -> dict[str, Any]:
    from sae_lens.loading.pretrained_sae_loaders import load_sae_config_from_huggingface

    from sfal.io.hub import hub_errors

    with hub_errors(f"the configuration of {entry.release} {entry.sae_id} ({entry.repo_id})"):
        return dict(load_sae_config_from_huggingface(entry.release, entry.sae_id))


def _site_of_hook(hook: str, what: str) -> tuple[Site, int]:
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook)
    site = _HOOKS.get(match[2]) if match else None
    if match is None or site is None:
        raise UnknownSaeError(
            f"{what} reads at {hook or 'a hook that it does not name'}; SFAL knows blocks.N. with "
            f"{', '.join(_HOOKS)}",
            hint="name the module with $hook_module(PATH)",
        )
    return site, int(match[1])


def _hub_model(name: str) -> str:
    """Return the hub id of a model that SAELens spells in its own way."""
    if "/" in name:
        return name
    if name in ("gpt2-small", "gpt2"):
        return "openai-community/gpt2"
    for family, owner in _OWNERS.items():
        if name.lower().startswith(family):
            return f"{owner}/{name}"
    raise InvalidInputError(
        f"the hub id of SAELens' model {name!r} is unknown", hint="name it with $model"
    )


def _local_config(sae: Path) -> dict[str, Any]:
    """Return the configuration of a SAELens folder; empty for anything else."""
    path = sae / "cfg.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise CorruptError(f"{path} cannot be read as JSON: {e}") from e
    if not isinstance(config, dict):
        raise CorruptError(f"{path} is not a JSON object")
    metadata = config.get("metadata")
    return {**config, **(metadata if isinstance(metadata, dict) else {})}
