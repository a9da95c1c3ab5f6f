"""Sources of SAEs in any repository of the hub that has SAELens' layout."""

import re
from pathlib import Path

from sfal.errors import InvalidInputError, UnknownSaeError
from sfal.sources.hooks import place_of_hook
from sfal.sources.local import local_config
from sfal.sources.models import hub_model
from sfal.sources.places import chosen_place
from sfal.sources.scopes import model_name
from sfal.sources.source import SaeRef, Source
from sfal.sources.training import Training

_LISTED = 12
"""SAEs that a message lists."""


def resolve_repository(
    repo_id: str,
    sae_id: str | None = None,
    model: str | None = None,
    site: str | None = None,
    layer: int | None = None,
    hook_module: str | None = None,
) -> Source:
    """Return the source of an SAE in a repository of the hub; see :func:`resolve_saelens`."""
    folder = _only_folder(repo_id) if sae_id is None else sae_id.strip("/")
    where = f"{repo_id} {folder}".rstrip()
    config = local_config(_fetch_config(repo_id, folder).parent)
    training = Training.parse(config, where)
    stated = training.model
    chosen = model or (stated and (hub_model(stated) or stated))
    if not chosen:
        raise InvalidInputError(
            f"{where} does not say which language model it is for", hint="name it with $model"
        )
    own = place_of_hook(training.hook, training.module)
    place = chosen_place(own, where, training, site, layer, hook_module)
    spelled = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{repo_id}-{folder}".rstrip("-"))
    return Source(
        name=f"{model_name(chosen)}/{place.layer}-{spelled}",
        model=chosen,
        site=place.site,
        layer=place.layer,
        sae=SaeRef("repository", repo_id=repo_id, path=folder),
        hook_module=place.module,
        prepend_bos=training.prepend_bos,
        training=training,
    )


def _only_folder(repo_id: str) -> str:
    """Return the folder of a repository's only SAE; empty if it lies at the root."""
    from sfal.io import hub

    folders = [
        path.removesuffix("cfg.json").strip("/")
        for path in hub.list_files(repo_id)
        if path == "cfg.json" or path.endswith("/cfg.json")
    ]
    if len(folders) == 1 or "" in folders:
        return "" if "" in folders else folders[0]
    if not folders:
        raise UnknownSaeError(
            f"{repo_id} holds no cfg.json, so no SAE in SAELens' layout",
            hint="name a folder on disk by $sae_path for other layouts",
        )
    listed = ", ".join(sorted(folders)[:_LISTED])
    more = f" and {len(folders) - _LISTED} more" if len(folders) > _LISTED else ""
    raise UnknownSaeError(
        f"{repo_id} holds {len(folders)} SAEs: {listed}{more}", hint="name one by $sae_id"
    )


def _fetch_config(repo_id: str, folder: str) -> Path:
    from huggingface_hub import hf_hub_download

    from sfal.io.hub import hub_errors

    name = f"{folder}/cfg.json" if folder else "cfg.json"
    with hub_errors(f"{name} of {repo_id}", "or name a local SAE with $sae_path"):
        return Path(hf_hub_download(repo_id, name))
