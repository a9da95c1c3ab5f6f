"""Score a wide SAE from occurrences and vectors: ties averaged, law of chance, label fit.

    python benches/wide_score.py FEATURES WINDOWS DENSITY DIMENSION [WINDOWS_PER_DOCUMENT]

With documents there are standard errors too, from replicates of halves and quarters. Prints wall time,
processor time and the peak memory of the process.
"""

import resource
import sys
import time

import numpy as np

import sfal
from sfal import _core


def windows(n_features, n_windows, density):
    """Random windows, each with the same number of features."""
    rng = np.random.default_rng(0)
    each = round(n_features * density)
    counted = _core.Occurrences(n_features)
    for start in range(0, n_windows, 1_000):
        n = min(1_000, n_windows - start)
        rows = [np.sort(rng.choice(n_features, each, replace=False)) for _ in range(n)]
        counted.extend(np.arange(n + 1) * each, np.concatenate(rows).astype(np.uint32))
    return counted


def main(n_features, n_windows, density, dim, each=None):
    """Score once."""
    counted = windows(n_features, n_windows, density)
    vectors = np.random.default_rng(1).standard_normal((n_features, dim), dtype=np.float32)
    wall, processor = time.perf_counter(), time.process_time()
    documents = None if each is None else np.arange(n_windows) // each
    scores = sfal.score_features(counted, vectors, documents=documents)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    assert scores.column("label_rank").null_count == 0
    assert each is None or scores.column("se").null_count == 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{n_features:,} features, {n_windows:,} windows: {wall:.0f} s wall, {processor:.0f} s",
        end=" ",
    )
    print(f"of processors, peak {peak:.1f} GB")


if __name__ == "__main__":
    features, n, share, width, *per_document = sys.argv[1:]
    main(int(features), int(n), float(share), int(width), *map(int, per_document))
