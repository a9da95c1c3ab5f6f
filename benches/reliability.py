"""What standard errors cost beside the scores: equality first, then time and memory in one process.

    python benches/reliability.py [--threads N] [N_FEATURES N_WINDOWS DENSITY [N_ROWS]]

On one thread the figures are seconds of processor time, on more wall seconds. With N_ROWS, only
that many rows are scored in the replicates, and the time of all is extrapolated from them and from
half as many.
"""

import sys

from trust import THREADS, occurrences, timed  # first: it sets the number of threads

# isort: split
import numpy as np

from sfal import _core
from wide import peak

DIM = 1_024


def bits_mb(n_features, n_windows):
    """Megabytes of the bits alone."""
    return n_features * n_windows / 8 / 2**20


def main(n_features=16_384, n_windows=70_144, density=0.12, n_rows=None):
    """Time the replicates against ranking and scoring once."""
    counted = occurrences(n_features, n_windows, density)
    vectors = np.random.default_rng(1).standard_normal((n_features, DIM), dtype=np.float32)
    groups = (np.random.default_rng(2).permutation(n_windows) % 16).astype(np.uint8)

    def once():
        functional, _ = _core.functional_neighbours(counted)
        semantic, _ = _core.semantic_neighbours(vectors)
        return _core.ndcg(functional, semantic)

    def replicates(rows):
        ranking = _core.semantic_ranking(vectors, rows=rows)
        return timed(lambda: _core.replicates(counted, groups, [ranking], rows=rows))

    few = np.arange(0, n_features, n_features // 32)
    part = counted.select(np.flatnonzero(groups < 8))  # a half of the first split
    ranking = _core.semantic_ranking(vectors, rows=few)
    expected = _core.ndcg(_core.functional_ranking(part, rows=few), ranking)
    found = _core.replicates(counted, groups, [ranking], rows=few)[0]
    np.testing.assert_array_equal(found[0, 0, 0], expected)
    del part, ranking

    single, _ = timed(once)
    before = peak()
    if n_rows is None:
        seconds, _ = replicates(np.arange(n_features))
    else:
        (half_of, _), (whole, _) = replicates(np.arange(n_rows // 2)), replicates(np.arange(n_rows))
        per_row = (whole - half_of) / (n_rows - n_rows // 2)
        seconds = whole + per_row * (n_features - n_rows)
    print(f"{n_features:,} features, {n_windows:,} windows, {density:.1%}, {THREADS} thread(s)")
    print(f"ranking and scoring once {single:.1f} s, replicates {seconds:.1f} s", end="")
    print(f": {seconds / single:.2f} x")
    print(f"peak {before:,.0f} MB before, {peak():,.0f} MB with the replicates", end="")
    print(f" (bits {bits_mb(n_features, n_windows):,.0f} MB)")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*(float(v) if "." in v else int(v) for v in given))
