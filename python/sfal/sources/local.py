"""Sources of SAEs on the local disk."""

import json
import re
from pathlib import Path
from typing import Any

from sfal.errors import CorruptError, InvalidInputError, MissingError
from sfal.sources.hooks import place_of_hook
from sfal.sources.models import hub_model
from sfal.sources.places import chosen_place
from sfal.sources.scopes import model_name
from sfal.sources.source import SaeRef, Source
from sfal.sources.training import Training


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
        A folder in SAELens', Gemma Scope's or Llama Scope's layout, or an npz file.
    model : str, optional
        Hub id or folder of the language model; default: from the SAE's
        configuration, where TransformerLens' names mean their repositories.
    site : str, optional
        One of :data:`sfal.sources.source.SITES`; default: from the SAE's
        configuration.
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
    ArtifactError
        If a field of it has the wrong type.
    InvalidInputError
        If model, site or layer is neither given nor in the configuration.
    """
    if not sae.exists():
        raise MissingError(f"no SAE at {sae}: there is no such file or folder")
    training = Training.parse(local_config(sae), str(sae))
    stated = training.model
    if model is None and stated is None:
        raise InvalidInputError(
            f"{sae} does not say which language model it is for", hint="name it with $model"
        )
    chosen = model or _model(stated or "")
    own = place_of_hook(training.hook, training.module)
    place = chosen_place(own, str(sae), training, site, layer, hook_module)
    folder = re.sub(r"[^A-Za-z0-9._-]+", "-", sae.resolve().name.removesuffix(".npz")).strip(".-")
    return Source(
        name=f"{model_name(chosen)}/{place.layer}-{folder}-{place.site}",
        model=chosen,
        site=place.site,
        layer=place.layer,
        sae=SaeRef("local", path=str(sae)),
        hook_module=place.module,
        prepend_bos=training.prepend_bos,
        training=training,
    )


def local_config(sae: Path) -> dict[str, Any]:
    """Return what a local SAE's own files say about it, in SAELens' terms.

    Empty for a layout whose files say nothing.

    Raises
    ------
    CorruptError
        If a file is not a JSON object.
    """
    if (sae / "cfg.json").is_file():
        found = _json(sae / "cfg.json")
        return found if _is_saelens(found) else {}
    if (sae / "hyperparams.json").is_file():
        return {"hook_name": _json(sae / "hyperparams.json").get("hook_point_in")}
    return {}


def _is_saelens(config: dict[str, Any]) -> bool:
    """Return whether a ``cfg.json`` is SAELens', since other libraries write files of that name."""
    return bool({"architecture", "d_sae", "hook_name", "hook_point", "metadata"} & set(config))


def _model(stated: str) -> str:
    """Return the model that a configuration names: a local folder, or a repository."""
    return stated if Path(stated).is_dir() else hub_model(stated) or stated


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise CorruptError(f"{path} cannot be read as JSON: {e}") from e
    if not isinstance(found, dict):
        raise CorruptError(f"{path} is not a JSON object")
    return found
