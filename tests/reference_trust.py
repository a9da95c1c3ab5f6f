"""The definitions of trust in a score, in plain loops: slow, obvious, what every kernel must equal."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

Classes = list[list[int]]  # features by falling similarity; those that tie in one class


def gain(rank: int, top_n: int, base: float) -> float:
    """What a semantic rank is worth."""
    return base ** (top_n - rank) - 1 if rank < top_n else 0.0


def discount(rank: int, top_n: int) -> float:
    """What a functional rank collects."""
    return 1 / math.log2(rank + 2) if rank < top_n else 0.0


def ideal(n: int, top_n: int, base: float) -> float:
    """IDCG of a list of ``n`` candidates."""
    return sum(gain(r, top_n, base) * discount(r, top_n) for r in range(n))


def random_scores(n: int, top_n: int, base: float = 1.1) -> list[float]:
    """NDCG of every order of ``n`` candidates."""
    best = ideal(n, top_n, base)
    return [
        sum(gain(r, top_n, base) * discount(position, top_n) for position, r in enumerate(order))
        / best
        for order in itertools.permutations(range(n))
    ]


def classes(similarity: Sequence[float], own: int, candidates: Iterable[int]) -> Classes:
    """Tie classes of all candidates other than the feature itself."""
    others = sorted((-similarity[j], j) for j in candidates if j != own)
    groups = itertools.groupby(others, key=lambda pair: pair[0])
    return [[j for _, j in group] for _, group in groups]


def orders(tied: Classes) -> list[list[int]]:
    """Every order that breaks the ties."""
    broken = itertools.product(*(itertools.permutations(group) for group in tied))
    return [[j for group in order for j in group] for order in broken]


def mean_weights(tied: Classes, weight: Callable[[int], float]) -> dict[int, float]:
    """Mean of a weight over the ranks of each feature's class."""
    means, start = {}, 0
    for group in tied:
        mean = sum(weight(start + k) for k in range(len(group))) / len(group)
        means.update(dict.fromkeys(group, mean))
        start += len(group)
    return means


def ndcg_ties(functional: Classes, semantic: Classes, top_n: int, base: float) -> float:
    """NDCG in the mean over both orders of ties."""
    best = ideal(sum(map(len, semantic)), top_n, base)
    gains = mean_weights(semantic, lambda r: gain(r, top_n, base))
    discounts = mean_weights(functional, lambda r: discount(r, top_n))
    return (
        sum(gains[j] * discounts[j] for j in gains if j in discounts) / best if best else math.nan
    )


def fit(functional: dict[int, Classes], semantic: dict[int, Classes], top_n: int, base: float):
    """NDCG of each feature i if it exchanged its label with j: S[i][j], in the mean over ties."""
    scores: dict[int, dict[int, float]] = {}
    for i in functional:
        scores[i] = {}
        for j in semantic:
            # Feature i now carries label j: it is as far from each other label as j was, and
            # label i stands on feature j.
            moved = [[j if f == i else f for f in group] for group in semantic[j]]
            scores[i][j] = ndcg_ties(functional[i], moved, top_n, base)
    return scores


def overlap(functional: Sequence[int], semantic: Sequence[int], depth: int) -> float:
    """Share of the first features that two lists have in common."""
    depth = min(depth, len(functional), len(semantic))
    return len(set(functional[:depth]) & set(semantic[:depth])) / depth


def rbo(functional: Sequence[int], semantic: Sequence[int], depth: int, p: float) -> float:
    """Rank-biased overlap, extrapolated: Webber et al., equation 32."""
    depth = min(depth, len(functional), len(semantic))
    common = [len(set(functional[:d]) & set(semantic[:d])) for d in range(depth + 1)]
    head = sum(common[d] / d * p**d for d in range(1, depth + 1))
    return common[depth] / depth * p**depth + (1 - p) / p * head


def measure(name: str, n: int, c_i: int, c_j: int, a: int) -> float:
    """A measure of association of two features."""
    b, c, d, expected = c_i - a, c_j - a, n - c_i - c_j + a, c_i * c_j / n
    if name == "npmi":
        if a in (0, n):
            return -1.0 if a == 0 else 0.0
        ratio = math.log1p((n * a - c_i * c_j) / (c_i * c_j))  # ln(a / E), exact near 1
        return ratio / -math.log1p((a - n) / n)
    if not (0 < c_i < n and 0 < c_j < n):
        return 0.0
    phi = (n * a - c_i * c_j) / math.sqrt(c_i * (n - c_i) * c_j * (n - c_j))
    if name in ("phi", "abs_phi"):
        return abs(phi) if name == "abs_phi" else phi
    if name == "llr":
        margins = [(c_i, c_j), (c_i, n - c_j), (n - c_i, c_j), (n - c_i, n - c_j)]
        cells = zip([a, b, c, d], margins, strict=True)
        ratio = 2 * math.fsum(o * math.log(o * n / (x * y)) for o, (x, y) in cells if o)
        return math.copysign(max(0.0, ratio), a - expected)
    if name == "odds":
        return math.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)))
    if name == "lift":
        return a / expected
    if name == "cole":
        most, least = n * min(c_i, c_j) - c_i * c_j, c_i * c_j - n * max(0, c_i + c_j - n)
        difference = n * a - c_i * c_j
        return difference / (most if difference > 0 else least)
    return a / {"jaccard": c_i + c_j - a, "cosine": math.sqrt(c_i * c_j)}[name]
