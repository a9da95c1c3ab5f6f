"""Which sources on disk a command means: by model, layer, name, embedder and explainer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.io.atomic import read_json
from sfal.sources import PRESETS
from sfal.store.embeddings import find_vectors
from sfal.store.layout import MANIFEST, RUNS, check_name, source_dir
from sfal.store.manifest import has_manifest
from sfal.store.published.layout import (
    FAMILIES,
    MODEL_IDS,
    explainer_of,
    find_histograms,
    find_pickled_embeddings,
    model_in_name,
)
from sfal.store.source_folder import source_folders, subfolders

_FAMILY_MODELS = {"gemma": "gemma-2-9b", "llama": "llama3.1-8b"}
"""Models of the published data, where a file name does not say."""

_NAMED = 8
"""Sources that a message names."""


@dataclass(frozen=True)
class EmbeddingsFile:
    """One set of embeddings of a source."""

    embedder: str
    """Hub id of the embedder, or ``local/NAME``: its folder."""
    stem: str
    """``{type}_{explainer}`` of the explanations."""
    path: Path
    """The file."""


@dataclass(frozen=True)
class SourceInput:
    """A source on disk that can be scored, or at least was asked for."""

    name: str
    """Folder below the data folder."""
    model: str
    """Neuronpedia's id of the language model, or its folder's name."""
    layer: int | None
    """Layer, None where neither manifest nor name says."""
    folder: Path
    """Folder of the source."""
    run_folder: Path
    """Folder of the counts: the source's own, or that of a further run."""
    embeddings: tuple[EmbeddingsFile, ...] = ()
    """Sets of embeddings chosen, in alphabetical order."""


@dataclass(frozen=True)
class Selection:
    """What to score; everything on disk by default."""

    model: str | None = None
    """``gemma``, ``llama``, a model's id on the hub or on Neuronpedia, or its folder."""
    layers: tuple[int, ...] = ()
    """Layers wanted; empty: all."""
    sources: tuple[str, ...] = ()
    """Names of sources; empty: all."""
    embeddings: tuple[str, ...] = ()
    """Embedders wanted; empty: all."""
    explainers: tuple[str, ...] = ()
    """Explainers wanted; empty: all."""
    run: str | None = None
    """Name of a further run."""


@dataclass(frozen=True)
class Selected:
    """What a selection finds."""

    sources: tuple[SourceInput, ...]
    """Sources to score, by model, layer and name."""
    refused: tuple[str, ...] = ()
    """What was asked for and is not there, and what to do."""
    skipped: tuple[str, ...] = ()
    """What is there but not yet complete, where nobody asked for it by name."""


@dataclass
class _Candidate:
    name: str
    model: str
    layer: int | None
    folder: Path
    run_folder: Path
    published: bool
    aliases: set[str] = field(default_factory=set)

    @property
    def has_counts(self) -> bool:
        return has_manifest(self.run_folder) or bool(find_histograms(self.run_folder))


def select_sources(data_dir: Path, selection: Selection) -> Selected:
    """Find the sources that a selection means, and their embeddings.

    Parameters
    ----------
    data_dir : Path
        Root of our data tree, of the published one, or of both.
    selection : Selection

    Raises
    ------
    ArtifactError
        If there is nothing at all of what is asked for.
    InvalidInputError
        If ``gemma`` or ``llama`` stands for several models.
    """
    if selection.sources:
        found, missing = _by_name(data_dir, selection)
    else:
        found = _prefer_ours(_by_model(data_dir, selection))
        missing = []
    wanted = selection.layers
    chosen = [c for c in found if not wanted or c.layer in wanted]
    for layer in sorted(set(wanted) - {c.layer for c in chosen}):
        missing.append(_no_layer(layer, found, selection))
    sources: list[SourceInput] = []
    skipped: list[str] = []
    asked = bool(selection.sources or wanted)
    for candidate in chosen:
        try:
            sources.append(_with_embeddings(candidate, selection))
        except SfalError as e:
            (missing if asked else skipped).append(str(e))
    if not sources:
        raise ArtifactError("; ".join([*missing, *skipped]))
    sources.sort(key=lambda s: (s.model, -1 if s.layer is None else s.layer, s.name))
    return Selected(tuple(sources), tuple(missing), tuple(skipped))


def _by_name(data_dir: Path, selection: Selection) -> tuple[list[_Candidate], list[str]]:
    found, missing = [], []
    for name in selection.sources:
        try:
            folder = source_dir(data_dir, name)
        except InvalidInputError as e:
            raise InvalidInputError(f"{e}; {_elsewhere(data_dir)}") from e
        if folder.is_dir():
            found.append(_candidate(data_dir, folder, selection.run))
        else:
            missing.append(
                f"no data yet for {name}: {_elsewhere(data_dir)} "
                f"`sfal cooc` and `sfal embeddings all --source {name}` make it"
            )
    if not found:
        raise ArtifactError("; ".join(missing))
    return found, missing


def _elsewhere(data_dir: Path) -> str:
    """What the sources in a data folder are called, for a name that is none of them."""
    names = [folder.relative_to(data_dir).as_posix() for folder in source_folders(data_dir)]
    more = ", …" if len(names) > _NAMED else ""
    there = f"there are {', '.join(names[:_NAMED])}{more}" if names else "there is no source"
    return f"{there} in {data_dir}; is it in another data folder (--data-dir)?"


def _by_model(data_dir: Path, selection: Selection) -> list[_Candidate]:
    there = [_candidate(data_dir, folder, selection.run) for folder in source_folders(data_dir)]
    if selection.model is None:
        if not there:
            raise ArtifactError(f"no data yet in {data_dir}; `sfal cooc` makes some")
        return there
    found = [c for c in there if _is_of(c, selection.model)]
    if not found:
        models = ", ".join(sorted({c.model for c in there}))
        others = f"; there are data of {models}" if models else ""
        raise ArtifactError(f"no data yet for {selection.model} in {data_dir}{others}")
    models_found = sorted({c.model for c in found if c.has_counts} or {c.model for c in found})
    if len(models_found) > 1:
        raise InvalidInputError(
            f"--model {selection.model} fits {' and '.join(models_found)} in {data_dir}; "
            "give one of these"
        )
    return [c for c in found if c.model == models_found[0]]


def _candidate(data_dir: Path, folder: Path, run: str | None) -> _Candidate:
    name = folder.relative_to(data_dir).as_posix()
    family = FAMILIES.get(folder.parent.name)
    run_folder = folder / RUNS / check_name(run, "run") if run else folder
    made_with = _source_in_manifest(run_folder)
    aliases = {name.split("/")[0]}
    if family is None:
        model = name.split("/")[0] if "/" in name else str(made_with.get("model", name))
    else:
        histograms = find_histograms(run_folder)
        known = model_in_name(histograms[0]) if histograms else None
        model = known or _FAMILY_MODELS[family]
        aliases.add(family)
    if isinstance(made_with.get("model"), str):
        aliases.add(made_with["model"])
    layer = made_with.get("layer")
    number = re.match(r"(\d+)(?:-|$)", folder.name)
    if not isinstance(layer, int):
        layer = int(number[1]) if number else None
    return _Candidate(name, model, layer, folder, run_folder, family is not None, aliases)


def _source_in_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest says of its source; nothing where it cannot be read, which comes later."""
    try:
        source = read_json(folder / MANIFEST).get("source")
    except (ArtifactError, AttributeError):
        return {}
    return source if isinstance(source, dict) else {}


def _is_of(candidate: _Candidate, model: str) -> bool:
    if model in candidate.aliases or model == candidate.model:
        return True
    if model in PRESETS:
        return candidate.model.lower().startswith(model)
    last = model.rstrip("/").split("/")[-1]
    return candidate.model in (MODEL_IDS.get(last), last, last.lower())


def _prefer_ours(found: Sequence[_Candidate]) -> list[_Candidate]:
    """Leave published sources out where our own tree has counts of the same source."""
    ours = {(c.model, c.folder.name) for c in found if not c.published and c.has_counts}
    theirs = {(c.model, c.folder.name) for c in found if c.published and c.has_counts} - ours
    return [c for c in found if (c.model, c.folder.name) not in (ours if c.published else theirs)]


def _no_layer(layer: int, found: Sequence[_Candidate], selection: Selection) -> str:
    there = sorted({c.layer for c in found if c.layer is not None})
    what = selection.model or ", ".join(selection.sources) or "any model"
    return (
        f"no data yet for layer {layer} of {what}, there are layers "
        f"{' '.join(map(str, there)) or '(none)'}; {_how_to_count(layer, found, selection)}"
    )


def _how_to_count(layer: int, found: Sequence[_Candidate], selection: Selection) -> str:
    if selection.model in PRESETS:
        return f"`sfal cooc {selection.model} --layers {layer}` makes it"
    for family in PRESETS:
        if found and all(_is_of(candidate, family) for candidate in found):
            return f"`sfal cooc {family} --model ID --layers {layer}` makes it"
    return "`sfal cooc sae`, given the SAE of that layer, makes it"


def _with_embeddings(candidate: _Candidate, selection: Selection) -> SourceInput:
    if not candidate.has_counts:
        raise ArtifactError(_no_counts(candidate, selection.run))
    # Ours last, so that they replace published ones of the same name.
    found = find_pickled_embeddings(candidate.folder) | find_vectors(candidate.folder)
    if not found:
        raise ArtifactError(
            f"no embeddings yet for {candidate.name}; "
            f"`sfal embeddings all --source {candidate.name}` makes them, and `sfal status` says "
            "what else is missing"
        )
    chosen = [
        EmbeddingsFile(embedder, stem, path)
        for (embedder, stem), path in sorted(found.items())
        if _wanted(embedder, selection.embeddings)
        and (not selection.explainers or explainer_of(stem) in selection.explainers)
    ]
    unknown = [
        name
        for name in selection.embeddings
        if not any(_wanted(embedder, (name,)) for embedder, _stem in found)
    ]
    if unknown or not chosen:
        there = ", ".join(f"{embedder} ({stem})" for embedder, stem in sorted(found))
        asked = ", ".join(unknown or [*selection.embeddings, *selection.explainers])
        raise ArtifactError(f"{candidate.name} has no embeddings {asked}; there are {there}")
    return SourceInput(
        name=candidate.name,
        model=candidate.model,
        layer=candidate.layer,
        folder=candidate.folder,
        run_folder=candidate.run_folder,
        embeddings=tuple(chosen),
    )


def _wanted(embedder: str, names: Sequence[str]) -> bool:
    return not names or embedder in names or embedder.split("/")[-1] in names


def _no_counts(candidate: _Candidate, run: str | None) -> str:
    runs = subfolders(candidate.folder / RUNS)
    if run is not None or runs:
        there = ", ".join(p.name for p in runs) or "none"
        asked = f"run {run} of {candidate.name}" if run else candidate.name
        return f"no counts yet for {asked}; its further runs (--run): {there}"
    return f"no counts yet for {candidate.name}; `sfal cooc` makes them"
