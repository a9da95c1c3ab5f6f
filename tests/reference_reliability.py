"""Replicates of scores, in plain loops: slow, obvious, what the kernel must equal."""

import math
from collections.abc import Iterable, Sequence

import reference_trust
from reference_trust import Classes

GROUPS, SPLITS = 16, 8


def hadamard(size: int) -> list[list[int]]:
    """Sylvester's construction: each step puts a matrix beside itself, and below that its negative."""
    if size == 1:
        return [[1]]
    quarter = hadamard(size // 2)
    return [row + row for row in quarter] + [row + [-x for x in row] for row in quarter]


def splits() -> list[tuple[list[list[int]], list[list[int]]]]:
    """Groups of both halves and of both quarters, for each split."""
    matrix, found = hadamard(GROUPS), []
    for split in range(SPLITS):
        row, other = matrix[SPLITS + split], matrix[1 + 3 * split % 7]
        halves = [[g for g in range(GROUPS) if row[g] == sign] for sign in (1, -1)]
        divided = halves[1 if split < 2 else 0]
        found.append((halves, [[g for g in divided if other[g] == sign] for sign in (1, -1)]))
    return found


def splitmix64(x: int) -> int:
    """Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014)."""
    mask = 2**64 - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def groups(documents: Sequence[int]) -> list[int]:
    """Group of each window, given the document of each."""
    order = sorted(set(documents), key=splitmix64)
    group = {document: place % GROUPS for place, document in enumerate(order)}
    return [group[document] for document in documents]


def tie_classes(
    windows: Sequence[set[int]], i: int, candidates: Iterable[int], measure: str
) -> Classes | None:
    """Tie classes of a feature's functional neighbours; None where it never or always occurs."""
    n, c_i = len(windows), sum(i in w for w in windows)
    if c_i in (0, n):
        return None
    values = {}
    for j in candidates:
        c_j, both = sum(j in w for w in windows), sum(i in w and j in w for w in windows)
        values[j] = reference_trust.measure(measure, n, c_i, c_j, both) if j != i else math.nan
    levels = sorted({value for j, value in values.items() if j != i}, reverse=True)
    return [[j for j in sorted(values) if j != i and values[j] == level] for level in levels]


def untied(tied: Classes) -> Classes:
    """The same order with ties by index."""
    return [[j] for group in tied for j in group]


def replicates(
    windows: Sequence[set[int]],
    group_of: Sequence[int],
    semantic: Sequence[Classes],
    rows: Sequence[int],
    candidates: Sequence[int],
    top_n: int,
    base: float,
    measure: str,
    ties: bool,
) -> tuple[list, list, list]:
    """NDCG of halves and quarters, by split, side and row, and of each half against the other."""
    halves, quarters, agreement = [], [], []
    for split in splits():
        for out, pair in zip((halves, quarters), split, strict=True):
            orders = []
            for members in pair:
                part = [w for w, group in zip(windows, group_of, strict=True) if group in members]
                tied = [tie_classes(part, i, candidates, measure) for i in rows]
                orders.append([t if ties or t is None else untied(t) for t in tied])
            out.append([_scores(order, semantic, top_n, base) for order in orders])
            if out is halves:
                a, b = orders
                agreement.append([_scores(a, b, top_n, base), _scores(b, a, top_n, base)])
    return halves, quarters, agreement


def _scores(functional, semantic, top_n: int, base: float) -> list[float]:
    return [
        math.nan if None in (f, s) else reference_trust.ndcg_ties(f, s, top_n, base)
        for f, s in zip(functional, semantic, strict=True)
    ]
