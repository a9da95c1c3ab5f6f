"""Measure neighbours and NDCG of wide SAEs: time, peak memory and disk.

    python benches/wide.py N_FEATURES N_WINDOWS DENSITY DIM [N_ROWS]

With N_ROWS, only that many rows are ranked, as one of several processes would do, and then half as
many; the time of all rows is extrapolated from the two, with the set-up of a call counted once. For
comparison, the script prints what the steps would take at rates measured in the same run: counting
each pair once at the rate of 4,096 features, NumPy's product of the vectors, and a selection from
existing similarities.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sfal import _core
from sfal.store.parts import Windows, write_part


def windows(n_features, n_windows, density, batch=256):
    """Yield CSR batches of random windows."""
    rng = np.random.default_rng(0)
    for start in range(0, n_windows, batch):
        rows = []
        for _ in range(min(batch, n_windows - start)):
            draws = rng.integers(0, n_features, int(n_features * density * 1.005))
            rows.append(np.unique(draws).astype(np.uint32))
        yield np.cumsum([0, *map(len, rows)], dtype=np.int64), np.concatenate(rows)


def peak():
    """Return the peak resident memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds_of(work):
    """Return the least time of two runs."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def timed(work, n_features, n_rows):
    """Return the result for the first rows, the seconds of all rows, and those of the set-up."""
    if n_rows is None:
        start = time.perf_counter()
        found = work(None)
        return found, time.perf_counter() - start, 0.0
    rows = np.arange(n_rows)
    whole, half = seconds_of(lambda: work(rows)), seconds_of(lambda: work(rows[: n_rows // 2]))
    per_row = (whole - half) / (n_rows - n_rows // 2)
    before = max(whole - n_rows * per_row, 0.0)
    return work(rows), before + per_row * n_features, before


def bound(n_features, n_windows, dim):
    """Estimate the seconds of counting, product and selection of all pairs on this machine."""
    dense = _core.Occurrences(4_096)
    for batch in windows(4_096, 16_384, 0.12):
        dense.extend(*batch)
    bits = 4_096 * 4_097 / 2 * 16_384
    counting = seconds_of(dense.histogram) / bits * n_features * (n_features + 1) / 2 * n_windows
    rng = np.random.default_rng(2)
    a = rng.standard_normal((4_096, dim), dtype=np.float32)
    b = rng.standard_normal((dim, 16_384), dtype=np.float32)
    product = seconds_of(lambda: a @ b) / (4_096 * 16_384) * n_features**2
    rows = min(n_features, max(64, (1 << 27) // n_features))
    similarity = rng.standard_normal((rows, n_features), dtype=np.float32)
    selection = seconds_of(lambda: _core.top_neighbours(similarity)) / rows * n_features
    return {"counting": counting, "numpy product": product, "selection": selection}


def disk(n_features, batch):
    """Estimate the bytes of the lists of all features, and of a window in a part, from one batch."""
    with tempfile.TemporaryDirectory() as folder:
        indptr, indices = batch
        n = len(indptr) - 1
        content = Windows(np.arange(n, dtype=np.uint64), np.zeros(n, np.uint32), indptr, indices)
        write_part(Path(folder), "part-000000.parquet", content)
        (part,) = Path(folder).glob("*/*.parquet")
        return 4 * n_features * min(1_023, n_features - 1), part.stat().st_size / n


def main(n_features, n_windows, density, dim, n_rows=None):
    """Rank and score, and print the measurements."""
    limits = bound(n_features, n_windows, dim)
    counted = _core.Occurrences(n_features)
    for batch in windows(n_features, n_windows, density):
        counted.extend(*batch)
    vectors = np.random.default_rng(1).standard_normal((n_features, dim), dtype=np.float32)
    print(f"{n_features:,} features x {n_windows:,} windows, D = {dim}; {peak():,.0f} MB so far")
    total = 0.0
    lists = []
    for name, work in (
        ("functional", lambda rows: _core.functional_neighbours(counted, rows=rows)[0]),
        ("semantic", lambda rows: _core.semantic_neighbours(vectors, rows=rows)[0]),
        ("ndcg", lambda rows: _core.ndcg(*(a if rows is None else a[: len(rows)] for a in lists))),
    ):
        found, seconds, before = timed(work, n_features, n_rows)
        lists.append(found)
        total += seconds
        print(f"{name:<14} {seconds:9.1f} s, set-up {before:.1f} s   peak {peak():,.0f} MB")
    print(f"{'all':<14} {total:9.1f} s   median ndcg {np.nanmedian(lists[2]):.4f}")
    for name, seconds in limits.items():
        print(f"{name:<14} {seconds:9.1f} s")
    print(f"{'of the three':<14} {total / sum(limits.values()):9.2f} x")
    ranked, window = disk(n_features, batch)
    print(
        f"disk: {ranked / 1e9:.2f} GB per set of lists, {window * n_windows / 1e9:.2f} GB of parts"
    )


if __name__ == "__main__":
    features, width, share, *rest = sys.argv[1:]
    main(int(features), int(width), float(share), *map(int, rest))
