"""Plot time against the number of features, for SFAL and its peers.

    python benches/picture.py benches/width.svg

Neighbours and NDCG from occurrences and vectors, as `sfal score` computes them, against the
published method on the same numbers (`benches/score_published.py`) with scipy's sparse product for
the counts and torch.topk for the lists. Both sides use all threads; the curve of a peer ends where
it would need more than PEER_BYTES or PEER_SECONDS.
"""

import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

from sfal import _core

WINDOWS, DENSITY, DIM = 20_000, 0.02, 256
SIZES = [1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072]
PEER_BYTES, PEER_SECONDS = 6e9, 60


def case(n_features):
    """Draw occurrences, the same as CSR batches, and vectors."""
    rng = np.random.default_rng(n_features)
    counted, pieces = _core.Occurrences(n_features), []
    for start in range(0, WINDOWS, 500):
        n = min(500, WINDOWS - start)
        draws = [
            np.unique(rng.integers(0, n_features, int(n_features * DENSITY))) for _ in range(n)
        ]
        indptr = np.cumsum([0, *map(len, draws)], dtype=np.int64)
        indices = np.concatenate(draws).astype(np.uint32)
        counted.extend(indptr, indices)
        pieces.append((indptr, indices))
    vectors = rng.standard_normal((n_features, DIM), dtype=np.float32)
    return counted, pieces, vectors


def ours(counted, vectors):
    """Compute neighbour lists and scores from bits and vectors."""
    functional, _ = _core.functional_neighbours(counted)
    semantic, _ = _core.semantic_neighbours(vectors)
    return functional, _core.ndcg(functional, semantic)


def dense(pieces, vectors):
    """Compute the same with features x features arrays: scipy counts, torch ranks, a loop scores."""
    n_features, top_n = len(vectors), min(1_023, len(vectors) - 1)
    lengths = np.concatenate([np.diff(p) for p, _ in pieces])
    indptr = np.concatenate([[0], lengths.cumsum()])
    indices = np.concatenate([i for _, i in pieces])
    ones = np.ones(len(indices), np.int32)
    x = scipy.sparse.csr_array((ones, indices, indptr), shape=(len(lengths), n_features))
    counts = torch.from_numpy((x.T @ x).toarray().astype(np.float32))
    fires = counts.diagonal().clone()
    spread = fires * (WINDOWS - fires)
    phi = (WINDOWS * counts - fires[:, None] * fires) / (spread[:, None] * spread).sqrt()
    phi.fill_diagonal_(-torch.inf)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = torch.from_numpy(unit @ unit.T).fill_diagonal_(-torch.inf)
    functional = torch.topk(phi, top_n).indices.numpy()
    semantic = torch.topk(cosine, top_n).indices.numpy()
    gains = 1.1 ** (1_023 - np.arange(top_n)) - 1
    discounts = 1 / np.log2(np.arange(top_n) + 2)
    scores = np.empty(n_features)
    gain_of = np.zeros(n_features)
    for row in range(n_features):
        gain_of[semantic[row]] = gains
        scores[row] = gain_of[functional[row]] @ discounts / (gains @ discounts)
        gain_of[semantic[row]] = 0
    return scores


def main(path):
    """Measure, check that both sides agree, and draw the figure."""
    import matplotlib.pyplot as plt

    found, peer = {}, {}
    for n_features in SIZES:
        counted, pieces, vectors = case(n_features)
        start = time.perf_counter()
        _, scores = ours(counted, vectors)
        found[n_features] = time.perf_counter() - start
        expected = max(peer.values(), default=0) * 5
        if 16 * n_features**2 < PEER_BYTES and expected < PEER_SECONDS:
            start = time.perf_counter()
            theirs = dense(pieces, vectors)
            peer[n_features] = time.perf_counter() - start
            # A float32 phi swaps neighbours that are nearly tied.
            if np.median(np.abs(scores - theirs)) > 1e-3:
                raise SystemExit(f"the scores of {n_features} features differ")
        print(n_features, f"{found[n_features]:.2f}", peer.get(n_features), flush=True)
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    axes.loglog(list(found), list(found.values()), "o-", label="sfal")
    axes.loglog(list(peer), list(peer.values()), "s--", label="scipy X.T @ X, torch.topk, numpy")
    axes.set_xticks(SIZES, [f"{n:,}" for n in SIZES], rotation=30)
    axes.minorticks_off()
    axes.set_xlabel("features")
    axes.set_ylabel("seconds, bits and vectors to scores")
    axes.set_title(f"{WINDOWS:,} windows, {DENSITY:.0%} of the features each, D = {DIM}")
    axes.grid(alpha=0.3)
    axes.legend()
    plt.rcParams["svg.hashsalt"] = "sfal"
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
