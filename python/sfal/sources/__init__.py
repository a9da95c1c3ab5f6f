"""What can be counted and scored: a source is a language model, a site and an SAE on it."""

from sfal.sources.local import resolve_local
from sfal.sources.presets import PRESETS, Preset
from sfal.sources.registry import RegistryEntry, registry
from sfal.sources.resolve import resolve_named, resolve_saelens
from sfal.sources.scopes import resolve_gemma, resolve_llama
from sfal.sources.source import SaeRef, Site, Source

__all__ = [
    "PRESETS",
    "Preset",
    "RegistryEntry",
    "SaeRef",
    "Site",
    "Source",
    "registry",
    "resolve_gemma",
    "resolve_llama",
    "resolve_local",
    "resolve_named",
    "resolve_saelens",
]
