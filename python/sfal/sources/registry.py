"""The SAEs that SAELens knows, read from its data file.

Importing SAELens takes seconds; its registry is a YAML file beside its code,
so it is read without running any of it.
"""

import importlib.util
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, MissingDependencyError


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
    """SAELens' name of the repository's layout; None: its own."""
    neuronpedia_id: str | None
    """``model/source`` on Neuronpedia."""
    l0: float | None
    """Mean number of features that fire on a token."""

    @property
    def width(self) -> str:
        """Number of features as the name has it (``16k``), or empty."""
        for word in self.path.replace("/", "_").split("_"):
            if word[:-1].isdecimal() and word[-1:] in "km":
                return word
        ending = (self.neuronpedia_id or "").partition("__")[0].rpartition("-")[2]
        return ending if ending[:-1].isdecimal() and ending[-1:] in "km" else ""


@cache
def registry() -> tuple[RegistryEntry, ...]:
    """Every SAE that SAELens can load, in the order of its registry.

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
        raise MissingDependencyError("sae-lens is not installed; `pip install sae-lens` brings it")
    path = Path(spec.origin).with_name("pretrained_saes.yaml")
    try:
        with path.open(encoding="utf-8") as file:
            data = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return tuple(
            _entry(release, about, sae) for release, about in data.items() for sae in about["saes"]
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as e:
        raise ArtifactError(
            f"the registry of sae-lens ({path.name}) cannot be read: {e!r}; "
            "its layout has changed, install a version that this one was made for"
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
    )


@cache
def by_path(repo_id: str) -> dict[str, tuple[RegistryEntry, ...]]:
    """All entries of a repository by their folder in it.

    One SAE may stand in several releases under several Neuronpedia ids, so all
    releases of the repository are read; the plain id goes before one with
    ``__l0-N`` behind it.
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
    """Neuronpedia's id of the SAE in a folder of a repository, if it has one."""
    entries = by_path(repo_id).get(path, ())
    return next((e.neuronpedia_id for e in entries if e.neuronpedia_id), None)


def _plainness(neuronpedia_id: str | None) -> int:
    if neuronpedia_id is None:
        return 2
    return int("__" in neuronpedia_id)
