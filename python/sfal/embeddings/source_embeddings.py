"""Embeddings of one source's explanations, made unless they exist."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfal.embeddings.checkpointed import encode_texts, remove_pieces
from sfal.embeddings.embedders import NEURONPEDIA, Embedder, EmbedderRef
from sfal.embeddings.export_vectors import read_export_vectors
from sfal.embeddings.unknown_words import known_labels, unknown_note
from sfal.errors import (
    ArtifactError,
    InvalidInputError,
    MissingError,
    Note,
    SettingsMismatchError,
)
from sfal.explanations.label_audit import leaks as leaks_of
from sfal.explanations.neuronpedia import cached_export
from sfal.explanations.source_explanations import record_reader
from sfal.io.arrow import to_numpy
from sfal.io.atomic import remove_temporaries
from sfal.io.lock import folder_lock
from sfal.store.embeddings import SUFFIX, read_vectors_metadata, write_vector_pieces, write_vectors
from sfal.store.explanations import (
    MIXED,
    embeddings_stem,
    explanations_sha256,
    kinds,
    labels_by_feature,
)
from sfal.store.layout import embeddings_path
from sfal.store.source_folder import SourceFolder

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class EmbeddedSummary:
    """What was embedded of a source by one embedder."""

    source: str
    """Name of the source."""
    embedder: str
    """Name of the embedder."""
    path: Path
    """File with the vectors."""
    n_vectors: int
    """Number of features that got a vector; 0 if nothing was done."""
    n_missing: int
    """Number of explained features without a vector."""
    skipped: bool
    """Whether the file existed, made of the same explanations by the same embedder."""
    n_leaks: int = 0
    """Number of explanations left out as the explainer's reasoning or prompt."""
    notes: tuple[Note, ...] = ()
    """What the user may want to know, such as the labels of which the embedder knows no word."""


def embed_source(
    source: SourceFolder,
    table: "pa.Table",
    ref: EmbedderRef,
    load: Callable[[], Embedder],
    batch_size: int = 32,
    leaks: str = "drop",
) -> EmbeddedSummary:
    """Embed a source's explanations, unless that has been done.

    Parameters
    ----------
    source : SourceFolder
        The source.
    table : Table
        Its explanations, as :func:`sfal.store.explanations.read_explanations` returns them.
    ref : EmbedderRef
        The embedder.
    load : callable
        Returns the loaded embedder; called only if there is something to embed.
    batch_size : int
        Texts per batch.
    leaks : str
        ``drop`` or ``keep`` explanations that are the explainer's reasoning or prompt.

    Returns
    -------
    EmbeddedSummary
        The file and the number of vectors in it.

    Raises
    ------
    SettingsMismatchError
        If other files under this embedder's name were made by another model.
    MissingError
        If the vectors of Neuronpedia's export are requested and it is not on disk.
    LockedError
        If another process is writing this embedder's files.
    InvalidInputError
        If every explanation is a leak, or vectors are not finite although the
        embedder knows the words.
    """
    kept = _without_leaks(table, source.name) if leaks == "drop" else table
    n_leaks = len(table) - len(kept)
    path = embeddings_path(source.path, ref.name, embeddings_stem(table))
    with folder_lock(path.parent, source.root):
        remove_temporaries(path.parent)
        requested = _requested(source, table, ref, n_leaks)
        _check_same_model(path.parent, ref, requested["fingerprint"])
        if _is_current(path, requested, ref):
            remove_pieces(path.parent)  # an earlier run may have stopped before it did
            return EmbeddedSummary(source.name, ref.name, path, 0, 0, skipped=True, n_leaks=n_leaks)
        if ref.name == NEURONPEDIA and ref.path is None:
            return replace(_from_export(source, kept, path, requested), n_leaks=n_leaks)
        embedder = load()
        features, labels = _features(kept), kept.column("explanation").to_pylist()
        vectors = encode_texts(
            labels, embedder, path.parent, f"embedding {source.name}", batch_size
        )
        known = known_labels(source.name, features, labels, vectors, embedder)
        notes = _unknown(source.name, features, labels, known)
        made_by = {"fingerprint": embedder.fingerprint, "batch_size": batch_size}
        about = {**requested, **made_by, **embedder.facts}
        if notes:
            features, vectors = features[known], vectors[known]
        write_vectors(path, features, vectors, about, labels_by_feature(kept))
        remove_pieces(path.parent)
        return EmbeddedSummary(
            source.name,
            ref.name,
            path,
            len(vectors),
            len(known) - len(vectors),
            skipped=False,
            n_leaks=n_leaks,
            notes=notes,
        )


def _unknown(
    source: str, features: NDArray[np.uint32], labels: list[str], known: NDArray[np.bool_]
) -> tuple[Note, ...]:
    """Name the labels without a vector, if there are any."""
    if known.all():
        return ()
    left_out = np.flatnonzero(~known)
    return (unknown_note(source, features[left_out], [labels[i] for i in left_out]),)


def _without_leaks(table: "pa.Table", source: str) -> "pa.Table":
    import pyarrow as pa

    leaked = leaks_of(table)
    if all(leaked):
        raise InvalidInputError(
            f"{source}: every explanation is the explainer's reasoning or prompt",
            hint="choose others with $explainers and $types, or embed these with $leaks(keep)",
        )
    return table.filter(pa.array([not one for one in leaked])) if any(leaked) else table


def _from_export(
    source: SourceFolder,
    table: "pa.Table",
    path: Path,
    requested: Mapping[str, Any],
) -> EmbeddedSummary:
    export = cached_export(source.path)
    if export is None:
        raise MissingError(
            f"{source.name}: Neuronpedia's export is not on disk",
            hint=f"fetch it with $do_download({source.name})",
        )
    metadata = {**requested, "export_sha256": export.sha256}
    reader = record_reader(source, export)
    with read_export_vectors(export, reader, table, path.parent) as found:
        labels = labels_by_feature(table)
        write_vector_pieces(path, found.width, found.pieces(), metadata, labels)
    n_vectors = len(found.features)
    return EmbeddedSummary(
        source.name, NEURONPEDIA, path, n_vectors, found.n_missing, skipped=False
    )


def _requested(
    source: SourceFolder, table: "pa.Table", ref: EmbedderRef, n_leaks: int
) -> dict[str, Any]:
    """Return the metadata that an existing file must have to be the requested one."""
    found = kinds(table)
    type_, explainer = next(iter(found)) if len(found) == 1 else (MIXED, MIXED)
    return {
        "source": source.name,
        "embedder": ref.name,
        "revision": ref.revision,
        "fingerprint": ref.fingerprint,
        "type": type_,
        "explainer": explainer,
        "explanations_sha256": explanations_sha256(table),
        **({"leaks_left_out": n_leaks} if n_leaks else {}),
    }


def _check_same_model(folder: Path, ref: EmbedderRef, fingerprint: str | None) -> None:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        metadata = _metadata(path)
        if "imported" in metadata:
            raise SettingsMismatchError(
                f"{path} holds vectors that were imported from {metadata['imported']}",
                hint=f"import them under another $embedding_name, or remove {folder}",
            )
        if ref.path is not None and metadata.get("fingerprint") not in (None, fingerprint):
            raise SettingsMismatchError(
                f"{path} was made by another model than the one that is now in {ref.path}",
                hint=f"give this one another $embedding_name, or remove {folder}",
            )
        if ref.path is None and metadata and metadata.get("revision") != ref.revision:
            raise SettingsMismatchError(
                f"{path} was made by revision {metadata.get('revision') or '(the latest)'} of "
                f"{ref.name}, not {ref.revision or '(the latest)'}",
                hint=f"remove {folder} to change it",
            )


def _is_current(path: Path, requested: Mapping[str, Any], ref: EmbedderRef) -> bool:
    metadata = _metadata(path) if path.exists() else {}
    if metadata.get("leaks_left_out") != requested.get("leaks_left_out"):
        return False
    if not ref.prompt.is_that_of(ref.target, metadata):
        return False
    # A hub model's commit is known only once it is loaded; its revision is compared instead.
    by_name = requested["fingerprint"] is None or requested["revision"] is not None
    keys = [key for key in requested if not (by_name and key == "fingerprint")]
    return bool(metadata) and all(metadata.get(key) == requested[key] for key in keys)


def _metadata(path: Path) -> dict[str, Any]:
    """Return an embeddings file's metadata; empty if it is damaged and must be made again."""
    try:
        return read_vectors_metadata(path)
    except ArtifactError:
        return {}


def _features(table: "pa.Table") -> NDArray[np.uint32]:
    features: NDArray[np.uint32] = to_numpy(table.column("feature"))
    return features
