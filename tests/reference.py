"""The definitions in plain loops: slow, obvious, and what every kernel must equal."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

Windows = Sequence[Iterable[int]]  # the features that occur in each window


def to_csr(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return windows as (indptr int64, indices uint32)."""
    indptr, indices = [0], []
    for window in windows:
        indices.extend(sorted(set(window)))
        indptr.append(len(indices))
    return np.array(indptr, dtype=np.int64), np.array(indices, dtype=np.uint32)


def histogram(windows: Windows, n_features: int) -> np.ndarray:
    """Count c_ij, the windows in which both i and j occur."""
    counts = np.zeros((n_features, n_features), dtype=np.uint32)
    for window in windows:
        for i in set(window):
            for j in set(window):
                counts[i, j] += 1
    return counts


def coarsen(windows: Windows, starts: Sequence[int]) -> list[set[int]]:
    """Join the windows of each run."""
    ends = [*starts[1:], len(windows)]
    return [set().union(*map(set, windows[a:b])) for a, b in zip(starts, ends, strict=True)]


def phi(counts: np.ndarray, n: int) -> np.ndarray:
    """Return the correlation of the indicators: integer numerator, float64 factors, clipped to [-1, 1]."""
    out = np.zeros(counts.shape)
    for i in range(len(counts)):
        for j in range(len(counts)):
            c_i, c_j, c_ij = int(counts[i, i]), int(counts[j, j]), int(counts[i, j])
            spread = float(c_i * (n - c_i)) * float(c_j * (n - c_j))
            if spread:
                out[i, j] = max(-1.0, min(1.0, (n * c_ij - c_i * c_j) / math.sqrt(spread)))
    return out


def cosine(embeddings: np.ndarray) -> np.ndarray:
    """Return the cosine in float64; 0 with the zero vector."""
    out = np.zeros((len(embeddings), len(embeddings)))
    vectors = embeddings.astype(np.float64)
    norms = [math.sqrt(sum(x * x for x in v)) for v in vectors]
    for i, v in enumerate(vectors):
        for j, w in enumerate(vectors):
            if norms[i] and norms[j]:
                out[i, j] = sum(a / norms[i] * (b / norms[j]) for a, b in zip(v, w, strict=True))
    return out


def neighbours(
    similarity: np.ndarray,
    top_n: int,
    rows: Iterable[int] | None = None,
    candidates: Iterable[int] | None = None,
) -> list[list[int]]:
    """Rank by descending similarity, ties by ascending index, never the row itself."""
    rows = range(len(similarity)) if rows is None else list(rows)
    allowed = set(range(len(similarity)) if candidates is None else candidates)
    width = min(top_n, len(allowed) - any(i in allowed for i in rows))
    return [sorted(allowed - {i}, key=lambda j: (-similarity[i][j], j))[:width] for i in rows]


def ndcg(
    functional: Sequence[Sequence[int]],
    semantic: Sequence[Sequence[int]],
    top_n: int = 1023,
    base: float = 1.1,
) -> list[float]:
    """Divide the DCG of the functional order by that of the semantic order; gains by semantic rank."""
    scores = []
    for f, s in zip(functional, semantic, strict=True):
        gains = {j: base ** (top_n - r) - 1 for r, j in reversed(list(enumerate(s[:top_n])))}
        dcg = sum(gains.get(j, 0.0) / math.log2(r + 2) for r, j in enumerate(f[:top_n]))
        ideal = sum((base ** (top_n - r) - 1) / math.log2(r + 2) for r in range(len(s[:top_n])))
        scores.append(dcg / ideal if ideal else math.nan)
    return scores


def chance(n_candidates: int, top_n: int = 1023, base: float = 1.1) -> float:
    """Return the expected ndcg of a random order: mean gain × sum of discounts / ideal."""
    ranks = range(min(top_n, n_candidates))
    gains = [base ** (top_n - r) - 1 for r in ranks]
    discounts = [1 / math.log2(r + 2) for r in ranks]
    ideal = sum(g * d for g, d in zip(gains, discounts, strict=True))
    return sum(gains) / n_candidates * sum(discounts) / ideal
