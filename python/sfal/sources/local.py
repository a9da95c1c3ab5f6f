"""Sources of SAEs on the local disk."""

import re
from pathlib import Path

from sfal.errors import InvalidInputError
from sfal.sources.configuration.layouts import layout_of
from sfal.sources.configuration.on_disk import describe
from sfal.sources.configuration.training import Training
from sfal.sources.hooks import place_of_hook
from sfal.sources.models import hub_model
from sfal.sources.places import chosen_place, place_notes
from sfal.sources.scopes import model_name
from sfal.sources.source import SaeRef, Source


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
        A folder or file in one of the layouts of :mod:`sfal.sources.configuration.layouts`.
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
        If the SAE is in no layout that SFAL knows, or a field of its configuration
        has the wrong type.
    InvalidInputError
        If model, site or layer is neither given nor in the configuration.
    """
    training = Training.parse(describe(layout_of(sae)), str(sae))
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
        notes=place_notes(own, place, str(sae)),
    )


def _model(stated: str) -> str:
    """Return the model that a configuration names: a local folder, or a repository."""
    return stated if Path(stated).is_dir() else hub_model(stated) or stated
