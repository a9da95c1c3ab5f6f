"""Encoding of many texts with checkpoints, so that it can stop at any moment and continue.

Equal texts are encoded once, the longest first, in pieces of fixed
composition. Each piece is stored as soon as it is encoded, and the same texts
and model find it again, so a run that was killed and repeated gives the same
bits as one that was not.
"""

import io
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfal.embeddings.digests import facts_sha256
from sfal.embeddings.embedders import Embedder
from sfal.embeddings.spread import encode_each
from sfal.errors import ArtifactError
from sfal.io.atomic import atomic_path
from sfal.terminal.progress import progress

PIECE_BATCHES = 16
"""Batches per piece."""

_FOLDER = ".pieces-"


def encode_texts(
    texts: Sequence[str], embedder: Embedder, folder: Path, desc: str, batch_size: int = 32
) -> NDArray[np.float32]:
    """Return the vectors of texts, in their order.

    Parameters
    ----------
    texts : sequence of str
        Texts in any order, repeats allowed; neither changes a vector.
    embedder : Embedder
        The model.
    folder : Path
        Folder in which pieces are kept until the caller removes them with
        :func:`remove_pieces`.
    desc : str
        Text beside the progress bar.
    batch_size : int
        Texts per batch.

    Returns
    -------
    vectors : ndarray of shape (n, D), float32
        One row per text.

    Raises
    ------
    ArtifactError
        If the model does not return one vector per text.
    """
    # By length first, so that a batch needs little padding; then by text, so that the order of
    # the features changes nothing.
    unique = sorted(set(texts), key=lambda text: (-len(text), text))
    size = PIECE_BATCHES * batch_size
    key = facts_sha256(embedder.fingerprint, embedder.facts, batch_size, unique)[:16]
    pieces: list[NDArray[np.float32]] = []
    parts = [unique[start : start + size] for start in range(0, len(unique), size)]
    paths = [folder / f"{_FOLDER}{key}" / f"{number:06d}.npy" for number in range(len(parts))]
    stored = [_stored(path, len(part)) for part, path in zip(parts, paths, strict=True)]
    missing = [part for part, found in zip(parts, stored, strict=True) if found is None]
    with (
        progress(len(unique), desc, "text") as bar,
        closing(encode_each(embedder, missing)) as encoded,
    ):
        for part, path, vectors in zip(parts, paths, stored, strict=True):
            if vectors is None:
                vectors = next(encoded)
                if vectors.ndim != 2 or len(vectors) != len(part):
                    raise ArtifactError(
                        f"the embedding model returned an array of shape {vectors.shape} "
                        f"for {len(part)} texts"
                    )
                # Not straight into the file: numpy does not report that a disk is full.
                content = io.BytesIO()
                np.save(content, vectors, allow_pickle=False)
                with atomic_path(path) as temporary:
                    temporary.write_bytes(content.getbuffer())
            pieces.append(vectors)
            bar.update(len(part))
    row_of = {text: row for row, text in enumerate(unique)}
    rows = np.fromiter((row_of[text] for text in texts), dtype=np.int64, count=len(texts))
    return np.concatenate(pieces)[rows]


def remove_pieces(folder: Path) -> None:
    """Remove the pieces that :func:`encode_texts` kept, in this run and in earlier ones."""
    for path in folder.glob(f"{_FOLDER}*"):
        shutil.rmtree(path, ignore_errors=True)


def _stored(path: Path, n_texts: int) -> NDArray[np.float32] | None:
    """Return a piece stored by an earlier run, or None if there is no complete one."""
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    usable = vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == n_texts
    return vectors if usable else None
