"""Word vectors from the training text, as a sentence-transformers folder.

Positive pointwise mutual information of words that occur near each other,
factored by a truncated SVD: what counts can tell about meaning, in a few
hundred kilobytes, without any downloaded or pretrained model.

References
----------
.. [1] Levy, Goldberg, Dagan, "Improving Distributional Similarity with Lessons
   Learned from Word Embeddings", TACL 2015: context smoothing, weighting of
   singular values.
.. [2] Arora, Liang, Ma, "A Simple but Tough-to-Beat Baseline for Sentence
   Embeddings", ICLR 2017: frequent words get less weight in a mean.
"""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tools.demo.tokenizer import WORDS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class EmbedderSettings:
    """Size of the vocabulary and of the vectors, and how words are counted."""

    vocab_size: int = 10_000
    dimensions: int = 64
    reach: int = 12
    """Words to each side that count as near; a pair at distance d has weight 1/d."""
    smoothing: float = 0.75
    """Exponent of context counts."""
    singular_power: float = 0.5
    frequency_pivot: float = 1e-3
    """A word with relative frequency p has weight pivot / (pivot + p) in a mean."""
    seed: int = 20262


def train_embedder(texts: list[str], settings: EmbedderSettings) -> tuple["Tokenizer", Floats]:
    """Learn a tokenizer and vectors of shape (vocab_size, dimensions) from text."""
    tokenizer = _train_tokenizer(texts, settings.vocab_size)
    documents = [np.array(e.ids, dtype=np.int64) for e in tokenizer.encode_batch(texts)]
    pairs = _count_pairs(documents, settings)
    frequency = np.bincount(np.concatenate(documents), minlength=settings.vocab_size)
    vectors = _factor(pairs, settings)
    share = frequency / frequency.sum()
    vectors *= (settings.frequency_pivot / (settings.frequency_pivot + share))[:, None]
    # A token that is too rare for a reliable vector gets none.
    vectors[frequency < 5] = 0
    return tokenizer, vectors.astype(np.float32)


def _train_tokenizer(texts: list[str], vocab_size: int) -> "Tokenizer":
    """Train a lower-case BPE: most words are whole, rare ones in pieces."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        limit_alphabet=160,
        min_frequency=3,
        show_progress=False,
        special_tokens=["<unk>"],
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _count_pairs(documents: list[Any], settings: EmbedderSettings) -> Any:
    """Return the sparse symmetric (vocab, vocab) matrix of weighted pairs within reach."""
    from scipy import sparse

    size = settings.vocab_size
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    for chunk in _chunks(documents, 4_000):
        # A gap as wide as the reach separates documents.
        gap = np.full(settings.reach, -1, dtype=np.int64)
        stream = np.concatenate([part for document in chunk for part in (document, gap)])
        for distance in range(1, settings.reach + 1):
            left, right = stream[:-distance], stream[distance:]
            both = (left >= 0) & (right >= 0)
            weight = np.full(int(both.sum()), 1 / distance, dtype=np.float32)
            total += sparse.csr_matrix((weight, (left[both], right[both])), shape=(size, size))
    return total + total.T


def _chunks(documents: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(documents), size):
        yield documents[start : start + size]


def _factor(pairs: Any, settings: EmbedderSettings) -> Floats:
    """Return the weighted singular vectors of the positive PMI, with the mean subtracted."""
    from scipy.sparse.linalg import svds

    rows = np.asarray(pairs.sum(axis=1)).ravel() + 1e-9
    context = rows**settings.smoothing
    table = pairs.tocoo()
    expected = rows[table.row] * context[table.col] / context.sum()
    table.data = np.maximum(np.log(table.data / expected), 0).astype(np.float32)
    start = np.random.default_rng(settings.seed).standard_normal(settings.vocab_size)
    left, singular, _ = svds(table.tocsr(), k=settings.dimensions, v0=start.astype(np.float32))
    vectors: Floats = left * singular**settings.singular_power
    centred: Floats = vectors - vectors.mean(axis=0)
    return centred


def save_embedder(tokenizer: "Tokenizer", vectors: Floats, folder: Path) -> None:
    """Write a folder that `SentenceTransformer(folder)` loads, with vectors in float16."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    stored = np.ascontiguousarray(vectors)
    embedding = StaticEmbedding(tokenizer, embedding_weights=stored)
    model = SentenceTransformer(modules=[embedding, Normalize()], device="cpu")
    model.to(torch.float16)
    shutil.rmtree(folder, ignore_errors=True)
    model.save(str(folder), create_model_card=False)
