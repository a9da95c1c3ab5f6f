"""Occurrences of a whole run, read from its parts."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfal.errors import ArtifactError, CorruptError, InvalidInputError, MissingError
from sfal.store.folders import find_source_folders
from sfal.store.manifest import Manifest, has_manifest, occurrences_dir
from sfal.store.parts import iterate_parts

if TYPE_CHECKING:
    from sfal._core import Occurrences


def read_occurrences(folder: str | Path, manifest: Manifest | None = None) -> "Occurrences":
    """Read the occurrences of a run, bit-packed.

    Only parts that the manifest names are read: of a run that is still going
    on, those that it had written when the reading began.

    Parameters
    ----------
    folder : str or Path
        The run's folder: a source's, such as
        ``sfal-data/gemma-2-2b/0-gemmascope-res-16k``, or one in its ``runs/``.
    manifest : Manifest, optional
        Its manifest, if it has been read already.

    Returns
    -------
    occurrences : Occurrences
        Windows in the order of the corpus.

    Raises
    ------
    ArtifactError
        If the manifest or a part is missing or damaged.
    """
    return read_occurrences_and_documents(folder, manifest)[0]


def read_occurrences_and_documents(
    folder: str | Path, manifest: Manifest | None = None
) -> "tuple[Occurrences, NDArray[np.uint64]]":
    """Read the occurrences of a run, and the document that each window comes from.

    Parameters
    ----------
    folder, manifest
        As for :func:`read_occurrences`.

    Returns
    -------
    occurrences : Occurrences
        Windows in the order of the corpus.
    documents : ndarray of shape (n_windows,), uint64
        Ordinal in the corpus of each window's document.

    Raises
    ------
    ArtifactError
        If the manifest or a part is missing or damaged.
    """
    folder = Path(folder)
    if manifest is None and not has_manifest(folder):
        _refuse_tree(folder)
    read = manifest or Manifest.load(folder)
    while True:
        try:
            return _read(folder, read)
        except ArtifactError:
            # A running stage replaces its last part by a longer one: read what it has now.
            latest = read if manifest else Manifest.load(folder)
            if latest.parts == read.parts:
                raise
            read = latest


def _refuse_tree(folder: Path) -> None:
    """Refuse a data tree that was given instead of a source, and name a source in it."""
    first = next(find_source_folders(folder), None)
    if first is not None:
        raise MissingError(
            f"{folder} is a folder of sources, not the folder of one source",
            hint=f"give one of its sources, such as {first}",
        )


def _read(folder: Path, manifest: Manifest) -> "tuple[Occurrences, NDArray[np.uint64]]":
    from sfal._core import Occurrences

    occurrences = Occurrences(manifest.n_features)
    documents = [np.zeros(0, np.uint64)]
    for part, windows in zip(manifest.parts, iterate_parts(folder, manifest), strict=True):
        try:
            occurrences.extend(windows.indptr, windows.indices)
        except InvalidInputError as e:
            path = occurrences_dir(folder) / part.file
            raise CorruptError(f"{path}: {e.message}", hint=e.hint) from e
        documents.append(windows.documents)
    return occurrences, np.concatenate(documents)
