"""The choice of the place that an SAE reads at: its own, or another that the user names."""

import re
from typing import cast

from sfal.errors import InvalidInputError, Note, UnknownSaeError
from sfal.sources.configuration.training import Training
from sfal.sources.hooks import BLOCK_HOOKS, Place, place_of_module
from sfal.sources.source import SITES, Site


def chosen_place(
    own: Place | None,
    where: str,
    training: Training,
    site: str | None = None,
    layer: int | None = None,
    hook_module: str | None = None,
) -> Place:
    """Return the place that the user names, completed by the SAE's own.

    Parameters
    ----------
    own : Place, optional
        The SAE's own place; None if it is unknown.
    where : str
        The SAE, for messages.
    training : Training
        What its configuration says.
    site, layer, hook_module : optional
        What the user names.

    Raises
    ------
    InvalidInputError
        If the site does not exist, or site or layer is neither named nor known.
    UnknownSaeError
        If the configuration names a hook that SAE and user leave unexplained.
    """
    if hook_module is not None:
        if site is not None:
            raise InvalidInputError(
                f"{where}: both a site and a module to read at are named",
                hint="give either $site or $hook_module",
            )
        found = place_of_module(hook_module).layer
        if layer not in (None, found) and re.search(r"(?:^|\.)\d+(?:\.|$)", hook_module):
            raise InvalidInputError(
                f"{where}: module {hook_module} is not in layer {layer}",
                hint="leave out $layer, or name a module of that layer with $hook_module(PATH)",
            )
        return Place("custom", found if layer is None else layer, hook_module)
    if site is not None and (site not in SITES or site == "custom"):
        raise InvalidInputError(
            f"site {site!r} is not one of {', '.join(SITES[:-1])}",
            hint="name any other place with $hook_module(PATH)",
        )
    if site is not None and site == "embed" and layer is None:
        layer = 0
    if own is None and (site is None or layer is None):
        hook = training.module or training.hook
        if hook:
            raise UnknownSaeError(
                f"{where} reads at {hook}; SFAL knows hook_embed, and blocks.N. with "
                f"{', '.join(BLOCK_HOOKS)}",
                hint="name the module with $hook_module(PATH)",
            )
        raise InvalidInputError(
            f"{where} does not say where in the model it reads",
            hint="give $site and $layer, or $hook_module(PATH)",
        )
    if site is None and own is not None:
        if layer is not None and own.module is not None and layer != own.layer:
            raise InvalidInputError(
                f"{where} reads at module {own.module}, not in layer {layer}",
                hint="leave out $layer, or name the module with $hook_module(PATH)",
            )
        return Place(own.site, own.layer if layer is None else layer, own.module)
    at = layer if layer is not None else own.layer if own is not None else 0
    return Place(cast(Site, site), at)


def place_notes(own: Place | None, chosen: Place, where: str) -> tuple[Note, ...]:
    """Return a note if an SAE is read at another place than its own, as the user wants it.

    Parameters
    ----------
    own : Place, optional
        The SAE's own place; None if it is unknown.
    chosen : Place
        The place that is read.
    where : str
        The SAE, for messages.
    """
    read = chosen if chosen.module is None else place_of_module(chosen.module)
    if own is None or own in (chosen, read):
        return ()
    return (
        Note(
            f"{where} was trained at {_words(own)}, but is read at {_words(chosen)}",
            "leave out $site, $layer and $hook_module to read where it was trained",
        ),
    )


def _words(place: Place) -> str:
    return place.module or f"site {place.site} of layer {place.layer}"
