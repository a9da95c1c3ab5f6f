"""Vectors of texts in memory."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from sfal.embeddings.checkpointed import encode_texts
from sfal.embeddings.embedders import DEFAULT_EMBEDDER, SentenceEmbedder, resolve_embedder
from sfal.embeddings.prompts import PromptChoice
from sfal.embeddings.unknown_words import known_labels
from sfal.errors import InvalidInputError


def embed_texts(
    texts: Sequence[str | None],
    model: str = DEFAULT_EMBEDDER,
    *,
    device: str = "auto",
    batch_size: int = 32,
    trust_remote_code: bool = False,
    prompt: str | None = None,
) -> NDArray[np.float32]:
    """Embed explanations, one vector each.

    Parameters
    ----------
    texts : sequence of str or None
        Explanation of each feature; None or an empty text if it has none.
    model : str
        Hub id, or the path of a folder that holds a sentence-transformers model.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` …
    batch_size : int
        Texts per batch.
    trust_remote_code : bool
        Whether code that comes with the model may run.
    prompt : str, optional
        Words before each text, empty for none; default: what the model's
        authors advise for symmetric tasks, if anything.

    Returns
    -------
    embeddings : ndarray of shape (len(texts), D), float32
        As :func:`sfal.score_features` takes them: not normalised, and zero for an
        empty text and for one of which the model knows no word. A vector depends
        neither on the order of the texts nor on repetitions.

    Raises
    ------
    InvalidInputError
        If all texts are empty, the folder does not exist, or vectors are not finite
        although the model knows the words.
    DownloadError
        If the model cannot be downloaded.
    ArtifactError
        If the model cannot be loaded.

    Examples
    --------
    With the word vectors that the package includes for its demo; the default is a
    language model.

    >>> from sfal.demo import DATA
    >>> vectors = embed_texts(["a city", None, "a town", "an opera"], str(DATA / "embedder"))
    >>> vectors.shape
    (4, 64)
    >>> bool(vectors[0] @ vectors[2] > vectors[0] @ vectors[3])
    True
    """
    rows = [i for i, text in enumerate(texts) if text]
    if not rows:
        raise InvalidInputError("texts is empty, or all of its texts are")
    ref = resolve_embedder(model, trust_remote_code=trust_remote_code, prompt=PromptChoice(prompt))
    embedder = SentenceEmbedder(ref, device, batch_size)
    with TemporaryDirectory(prefix="sfal-") as folder:
        given = [text for text in texts if text]
        found = encode_texts(given, embedder, Path(folder), "embedding", batch_size)
        features = np.array(rows, dtype=np.uint32)
        known = known_labels("texts", features, given, found, embedder)
    embeddings = np.zeros((len(texts), found.shape[1]), dtype=np.float32)
    embeddings[features[known]] = found[known]
    return embeddings
