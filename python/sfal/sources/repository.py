"""Sources of SAEs in any repository of the hub."""

import re
from collections.abc import Mapping
from typing import Any

from sfal.errors import InvalidInputError
from sfal.sources.configuration.on_disk import describe
from sfal.sources.configuration.saelens import flattened
from sfal.sources.configuration.training import Training
from sfal.sources.hooks import place_of_hook
from sfal.sources.hub_layouts import only_sae, repository_layout
from sfal.sources.models import hub_model
from sfal.sources.places import chosen_place, place_notes
from sfal.sources.scopes import model_name
from sfal.sources.source import SaeRef, Source


def resolve_repository(
    repo_id: str,
    sae_id: str | None = None,
    model: str | None = None,
    site: str | None = None,
    layer: int | None = None,
    hook_module: str | None = None,
    known: Mapping[str, Any] | None = None,
) -> Source:
    """Return the source of an SAE in a repository of the hub; see :func:`resolve_saelens`.

    `known` is SAELens' configuration of the SAE as someone else recorded it; it
    says what the repository's own files do not.
    """
    folder = only_sae(repo_id) if sae_id is None else sae_id.strip("/")
    where = f"{repo_id} {folder}".rstrip()
    own_words = flattened(describe(repository_layout(repo_id, folder)))
    training = Training.parse({**flattened(known or {}), **own_words}, where)
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
        notes=place_notes(own, place, where),
    )
