"""Wide SAEs: neighbours and NDCG of many features, with the peak of memory beyond the bits.

``python benches/wide.py N_FEATURES N_WINDOWS DENSITY DIM [N_ROWS]``; with N_ROWS, only that many
rows are ranked and the time of all is extrapolated.
"""

import resource
import sys
import time

import numpy as np

from sfal import _core


def windows(n_features, n_windows, density, batch=256):
    """CSR batches of random windows, features of uneven frequency."""
    rng = np.random.default_rng(0)
    for start in range(0, n_windows, batch):
        rows = []
        for _ in range(min(batch, n_windows - start)):
            draws = rng.integers(0, n_features, int(n_features * density * 1.005))
            rows.append(np.unique(draws).astype(np.uint32))
        yield np.cumsum([0, *map(len, rows)], dtype=np.int64), np.concatenate(rows)


def peak():
    """Peak resident memory, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(n_features, n_windows, density, dim, n_rows=None):
    counted = _core.Occurrences(n_features)
    for batch in windows(n_features, n_windows, density):
        counted.extend(*batch)
    vectors = np.random.default_rng(1).standard_normal((n_features, dim), dtype=np.float32)
    rows = None if n_rows is None else np.arange(n_rows)
    scale = 1 if n_rows is None else n_features / n_rows
    print(f"{n_features:,} features x {n_windows:,} windows, D = {dim}; {peak():,.0f} MB so far")
    total = 0.0
    lists = []
    for name, work in (
        ("functional", lambda: _core.functional_neighbours(counted, rows=rows)[0]),
        ("semantic", lambda: _core.semantic_neighbours(vectors, rows=rows)[0]),
        ("ndcg", lambda: _core.ndcg(*lists)),
    ):
        start = time.perf_counter()
        lists.append(work())
        seconds = (time.perf_counter() - start) * scale
        total += seconds
        print(f"{name:<12} {seconds:9.2f} s   peak {peak():,.0f} MB")
    print(f"{'all':<12} {total:9.2f} s   median ndcg {np.nanmedian(lists[2]):.4f}")


if __name__ == "__main__":
    features, width, share, *rest = sys.argv[1:]
    main(int(features), int(width), float(share), *map(int, rest))
