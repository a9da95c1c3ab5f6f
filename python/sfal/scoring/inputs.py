"""What `sfal score` reads: counts from occurrences or a histogram, and embeddings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import (
    ArtifactError,
    CorruptError,
    InvalidInputError,
    MissingError,
    Note,
    SfalError,
)
from sfal.explanations.label_audit import leak_reason
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.store.explanations import TOP_TOKENS
from sfal.store.layout import EXPLANATIONS
from sfal.store.manifest import Manifest, has_manifest
from sfal.store.published.histogram import inspect_histogram
from sfal.store.published.layout import SUFFIX as PICKLED
from sfal.store.published.layout import explainer_of, find_histograms

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences
    from sfal.store.embeddings import Vectors


@dataclass(frozen=True)
class CountsInput:
    """Counts of one source, not yet read."""

    n_features: int
    """Width of the SAE."""
    path: Path
    """Folder of the run, or the histogram."""
    label: Callable[[int], str] = field(repr=False)
    """Describes what was read, for the summary, given the number of windows."""
    load_all: "Callable[[], tuple[Occurrences | Histogram, NDArray[np.uint64] | None]]" = field(
        repr=False
    )
    """Reads it, and the document of each window, None if that is unknown."""

    def load(self) -> "Occurrences | Histogram":
        """Read the counts alone."""
        return self.load_all()[0]


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of one source, a row for every feature."""

    matrix: NDArray[np.float32]
    """Shape (F, D); zero where a feature has no explanation."""
    explained: NDArray[np.bool_]
    """Shape (F,)."""
    explanations: dict[int, str]
    """Plain text of the explanations that were found."""
    explainer: str
    """Who explained: a model's name, or ``mixed``."""
    notes: tuple[Note, ...] = ()
    """What is odd about them, although they can be used."""


def open_counts(folder: Path, n_windows: int | None = None) -> CountsInput:
    """Find the counts in the folder of a run: occurrences first, then a histogram.

    Parameters
    ----------
    folder : Path
        Folder of a source, ours or published, or of a further run.
    n_windows : int, optional
        Number of windows, for a histogram that does not state it.

    Raises
    ------
    MissingError
        If there are no counts yet.
    ArtifactError
        If there are two histograms, or the counts cannot be read.
    """
    if has_manifest(folder):
        manifest = Manifest.load(folder)
        if manifest.n_windows:
            return _occurrences(folder, manifest)
    histograms = find_histograms(folder)
    if not histograms:
        raise MissingError(f"{folder} has no counts yet", hint="$do_count makes them")
    if len(histograms) > 1:
        raise ArtifactError(
            f"{folder} holds {len(histograms)} histograms, "
            f"{' and '.join(p.name for p in histograms)}",
            hint="leave only one of them there",
        )
    return _histogram(histograms[0], n_windows)


def _occurrences(folder: Path, manifest: Manifest) -> CountsInput:
    from sfal.store.occurrences import read_occurrences_and_documents

    suffix = "" if manifest.complete else ", not yet complete"
    # The run may continue while it is scored: what is there at reading counts.
    return CountsInput(
        n_features=manifest.n_features,
        path=folder,
        label=lambda n: f"occurrences of {n:,} windows{suffix}",
        load_all=lambda: read_occurrences_and_documents(folder),
    )


def _histogram(path: Path, n_windows: int | None) -> CountsInput:
    file = inspect_histogram(path, n_windows)

    def load() -> "tuple[Histogram, None]":
        from sfal._core import Histogram

        try:
            # Ranking checks the counts, on all threads; while it waits, the embeddings are read.
            return Histogram.from_counts(file.load(), file.n_windows, deferred=True), None
        except InvalidInputError as e:
            raise CorruptError(f"{path}: {e.message}", hint=e.hint) from e

    return CountsInput(
        n_features=file.n_features,
        path=path,
        label=lambda n: f"{path.name} ({n:,} windows)",
        load_all=load,
    )


def read_embeddings(
    source: SourceInput, file: EmbeddingsFile, n_features: int, leaks: str = "drop"
) -> Embeddings:
    """Read embeddings, ours or published, and check that they belong to the source.

    Both are read as :class:`sfal.store.embeddings.Vectors`: published pickles are
    converted in memory (:mod:`sfal.store.published.embeddings` says why not on disk).

    Parameters
    ----------
    source : SourceInput
        The source, whose folder has the explanations.
    file : EmbeddingsFile
        One of its sets of embeddings.
    n_features : int
        Width of the SAE, from the counts.
    leaks : str
        ``drop`` or ``keep`` labels that are the explainer's reasoning or prompt.

    Raises
    ------
    ArtifactError
        If the file is damaged, belongs to another source, or explains features
        that the SAE does not have.
    """
    notes: list[Note] = []
    if file.path.name.endswith(PICKLED):
        from sfal.store.published.embeddings import read_pickled_embeddings

        vectors, explanations = read_pickled_embeddings(file.path, file.stem)
    else:
        from sfal.store.embeddings import read_vectors

        vectors = read_vectors(file.path)
        sha256 = vectors.metadata.get("explanations_sha256")
        explanations = _explanations(source.folder, file, sha256, notes)
    _check_source(file.path, vectors.metadata.get("source"), source.name)
    matrix = _matrix(file.path, vectors, n_features)
    if leaks == "drop" and not file.stem.startswith(f"{TOP_TOKENS}_"):
        _drop_leaks(matrix, explanations, source.name, notes)
    # A zero vector says nothing about its feature, whoever wrote it.
    explained: NDArray[np.bool_] = np.any(matrix, axis=1)
    explainer = str(vectors.metadata.get("explainer") or explainer_of(file.stem))
    return Embeddings(matrix, explained, explanations, explainer, tuple(notes))


def _drop_leaks(
    matrix: NDArray[np.float32], explanations: dict[int, str], source: str, notes: list[Note]
) -> None:
    """Set the vectors of leaked labels to zero, so that their features are unexplained."""
    leaked = [f for f, t in explanations.items() if f < len(matrix) and leak_reason(t) is not None]
    if leaked:
        matrix[leaked] = 0.0
        notes.append(
            Note(
                f"{source}: {len(leaked):,} labels are the explainer's reasoning or prompt, so "
                "that their features count as unexplained",
                hint="score them all the same with $leaks(keep)",
            )
        )


def _matrix(path: Path, vectors: "Vectors", n_features: int) -> NDArray[np.float32]:
    """Return a row for every feature; without a copy where all are explained."""
    features = vectors.features
    if len(features) and int(features[-1]) >= n_features:
        raise ArtifactError(
            f"{path} explains feature {features[-1]}, the counts have {n_features} features; "
            "they are of different SAEs"
        )
    if len(features) == n_features:  # ascending and below n_features, so each feature in its row
        return vectors.vectors
    matrix = np.zeros((n_features, vectors.vectors.shape[1]), dtype=np.float32)
    matrix[features] = vectors.vectors
    return matrix


def _check_source(path: Path, made_for: object, source_name: str) -> None:
    """Compare ``model/source`` or, in published records, ``source`` alone."""
    if not isinstance(made_for, str):
        return
    own = source_name if "/" in made_for else source_name.split("/")[-1]
    if made_for != own:
        raise ArtifactError(
            f"{path} holds explanations of another source, {made_for}, not of {source_name}",
            hint=f"put it into that source's folder, or $do_embed({source_name}) makes its own",
        )


def _explanations(
    folder: Path, file: EmbeddingsFile, sha256: object, notes: list[Note]
) -> dict[int, str]:
    """Return the explanations that were embedded.

    They are those of the source, unless it has got others in the meantime, such as a second
    explainer's: then those that are kept beside the vectors. A file that lacks them has no texts
    then, rather than those of the second explainer.
    """
    from sfal.store.embeddings import read_embedded_labels
    from sfal.store.explanations import (
        embeddings_stem,
        explanations_sha256,
        labels_by_feature,
        read_explanations,
    )

    if not (folder / EXPLANATIONS).exists():
        return read_embedded_labels(file.path) or {}
    try:
        table = read_explanations(folder)
    except SfalError as e:
        labels = read_embedded_labels(file.path)
        if labels is None:
            notes.append(Note(f"scored without the texts of the explanations: {e.message}", e.hint))
        return labels or {}
    if sha256 is None or sha256 == explanations_sha256(table):
        return labels_by_feature(table)
    labels = read_embedded_labels(file.path)
    if embeddings_stem(table) == file.stem:
        notes.append(
            Note(
                f"{file.path} was made from other explanations than those now in {folder}",
                hint="$do_embed brings it up to date",
            )
        )
        return labels_by_feature(table) if labels is None else labels
    if labels is None:
        notes.append(
            Note(
                f"scored without the texts of the explanations: {file.path} does not hold them, and "
                f"those now in {folder} are of another explainer or type",
                hint="get the former explanations again and embed them, or remove the file",
            )
        )
    return labels or {}
