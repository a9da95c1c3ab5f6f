"""What `sfal score` reads: counts from occurrences or a histogram, and embeddings."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError, InvalidInputError, SfalError
from sfal.store.layout import EXPLANATIONS
from sfal.store.manifest import Manifest, has_manifest
from sfal.store.published.histogram import inspect_histogram
from sfal.store.published.layout import SUFFIX as PICKLED
from sfal.store.published.layout import (
    explainer_of,
    find_histograms,
    read_pickled_embeddings,
    wrong_width,
)

if TYPE_CHECKING:
    from sfal._core import Histogram, Occurrences

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CountsInput:
    """Counts of one source, not yet read."""

    n_features: int
    """Width of the SAE."""
    path: Path
    """Folder of the run, or the histogram."""
    label: Callable[[int], str] = field(repr=False)
    """What is read, for the summary, given the number of windows that were."""
    load: "Callable[[], Occurrences | Histogram]" = field(repr=False)
    """Read it."""


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of one source, a row for every feature."""

    matrix: NDArray[np.float32]
    """Shape (F, D); zero where a feature has no explanation."""
    explained: NDArray[np.bool_]
    """Shape (F,)."""
    explanations: dict[int, str]
    """Plain text of the explanations that are at hand."""
    explainer: str
    """Who explained: a model's name, or ``mixed``."""


def open_counts(folder: Path, n_windows: int | None = None) -> CountsInput:
    """Find the counts in the folder of a run: occurrences first, then a histogram.

    Parameters
    ----------
    folder : Path
        Folder of a source, ours or published, or of a further run.
    n_windows : int, optional
        Number of windows, for a histogram that does not say.

    Raises
    ------
    ArtifactError
        If there are no counts yet, or two histograms, or what there is cannot be read.
    """
    if has_manifest(folder):
        manifest = Manifest.load(folder)
        if manifest.n_windows:
            return _occurrences(folder, manifest)
    histograms = find_histograms(folder)
    if not histograms:
        raise ArtifactError(f"{folder} has no counts yet; `sfal cooc` makes them")
    if len(histograms) > 1:
        raise ArtifactError(
            f"{folder} holds {len(histograms)} histograms, {' and '.join(p.name for p in histograms)}"
            "; leave one of them there"
        )
    return _histogram(histograms[0], n_windows)


def _occurrences(folder: Path, manifest: Manifest) -> CountsInput:
    from sfal.store.occurrences import read_occurrences

    suffix = "" if manifest.complete else ", not yet complete"
    # The run may go on while it is read: what counts is what is there then.
    return CountsInput(
        n_features=manifest.n_features,
        path=folder,
        label=lambda n: f"occurrences of {n:,} windows{suffix}",
        load=lambda: read_occurrences(folder),
    )


def _histogram(path: Path, n_windows: int | None) -> CountsInput:
    file = inspect_histogram(path, n_windows)

    def load() -> "Histogram":
        from sfal._core import Histogram

        try:
            # Ranking checks the counts as it reads them, which a pass of its own would do slower.
            return Histogram.from_counts(file.load(), file.n_windows, deferred=True)
        except InvalidInputError as e:
            raise ArtifactError(f"{path}: {e}") from e

    return CountsInput(
        n_features=file.n_features,
        path=path,
        label=lambda n: f"{path.name} ({n:,} windows)",
        load=load,
    )


def read_embeddings(
    path: Path, stem: str, source_name: str, folder: Path, n_features: int
) -> Embeddings:
    """Read embeddings, ours or published, and check that they belong to the source.

    Parameters
    ----------
    path : Path
        The file.
    stem : str
        ``{type}_{explainer}``, from its name.
    source_name : str
        Name of the source, such as ``gemma-2-2b/0-gemmascope-res-16k``.
    folder : Path
        Its folder, where its explanations are.
    n_features : int
        Width of the SAE, from the counts.

    Raises
    ------
    ArtifactError
        If the file is damaged, of another source, or explains features that the SAE has not.
    """
    if path.name.endswith(PICKLED):
        published = read_pickled_embeddings(path, n_features)
        _check_source(path, published.source_ids, source_name)
        matrix, texts = published.vectors, published.explanations
        explainer = explainer_of(stem)
    else:
        matrix, texts, explainer = _our_embeddings(path, stem, source_name, folder, n_features)
    # A zero vector says nothing about its feature, whoever wrote it.
    explained: NDArray[np.bool_] = np.any(matrix, axis=1)
    return Embeddings(matrix, explained, texts, explainer)


def _our_embeddings(
    path: Path, stem: str, source_name: str, folder: Path, n_features: int
) -> tuple[NDArray[np.float32], dict[int, str], str]:
    from sfal.store.embeddings import read_vectors

    features, vectors, metadata = read_vectors(path)
    made_for = metadata.get("source")
    _check_source(path, frozenset([made_for] if isinstance(made_for, str) else []), source_name)
    if len(features) and int(features[-1]) >= n_features:
        raise ArtifactError(wrong_width(path, int(features[-1]), n_features))
    matrix = np.zeros((n_features, vectors.shape[1]), dtype=np.float32)
    matrix[features] = vectors
    texts = _explanations(folder, path, metadata.get("explanations_sha256"))
    return matrix, texts, str(metadata.get("explainer") or explainer_of(stem))


def _check_source(path: Path, made_for: frozenset[str], source_name: str) -> None:
    """Compare ``model/source`` or, in published records, ``source`` alone."""
    own = source_name.split("/")
    other = sorted(name for name in made_for if name.split("/")[-1] != own[-1])
    other += sorted(name for name in made_for if "/" in name and name != source_name)
    if other:
        raise ArtifactError(
            f"{path} holds explanations of another source, {other[0]}, not of {source_name}; "
            f"put it into that source's folder, or make its own with `sfal embeddings`"
        )


def _explanations(folder: Path, path: Path, sha256: object) -> dict[int, str]:
    """Texts from the source's explanations, if the embeddings were made from these."""
    from sfal.store.explanations import explanations_sha256, read_explanations

    if not (folder / EXPLANATIONS).exists():
        return {}
    try:
        table = read_explanations(folder)
    except SfalError as e:
        _log.warning("%s; scoring goes on without the texts", e)
        return {}
    if sha256 is not None and sha256 != explanations_sha256(table):
        _log.warning(
            "%s was made from other explanations than those in its folder now; "
            "`sfal embeddings embed` brings it up to date",
            path,
        )
    features = table.column("feature").to_pylist()
    return dict(zip(features, table.column("explanation").to_pylist(), strict=True))
