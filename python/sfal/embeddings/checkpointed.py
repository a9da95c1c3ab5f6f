"""Encoding many texts so that it can be stopped at any moment and gone on with.

Equal texts are encoded once, the longest first, in pieces of fixed
composition. Each piece is written down when it is done; the same texts and
model find it again, so a run that was killed gives the same bits as one that
was not.
"""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfal.embeddings.embedders import Embedder, facts_sha256
from sfal.errors import ArtifactError
from sfal.io.atomic import atomic_path
from sfal.terminal.progress import progress

PIECE_BATCHES = 16
"""Batches in a piece."""

_FOLDER = ".pieces-"


def encode_texts(
    texts: Sequence[str], embedder: Embedder, folder: Path, desc: str, batch_size: int = 32
) -> NDArray[np.float32]:
    """Vectors of texts, in their order.

    Parameters
    ----------
    texts : sequence of str
        In any order, repeats allowed: neither changes a vector.
    embedder : Embedder
        The model.
    folder : Path
        Where pieces are kept until the caller removes them with
        :func:`remove_pieces`.
    desc : str
        What the progress bar says.
    batch_size : int
        Texts in a batch.

    Returns
    -------
    vectors : ndarray of shape (n, D), float32

    Raises
    ------
    ArtifactError
        If the model gives another number of vectors than it was given texts.
    """
    # Length first, so that a batch needs little padding; then the text, so that the order in
    # which features come changes nothing.
    unique = sorted(set(texts), key=lambda text: (-len(text), text))
    size = PIECE_BATCHES * batch_size
    key = facts_sha256(embedder.fingerprint, embedder.facts, batch_size, unique)[:16]
    pieces: list[NDArray[np.float32]] = []
    with progress(len(unique), desc, "text") as bar:
        for start in range(0, len(unique), size):
            part = unique[start : start + size]
            path = folder / f"{_FOLDER}{key}" / f"{start // size:06d}.npy"
            vectors = _stored(path, len(part))
            if vectors is None:
                vectors = embedder.encode(part)
                if vectors.ndim != 2 or len(vectors) != len(part):
                    raise ArtifactError(
                        f"the embedding model gave an array of shape {vectors.shape} "
                        f"for {len(part)} texts"
                    )
                # Not straight to the file: numpy keeps to itself that a disk is full.
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
    """Remove what :func:`encode_texts` kept, of this run and of older ones."""
    for path in folder.glob(f"{_FOLDER}*"):
        shutil.rmtree(path, ignore_errors=True)


def _stored(path: Path, n_texts: int) -> NDArray[np.float32] | None:
    """A piece written before, or None if there is none that is whole."""
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    usable = vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == n_texts
    return vectors if usable else None
