"""Sources whose explanations are wanted: named, of a preset, or lying on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfal.errors import ArtifactError
from sfal.io.atomic import read_json
from sfal.store.layout import MANIFEST, check_name, source_dir
from sfal.store.published.layout import FAMILIES
from sfal.store.source_folder import source_folders


@dataclass(frozen=True)
class ExplainedSource:
    """A source whose explanations are wanted."""

    name: str
    """Folder below the data folder."""
    neuronpedia_id: str | None
    """``model/source`` on Neuronpedia, if it is there."""
    n_features: int | None = None
    """Features of the SAE, if a run on disk says it."""


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
    """Names of the sources that have data in a data tree, in order.

    Those of the published layout are left out: its folders are named by
    family, which is no Neuronpedia id.
    """
    return sorted(
        folder.relative_to(data_dir).as_posix()
        for folder in source_folders(data_dir)
        if folder.parent.name not in FAMILIES
    )


def _manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a folder's run; empty where there is none or it is damaged."""
    if not (folder / MANIFEST).exists():
        return {}
    try:
        manifest = read_json(folder / MANIFEST)
    except ArtifactError:
        return {}
    return manifest if isinstance(manifest, dict) else {}
