"""What trust in a score costs beside the score: equality first, then seconds in one process.

    python benches/trust.py [--threads N] [score|fit|measures|law]...

On one thread the figures are seconds of processor time, on more wall seconds.
"""

import os
import sys
import time

THREADS = int(sys.argv.pop(1)) if sys.argv[1:2] == ["--threads"] and sys.argv.pop(1) else 1
os.environ["RAYON_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(THREADS)

import numpy as np  # noqa: E402

from sfal import _core  # noqa: E402

F, WINDOWS, DIM = 16_384, 70_144, 1_024


def timed(work):
    """Seconds of a call, and what it returned."""
    clock = time.process_time if THREADS == 1 else time.perf_counter
    start = clock()
    result = work()
    return clock() - start, result


def occurrences(n_features, n_windows, density, seed=0):
    """Random windows."""
    rng = np.random.default_rng(seed)
    counted = _core.Occurrences(n_features)
    for start in range(0, n_windows, 2_048):
        n = min(2_048, n_windows - start)
        dense = rng.random((n, n_features), dtype=np.float32) < density
        indptr = np.concatenate([[0], dense.sum(axis=1, dtype=np.int64).cumsum()])
        counted.extend(indptr, np.nonzero(dense)[1].astype(np.uint32))
    return counted


def score():
    """Ties averaged, law of chance and label fit, against plain lists and NDCG."""
    counted = occurrences(F, WINDOWS, 0.12)
    vectors = np.random.default_rng(1).standard_normal((F, DIM), dtype=np.float32)

    def plain():
        functional, _ = _core.functional_neighbours(counted)
        semantic, _ = _core.semantic_neighbours(vectors)
        return functional, semantic, _core.ndcg(functional, semantic)

    seconds, (functional, semantic, expected) = timed(plain)
    ranking, (f, s) = timed(
        lambda: (_core.functional_ranking(counted), _core.semantic_ranking(vectors))
    )
    np.testing.assert_array_equal(f.indices(), functional)
    np.testing.assert_array_equal(s.indices(), semantic)
    averaging, found = timed(lambda: _core.ndcg(f, s))
    law, _ = timed(lambda: _core.chance_law(F - 1))
    fitting, (rank, _, _, _) = timed(lambda: _core.label_fit(f, s))
    # Random float32 cosines tie here and there; rows without ties score what their lists score.
    no_ties = np.ones(F, dtype=bool)
    for starts, indptr, _ in (f.ties(), s.ties()):
        no_ties &= (starts == np.arange(1_023)).all(axis=1) & (np.diff(indptr) == 0)
    np.testing.assert_array_equal(found[no_ties], expected[no_ties])
    total = ranking + averaging + law + fitting
    print(f"plain lists and ndcg {seconds:.2f} s")
    print(
        f"rankings {ranking:.2f}, ndcg {averaging:.2f}, law {law:.2f}, fit {fitting:.2f} s", end=""
    )
    print(f": {total / seconds:.2f} x plain; median label rank {np.median(rank):.0f}")


def fit():
    """Label fit against its floor: as many multiply-adds into a row of sums in the cache."""
    rng = np.random.default_rng(0)
    for n in (16_384, 131_072):
        semantic = rng.integers(0, n, (n, 128), dtype=np.uint32)
        rows = np.arange(0, n, n // 4_096)
        functional = rng.integers(0, n, (len(rows), 1_023), dtype=np.uint32)
        seconds, _ = timed(lambda f=functional, s=semantic, r=rows: _core.label_fit(f, s, rows=r))
        # The gains are transposed once for all rows: the time of one row is taken off.
        once, _ = timed(
            lambda f=functional, s=semantic, r=rows: _core.label_fit(f[:1], s, rows=r[:1])
        )
        # Any gather or scatter of as many numbers in a cached row, in NumPy's own loop.
        row, columns = np.zeros(n), semantic[:: n // 1_023].ravel()
        gains = rng.random(len(columns))
        peer, _ = timed(lambda r=row, c=columns, g=gains: [np.add.at(r, c, g) for _ in range(20)])
        peer *= len(rows) * 1_023 * 128 / (20 * len(columns))
        each = (seconds - once) / (len(rows) * 1_023 * 128) * 1e9
        print(f"label fit of {n:,} features: {each:.2f} ns a multiply-add, ", end="")
        print(
            f"{(seconds - once) / len(rows) * n:.1f} s for all rows; np.add.at {peer / seconds:.1f} x"
        )


def measures():
    """Ranking by each measure, against phi."""
    for density in (0.12, 0.003):
        counted = occurrences(8_192, WINDOWS, density)
        phi, _ = timed(lambda c=counted: _core.functional_neighbours(c))
        for name in ("abs_phi", "llr", "npmi", "odds", "lift", "cole", "jaccard", "cosine"):
            seconds, _ = timed(lambda c=counted, m=name: _core.functional_neighbours(c, 1023, m))
            print(f"{density:.1%} {name:<8} {seconds:6.2f} s, {seconds / phi:.2f} x phi")


def law():
    """The law of chance."""
    for n in (100, 1_000, 4_096, 16_383, 32_767, 131_071):
        seconds, _ = timed(lambda n=n: _core.chance_law(n))
        print(f"law of {n:,} candidates {seconds:.2f} s")


if __name__ == "__main__":
    for name in sys.argv[1:] or ("score", "fit", "measures", "law"):
        globals()[name]()
