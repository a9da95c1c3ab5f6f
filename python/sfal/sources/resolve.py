"""Sources named by a SAELens release, a repository of the hub, or a Neuronpedia id."""

import re
from dataclasses import replace
from typing import Any, Literal

from sfal.errors import InvalidInputError, SfalError, UnknownSaeError
from sfal.sources.configuration.saelens import flattened
from sfal.sources.configuration.training import Training
from sfal.sources.entry_places import place_of_entry
from sfal.sources.hooks import place_of_hook
from sfal.sources.models import hub_model
from sfal.sources.neuronpedia import ExplainedSae, explained_sae
from sfal.sources.places import chosen_place, place_notes
from sfal.sources.registry import RegistryEntry, registry
from sfal.sources.scopes import SCOPE_CONTEXT, model_name
from sfal.sources.source import SaeRef, Source

_OWN_LAYOUTS: dict[str, Literal["gemma_scope", "llama_scope"]] = {
    "gemma_2": "gemma_scope",
    "llama_scope": "llama_scope",
}


def resolve_saelens(
    release: str,
    sae_id: str | None = None,
    model: str | None = None,
    site: str | None = None,
    layer: int | None = None,
    hook_module: str | None = None,
) -> Source:
    """Return the source of a SAELens release, or of a hub repository in SAELens' layout.

    Gemma Scope and Llama Scope have loaders of ours. For any other SAE the
    configuration is fetched, to learn its site and layer.

    Parameters
    ----------
    release : str
        As :func:`registry` lists it, or ``owner/name`` of a repository on the hub.
    sae_id : str, optional
        Id inside the release, or folder of the repository. It is not needed if
        a repository holds only one SAE.
    model : str, optional
        Hub id or folder of the language model, in place of the SAE's own.
    site : str, optional
        One of :data:`sfal.sources.source.SITES`, in place of the SAE's own.
    layer : int, optional
        Layer, from 0, in place of the SAE's own.
    hook_module : str, optional
        Path of the module to read, in place of a site.

    Returns
    -------
    source : Source

    Raises
    ------
    UnknownSaeError
        If SAELens knows no such release or id, the message names similar ones;
        or if the repository holds no SAE, or several and none was named.
    InvalidInputError
        If the SAE cannot be counted, or its model or place is not known.
    DownloadError
        If its configuration cannot be fetched.
    """
    if "/" in release and not any(e.release == release for e in registry()):
        from sfal.sources.repository import resolve_repository

        for known in registry():
            if known.repo_id == release and sae_id in (known.sae_id, known.path):
                return resolve_saelens(known.release, known.sae_id, model, site, layer, hook_module)
        return resolve_repository(release, sae_id, model, site, layer, hook_module)
    entry = _entry(release, sae_id)
    where = f"{release} {entry.sae_id}"
    if entry.obstacle:
        raise InvalidInputError(f"{where} cannot be counted: {entry.obstacle}")
    kind = _OWN_LAYOUTS.get(entry.layout or "")
    bos = None
    if kind is not None:
        training = Training(model=_model_of(entry), context_size=SCOPE_CONTEXT)
        own = place_of_entry(entry)
    else:
        training = replace(Training.parse(_saelens_config(entry), where), model=_model_of(entry))
        own = place_of_hook(training.hook, training.module)
        bos = training.prepend_bos
    place = chosen_place(own, where, training, site, layer, hook_module)
    chosen = model or _hub_model(_model_of(entry))
    spelled = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{entry.release}-{entry.sae_id}")
    return Source(
        name=entry.neuronpedia_id or f"{model_name(chosen)}/{place.layer}-{spelled}",
        model=chosen,
        site=place.site,
        layer=place.layer,
        sae=SaeRef(
            "saelens" if kind is None else kind,
            repo_id=entry.repo_id,
            path=entry.path,
            release=entry.release,
            sae_id=entry.sae_id,
        ),
        neuronpedia_id=entry.neuronpedia_id,
        hook_module=place.module,
        prepend_bos=bos,
        training=training,
        notes=place_notes(own, place, where),
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
    """Return the source that Neuronpedia's export describes, or None and why there is none.

    Each place that it names is tried. If none works, the errors that say more
    than that the place is unknown are raised.
    """
    try:
        explained = explained_sae(neuronpedia_id)
    except SfalError as e:
        return None, f", and Neuronpedia's export does not answer ({e.message})"
    if explained is None:
        return None, ", and Neuronpedia's export has no such source"
    errors: list[SfalError] = []
    for place, sae_id in explained.places():
        try:
            source = _of_place(place, sae_id, explained.config)
        except SfalError as e:
            errors.append(e)
            continue
        return replace(source, name=neuronpedia_id, neuronpedia_id=neuronpedia_id), ""
    telling = next((e for e in errors if not isinstance(e, UnknownSaeError)), None)
    said = "; ".join(e.message for e in errors)
    if telling is not None:
        raise type(telling)(
            f"the SAE of {neuronpedia_id} cannot be loaded from where Neuronpedia says it is: {said}",
            hint=telling.hint,
        ) from telling
    said = (
        said or f"it names neither a SAELens release nor a repository of the hub{_about(explained)}"
    )
    return None, f", and from Neuronpedia's export it cannot be loaded: {said}"


def _of_place(place: str, sae_id: str | None, config: dict[str, Any]) -> Source:
    """Return the source at one of the places that Neuronpedia's export names."""
    known = next(
        (e for e in registry() if e.repo_id == place and sae_id in (e.sae_id, e.path)), None
    )
    if known is not None:
        return resolve_saelens(known.release, known.sae_id)
    if "/" in place and not any(e.release == place for e in registry()):
        from sfal.sources.repository import resolve_repository

        return resolve_repository(place, sae_id, known=config)
    return resolve_saelens(place, sae_id)


def _about(explained: ExplainedSae) -> str:
    """Return what the export says of the SAE itself, to find it by."""
    flat = flattened(explained.config)
    hook, model = flat.get("hook_name"), flat.get("model_name")
    return f", only that the SAE reads {hook} of {model}" if hook and model else ""


def _entry(release: str, sae_id: str | None) -> RegistryEntry:
    of_release = [e for e in registry() if e.release == release]
    for entry in of_release:
        if entry.sae_id == sae_id:
            return entry
    import difflib

    if not of_release:
        near = difflib.get_close_matches(release, sorted({e.release for e in registry()}), 3, 0.4)
        raise UnknownSaeError(
            f"SAELens knows no release {release!r}{_perhaps(near)}",
            hint="a repository of the hub is named with $release(OWNER/NAME), an SAE on disk with "
            "$sae_path",
        )
    if sae_id is None:
        if len(of_release) == 1:
            return of_release[0]
        raise InvalidInputError(
            f"release {release} holds {len(of_release)} SAEs",
            hint=f"name one with $sae_id; $do_sources({release}) lists them",
        )
    near = difflib.get_close_matches(sae_id, [e.sae_id for e in of_release], 3, 0.4)
    raise UnknownSaeError(
        f"release {release!r} has no SAE {sae_id!r}{_perhaps(near)}",
        hint=f"$do_sources({release}) lists its {len(of_release)}",
    )


def _perhaps(near: list[str]) -> str:
    return f"; perhaps {' or '.join(near)}" if near else ""


def _model_of(entry: RegistryEntry) -> str:
    """Return the language model of an SAE; the registry names the base model of an -it release."""
    tuned = entry.layout == "gemma_2" and "-it-" in entry.repo_id
    return f"{entry.model}-it" if tuned and not entry.model.endswith("-it") else entry.model


def _saelens_config(entry: RegistryEntry) -> dict[str, Any]:
    from sae_lens.loading.pretrained_sae_loaders import load_sae_config_from_huggingface

    from sfal.io.hub import hub_errors

    with hub_errors(f"the configuration of {entry.release} {entry.sae_id} ({entry.repo_id})"):
        return dict(load_sae_config_from_huggingface(entry.release, entry.sae_id))


def _hub_model(name: str) -> str:
    """Return the hub id of a model that SAELens spells in its own way."""
    found = hub_model(name)
    if found is None:
        raise InvalidInputError(
            f"the hub id of SAELens' model {name!r} is unknown", hint="name it with $model"
        )
    return found
