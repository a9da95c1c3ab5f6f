"""The SAEs that SAELens knows, read from its data file.

Importing SAELens takes seconds. Its registry is a YAML file beside its code,
which is read without running any of that code.
"""

import importlib.util
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, MissingDependencyError

_READABLE = frozenset(
    {
        None,
        "connor_rob_hook_z",
        "deepseek_r1",
        "dictionary_learning_1",
        "gemma_2",
        "gemma_2_transcoder",
        "gemma_3",
        "goodfire",
        "llama_scope",
        "llama_scope_r1_distill",
        "mntss_clt_layer_transcoder",
        "mwhanna_transcoder",
        "qwen_scope",
        "sparsify",
    }
)
"""Layouts whose SAEs look at one token at a time, at hooks that SFAL knows."""

_OBSTACLES = {"temporal": "its features depend on earlier tokens"}
"""Why the SAEs of a layout cannot be counted."""


@dataclass(frozen=True)
class RegistryEntry:
    """One SAE of a SAELens release."""

    release: str
    """SAELens release."""
    sae_id: str
    """Id inside the release."""
    repo_id: str
    """Repository on the hub."""
    path: str
    """Folder inside the repository."""
    model: str
    """Language model, as SAELens spells it."""
    layout: str | None
    """SAELens' name for the layout of the repository; None: SAELens' own layout."""
    neuronpedia_id: str | None
    """``model/source`` on Neuronpedia."""
    l0: float | None
    """Mean number of features that fire per token."""
    overrides: tuple[tuple[str, Any], ...] = field(default=(), compare=False)
    """Fields that SAELens puts in place of those in the SAE's own configuration."""

    @property
    def obstacle(self) -> str:
        """Why SFAL cannot count the SAE; empty if it can."""
        return _OBSTACLES.get(self.layout or "", "") or (
            "" if self.layout in _READABLE else f"unknown layout {self.layout}"
        )

    @property
    def width(self) -> str:
        """Number of features as the name gives it (``16k``); empty if it does not."""
        for word in self.path.replace("/", "_").split("_"):
            if word[:-1].isdecimal() and word[-1:] in "km":
                return word
        ending = (self.neuronpedia_id or "").partition("__")[0].rpartition("-")[2]
        return ending if ending[:-1].isdecimal() and ending[-1:] in "km" else ""


@cache
def registry() -> tuple[RegistryEntry, ...]:
    """Return every SAE that SAELens can load, in the order of its registry.

    Raises
    ------
    MissingDependencyError
        If SAELens is not installed.
    ArtifactError
        If its registry cannot be read.
    """
    import yaml

    spec = importlib.util.find_spec("sae_lens")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "sae-lens is not installed", hint="`pip install sae-lens` installs it"
        )
    path = Path(spec.origin).with_name("pretrained_saes.yaml")
    try:
        with path.open(encoding="utf-8") as file:
            data = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return tuple(
            _entry(release, about, sae) for release, about in data.items() for sae in about["saes"]
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as e:
        raise ArtifactError(
            f"the registry of sae-lens ({path.name}) cannot be read: {e!r}",
            hint="its layout has changed; install a version of sae-lens that this SFAL supports",
        ) from e


def _entry(release: str, about: dict[str, Any], sae: dict[str, Any]) -> RegistryEntry:
    return RegistryEntry(
        release=release,
        sae_id=str(sae["id"]),
        repo_id=about["repo_id"],
        path=str(sae["path"]),
        model=about["model"],
        layout=about.get("conversion_func"),
        neuronpedia_id=sae.get("neuronpedia"),
        l0=sae.get("l0"),
        overrides=tuple((about.get("config_overrides") or {}).items()),
    )


@cache
def by_path(repo_id: str) -> dict[str, tuple[RegistryEntry, ...]]:
    """Return all entries of a repository by their folder in it.

    One SAE may be in several releases under several Neuronpedia ids, so all
    releases of the repository are read. A plain id comes before one that ends
    in ``__l0-N``.
    """
    found: dict[str, list[RegistryEntry]] = defaultdict(list)
    for entry in registry():
        if entry.repo_id == repo_id:
            found[entry.path].append(entry)
    return {
        path: tuple(sorted(entries, key=lambda e: _plainness(e.neuronpedia_id)))
        for path, entries in found.items()
    }


def neuronpedia_id(repo_id: str, path: str) -> str | None:
    """Return Neuronpedia's id of the SAE in a folder of a repository; None if it has none."""
    entries = by_path(repo_id).get(path, ())
    return next((e.neuronpedia_id for e in entries if e.neuronpedia_id), None)


def _plainness(neuronpedia_id: str | None) -> int:
    if neuronpedia_id is None:
        return 2
    return int("__" in neuronpedia_id)
