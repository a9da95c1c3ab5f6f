"""Compare the kernels with named peers: check equality, then time the best of a few runs of each.

    python benches/kernels.py [--threads N] [NAME]...

runs ``count``, ``sparse``, ``functional``, ``counted``, ``top``, ``semantic``, ``ndcg``,
``extend`` and ``parts``, or only those named.

Both sides run on N threads (1 by default). On one thread the figures are CPU seconds, which other
load on the machine affects least; on more threads they are wall seconds.
"""

import os
import sys
import time
import warnings

THREADS = int(sys.argv.pop(1)) if sys.argv[1:2] == ["--threads"] and sys.argv.pop(1) else 1
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = str(THREADS)

import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402

from sfal import _core  # noqa: E402

F, W = 16_384, 70_144


def best(work, runs=3):
    """Return the least time of a few runs, and the result of the last."""
    clock = time.process_time if THREADS == 1 else time.perf_counter
    times = []
    for _ in range(runs):
        start = clock()
        result = work()
        times.append(clock() - start)
    return min(times), result


def table(name, ours, peers):
    """Print seconds and ratio, one line per peer."""
    print(f"{name:<58} ours {ours:8.3f} s")
    for peer, seconds in peers.items():
        print(f"    {peer:<54} {seconds:8.3f} s   {seconds / ours:6.2f} x")


def occurrences(n_features, n_windows, density, seed=0):
    """Draw random windows; return them counted, and as CSR batches."""
    rng = np.random.default_rng(seed)
    counted = _core.Occurrences(n_features)
    batches = []
    for start in range(0, n_windows, 2_048):
        n = min(2_048, n_windows - start)
        dense = rng.random((n, n_features), dtype=np.float32) < density
        indptr = np.concatenate([[0], dense.sum(axis=1, dtype=np.int64).cumsum()])
        batches.append((indptr, np.nonzero(dense)[1].astype(np.uint32)))
    for batch in batches:
        counted.extend(*batch)
    return counted, batches


def packed_rows(counted):
    """Pack the bits as numkong takes them: features x bytes."""
    indptr, indices = counted.rows(0, counted.n_windows)
    dense = np.zeros((counted.n_windows, counted.n_features), dtype=bool)
    dense[np.repeat(np.arange(counted.n_windows), np.diff(indptr)), indices] = True
    return np.packbits(dense, axis=0).T.copy()


def count():
    """Count all pairs of 4,096 features."""
    import numkong

    for density in (0.12, 0.25):
        counted, _ = occurrences(4_096, W, density)
        bits = packed_rows(counted)
        ours = counted.histogram()
        theirs = np.asarray(numkong.dots_symmetric(bits, dtype="uint1"))
        np.testing.assert_array_equal(np.triu(ours), np.triu(theirs))
        alternating = [
            [
                best(work, 1)[0]
                for work in (
                    counted.histogram,
                    lambda bits=bits: numkong.dots_symmetric(bits, dtype="uint1"),
                )
            ]
            for _ in range(4)
        ]
        ours, peer = np.min(alternating, axis=0)
        rate = 4_096 * 4_097 / 2 * W / ours / 1e12
        table(f"count 4,096 x {W:,}, {density:.0%}", ours, {"numkong, always one thread": peer})
        print(f"    {rate:.2f} Tbit AND/s")


def sparse():
    """Count all pairs of 16,384 features that occur in 0.3 % of the windows."""
    counted, batches = occurrences(F, W, 0.003)
    indptr = np.concatenate([[0], *(b[0][1:] - b[0][0] for b in batches)])
    lengths = np.concatenate([np.diff(b[0]) for b in batches])
    indptr = np.concatenate([[0], lengths.cumsum()])
    indices = np.concatenate([b[1] for b in batches])
    x = scipy.sparse.csr_array((np.ones(len(indices), np.int32), indices, indptr), shape=(W, F))
    peer, theirs = best(lambda: (x.T @ x).toarray(), 3)
    ours, counts = best(counted.histogram, 3)
    np.testing.assert_array_equal(counts, theirs)
    del counts, theirs
    table(f"count {F:,} x {W:,}, 0.3 %", ours, {"scipy.sparse, always one thread": peer})


def functional():
    """Rank the 1,023 neighbours by phi."""
    counted, _ = occurrences(F, W, 0.12)
    counting, _ = best(counted.histogram, 2)
    ranking, _ = best(lambda: _core.functional_neighbours(counted), 2)
    table(f"functional {F:,} x {W:,}", ranking, {"counting alone": counting})


def counted():
    """Check and rank 1 GiB of existing counts, as `sfal score` does with a histogram."""
    counts = occurrences(F, 2_500, 0.05)[0].histogram()
    copy, _ = best(counts.copy, 3)
    checking, histogram = best(lambda: _core.Histogram.from_counts(counts, 2_500), 3)
    table(f"check {F:,} x {F:,} counts", checking, {"a copy of them": copy})
    ranking, _ = best(lambda: _core.functional_neighbours(histogram), 2)
    table(f"functional from {F:,} x {F:,} counts", ranking, {"a copy of them": copy})


def top():
    """Select the 1,023 largest of each row of similarities."""
    import torch

    rng = np.random.default_rng(1)
    similarity = rng.normal(size=(F, F)).astype(np.float32)
    ours, (_, values) = best(lambda: _core.top_neighbours(similarity), 3)
    np.fill_diagonal(similarity, -np.inf)
    torch.set_num_threads(THREADS)
    tensor = torch.from_numpy(similarity)
    theirs, found = best(lambda: torch.topk(tensor, 1_023), 2)
    np.testing.assert_array_equal(values, found.values.numpy())

    def partition(rows=2_048):
        part = np.argpartition(-similarity[:rows], 1_023, axis=1)[:, :1_023]
        order = np.argsort(-np.take_along_axis(similarity[:rows], part, 1), axis=1)
        return np.take_along_axis(part, order, 1)

    numpy, found = best(partition, 2)
    np.testing.assert_array_equal(np.take_along_axis(similarity[:2_048], found, 1), values[:2_048])
    numpy *= F / 2_048
    peers = {"torch.topk": theirs, "numpy argpartition + sort (from 2,048 rows)": numpy}
    table(f"top neighbours {F:,} x {F:,}", ours, peers)


def semantic():
    """Rank the 1,023 neighbours by cosine."""
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(F, 1_024)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    product, cosine = best(lambda: vectors @ vectors.T, 2)
    selection, (_, values) = best(lambda: _core.top_neighbours(cosine), 2)
    ours, (_, found) = best(lambda: _core.semantic_neighbours(vectors), 2)
    np.testing.assert_allclose(found, values, atol=1e-5)
    table(
        f"semantic {F:,} x 1,024",
        ours,
        {"numpy GEMM": product, "numpy GEMM + our selection": product + selection},
    )


def ndcg():
    """Compute NDCG from ranked lists."""
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(3)
    similarity = rng.normal(size=(F, F)).astype(np.float32)
    semantic, _ = _core.top_neighbours(similarity)
    functional, _ = _core.top_neighbours(similarity + rng.normal(size=(F, F)).astype(np.float32))
    ours, scores = best(lambda: _core.ndcg(functional, semantic), 5)
    warnings.simplefilter("ignore", RuntimeWarning)  # scikit-learn warns about its own casts
    n = 64
    gains, order = np.zeros((n, F)), np.zeros((n, F))
    for i in range(n):
        gains[i, semantic[i]] = 1.1 ** (1_023 - np.arange(1_023)) - 1
        order[i, functional[i]] = np.arange(1_023, 0, -1)
    peer, _ = best(lambda: ndcg_score(gains, order, k=1_023), 2)
    one = [ndcg_score(gains[i : i + 1], order[i : i + 1], k=1_023) for i in range(n)]
    np.testing.assert_allclose(scores[:n], one, rtol=1e-9)
    table(f"ndcg {F:,} x 1,023", ours, {"sklearn ndcg_score (from 64 rows)": peer * F / n})


def extend():
    """Append CSR batches."""
    for density in (0.003, 0.12):
        _, batches = occurrences(F, 8_192, density)
        entries = sum(len(b[1]) for b in batches)

        def append(batches=batches):
            counted = _core.Occurrences(F)
            for batch in batches:
                counted.extend(*batch)

        seconds, _ = best(append, 5)
        print(f"extend {F:,} features, {density:.1%}: {entries / seconds / 1e6:.0f} M entries/s")


def parts():
    """Write Parquet parts and read them back."""
    import tempfile
    from pathlib import Path

    import pyarrow

    from sfal.store.manifest import Counts, Part
    from sfal.store.parts import Windows, read_part, write_part

    pyarrow.set_cpu_count(THREADS)
    for density, n in ((0.12, 4_096), (0.003, 65_536)):
        _, batches = occurrences(F, n, density)
        pieces = [
            Windows(np.arange(len(p) - 1, dtype=np.uint64), np.zeros(len(p) - 1, np.uint32), p, i)
            for p, i in batches
        ]
        whole = Windows.join(pieces)
        whole = Windows(
            np.arange(n, dtype=np.uint64), np.zeros(n, np.uint32), whole.indptr, whole.indices
        )
        entries = len(whole.indices)
        with tempfile.TemporaryDirectory() as name:
            folder, file = Path(name), "part-000000.parquet"
            writing, sha256 = best(lambda f=folder, w=whole, n=file: write_part(f, n, w))
            counts = Counts(documents=n, windows=n, occurrences=entries)
            part = Part(file, sha256, 0, n, counts, "")
            reading, back = best(lambda f=folder, p=part: read_part(f, p))
            size = (folder / "occurrences" / file).stat().st_size
        np.testing.assert_array_equal(back.indices, whole.indices)
        rates = (entries / seconds / 1e6 for seconds in (writing, reading, writing + reading))
        print(f"parts {F:,} features, {density:.1%}: write {next(rates):.0f}, read ", end="")
        print(
            f"{next(rates):.0f}, both {next(rates):.0f} M entries/s; {size / entries:.2f} bytes each"
        )


NAMES = ("count", "sparse", "functional", "counted", "top", "semantic", "ndcg", "extend", "parts")

if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        globals()[name]()
