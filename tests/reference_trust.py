"""The definitions of trust in a score, in plain loops: slow, obvious, what every kernel must equal."""

import itertools
import math


def gain(rank: int, top_n: int, base: float) -> float:
    """What a semantic rank is worth."""
    return base ** (top_n - rank) - 1


def discount(rank: int) -> float:
    """What a functional rank collects."""
    return 1 / math.log2(rank + 2)


def ideal(n: int, top_n: int, base: float) -> float:
    """IDCG of a list of ``n`` candidates."""
    return sum(gain(r, top_n, base) * discount(r) for r in range(min(n, top_n)))


def random_scores(n: int, top_n: int, base: float = 1.1) -> list[float]:
    """NDCG of every order of ``n`` candidates."""
    best = ideal(n, top_n, base)
    return [
        sum(
            gain(rank, top_n, base) * discount(position)
            for position, rank in enumerate(order[:top_n])
            if rank < top_n
        )
        / best
        for order in itertools.permutations(range(n))
    ]
