"""Sources whose explanations are wanted: named, of a preset, or lying on disk."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sfal.embeddings.choose import ExplainedSource
from sfal.embeddings.neuronpedia import EXPORT
from sfal.errors import ArtifactError
from sfal.sources import PRESETS
from sfal.store.files import read_json
from sfal.store.paths import EXPLANATIONS, MANIFEST, OCCURRENCES, RUNS, check_name, source_dir

_DEPTH = 3
"""Folders of sources lie two levels below the root; names given by hand may differ by one."""


def named_source(data_dir: Path, name: str, neuronpedia_id: str | None = None) -> ExplainedSource:
    """Source of a name, with what a run of it on disk says.

    Parameters
    ----------
    data_dir : Path
        Root of the data tree.
    name : str
        Folder below it.
    neuronpedia_id : str, optional
        Where Neuronpedia has it; default: what the run says, else the name
        itself if it looks like an id.

    Raises
    ------
    InvalidInputError
        If the name would leave the data tree.
    """
    manifest = _manifest(source_dir(data_dir, check_name(name, "source")))
    told = manifest.get("source")
    if neuronpedia_id is None and isinstance(told, dict) and "neuronpedia_id" in told:
        neuronpedia_id = told["neuronpedia_id"]
    elif neuronpedia_id is None and name.count("/") == 1:
        neuronpedia_id = name
    n_features = manifest.get("n_features")
    return ExplainedSource(
        name,
        neuronpedia_id if isinstance(neuronpedia_id, str) else None,
        n_features if isinstance(n_features, int) and n_features > 0 else None,
    )


def sources_on_disk(data_dir: Path) -> list[str]:
    """Names of the sources that have a run or explanations in a data tree, in order."""
    published = {preset.published_dir for preset in PRESETS.values()}
    names = []
    for folder, files, folders in _folders(data_dir):
        is_source = not {MANIFEST, EXPLANATIONS}.isdisjoint(files)
        is_source = is_source or not {EXPORT, RUNS}.isdisjoint(folders)
        is_source = is_source or any("cooccurrences" in f and f.endswith(".npz") for f in files)
        # The published layout names its folders by family, which is no Neuronpedia id.
        if is_source and folder.parent.name not in published:
            names.append(folder.relative_to(data_dir).as_posix())
    return sorted(names)


def _folders(data_dir: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    for where, folders, files in os.walk(data_dir):
        depth = len(Path(where).relative_to(data_dir).parts)
        inner = list(folders)
        folders[:] = sorted(
            f
            for f in folders
            if depth < _DEPTH and not f.startswith(".") and f not in (RUNS, OCCURRENCES, EXPORT)
        )
        if depth:
            yield Path(where), files, inner


def _manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a folder's run; empty where there is none or it is damaged."""
    if not (folder / MANIFEST).exists():
        return {}
    try:
        manifest = read_json(folder / MANIFEST)
    except ArtifactError:
        return {}
    return manifest if isinstance(manifest, dict) else {}
