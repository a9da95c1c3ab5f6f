"""Import of vectors that somebody computed elsewhere, such as an API's embeddings."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfal.embeddings.embedders import NEURONPEDIA
from sfal.embeddings.vector_files import FileVectors, read_vector_file, rows_in_order
from sfal.errors import ArtifactError, InvalidInputError, SettingsMismatchError
from sfal.explanations.each_source import requested_sources
from sfal.explanations.user_files.layers import LayerFilter
from sfal.io.atomic import remove_temporaries, sha256_file
from sfal.io.lock import folder_lock
from sfal.sources.source import Source
from sfal.store.embeddings import SUFFIX, read_vectors_metadata, write_vectors
from sfal.store.explanations import (
    MIXED,
    embeddings_stem,
    explanations_sha256,
    kinds,
    labels_by_feature,
)
from sfal.store.layout import DEFAULT_DATA_DIR, check_name, embeddings_path
from sfal.store.source_folder import SourceFolder

_TYPE = "imported"
"""Type of explanations that are not on disk, only their vectors."""


@dataclass(frozen=True)
class ImportSummary:
    """What was imported."""

    source: str
    """Name of the source."""
    embedder: str
    """Name under which the vectors are kept."""
    path: Path
    """File with the vectors."""
    n_vectors: int
    """Number of features with a vector."""
    n_missing: int
    """Rows without a vector: zeros or NaN."""
    dimension: int
    """Numbers per vector."""
    unchanged: bool = False
    """Whether the same file had been imported."""


def import_embeddings(
    source: str | Source,
    path: str | Path,
    embedding_name: str,
    data_dir: str | Path = DEFAULT_DATA_DIR,
) -> ImportSummary:
    """Import vectors of a source's explanations that were made elsewhere.

    Parameters
    ----------
    source : str or Source
        The source.
    path : str or Path
        File that :func:`sfal.embeddings.vector_files.read_vector_file` reads.
    embedding_name : str
        Name under which they are kept and scored, such as ``openai/text-embedding-3-large``.
    data_dir : str or Path
        Root of the data tree.

    Returns
    -------
    ImportSummary
        What was imported.

    Raises
    ------
    InvalidInputError
        If the file cannot be understood, or its rows do not fit the SAE.
    ArtifactError
        If the file is missing or damaged, or of another SAE.
    SettingsMismatchError
        If an embedding model has made vectors of this name.
    LockedError
        If another process is writing vectors of this name.
    """
    path = Path(path)
    (folder,) = requested_sources(source, Path(data_dir))
    if embedding_name == NEURONPEDIA:
        raise InvalidInputError(
            f"the name {NEURONPEDIA} is that of the vectors in Neuronpedia's export",
            hint="give another $embedding_name",
        )
    check_name(embedding_name, "embedder")
    found = _of_layer(folder, path, read_vector_file(path))
    about = _about(folder, path, embedding_name)
    stem = about.pop("stem")
    target = embeddings_path(folder.path, embedding_name, stem)
    _check_size(folder, path, found)
    rows = list(rows_in_order(path, found))
    if not rows:
        raise InvalidInputError(f"{path} holds no vector: all its rows are zeros or NaN")
    n_features = folder.n_features
    if n_features is not None and rows[-1][0] >= n_features:
        raise ArtifactError(
            f"{path} has a vector of feature {rows[-1][0]}, but {folder.name} has "
            f"{n_features:,} features: these are vectors of another SAE"
        )
    n_missing = len(found.vectors) - len(rows)
    dimension = found.vectors.shape[1]
    with folder_lock(target.parent, folder.root):
        remove_temporaries(target.parent)
        unchanged = _check_others(target, about)
        if not unchanged:
            features = np.array([feature for feature, _ in rows], dtype=np.uint32)
            labels = labels_by_feature(folder.explanations()) if folder.has_explanations else None
            write_vectors(target, features, np.stack([vector for _, vector in rows]), about, labels)
    return ImportSummary(
        folder.name, embedding_name, target, len(rows), n_missing, dimension, unchanged
    )


def _about(source: SourceFolder, path: Path, name: str) -> dict[str, Any]:
    """Return the metadata of the vectors, and the stem of their file."""
    about = {
        "source": source.name,
        "embedder": name,
        "revision": None,
        "fingerprint": sha256_file(path),
        "imported": path.name,
    }
    if not source.has_explanations:
        label = re.sub(r"[^A-Za-z0-9._+@=-]", "-", path.stem).lstrip(".-") or "file"
        return {**about, "type": _TYPE, "explainer": label, "stem": f"{_TYPE}_{label}"}
    table = source.explanations()
    there = kinds(table)
    type_, explainer = next(iter(there)) if len(there) == 1 else (MIXED, MIXED)
    return {
        **about,
        "type": type_,
        "explainer": explainer,
        "explanations_sha256": explanations_sha256(table),
        "stem": embeddings_stem(table),
    }


def _of_layer(source: SourceFolder, path: Path, found: FileVectors) -> FileVectors:
    """Return the vectors of the source's layer, if the file names the layers of its rows."""
    if found.layers is None:
        return found
    source_id = source.neuronpedia_id.partition("/")[2] if source.neuronpedia_id else None
    layers = LayerFilter(source.layer, source_id)
    kept = np.array([layers.reason({"layer": layer}) is None for layer in found.layers])
    if not kept.any():
        there = ", ".join(sorted({str(layer) for layer in found.layers})[:6])
        raise InvalidInputError(
            f"{path} has no vector of layer {source.layer}, which {source.name} reads; its column "
            f"of layers has {there}",
            hint="give the file of this layer, or leave the column out",
        )
    features = None if found.features is None else found.features[kept]
    return FileVectors(features, found.vectors[kept])


def _check_size(source: SourceFolder, path: Path, found: FileVectors) -> None:
    """Refuse rows without features unless there is one for every feature."""
    if found.vectors.shape[1] == 0:
        raise InvalidInputError(f"{path}: its vectors have no dimension")
    n = source.n_features
    if found.features is None and n is not None and len(found.vectors) != n:
        raise InvalidInputError(
            f"{path} holds {len(found.vectors):,} vectors, but {source.name} has {n:,} features",
            hint="say which row is which feature by an array or a column named feature",
        )


def _check_others(target: Path, about: dict[str, Any]) -> bool:
    """Return whether the target holds this very import; refuse the place of a model's vectors."""
    unchanged = False
    for path in sorted(target.parent.glob(f"*{SUFFIX}")):
        try:
            metadata = read_vectors_metadata(path)
        except ArtifactError:
            continue  # damaged, to be replaced
        if "imported" not in metadata:
            raise SettingsMismatchError(
                f"{path} was made by an embedding model",
                hint="give the imported vectors another $embedding_name",
            )
        if path == target:
            unchanged = metadata == about
    return unchanged
