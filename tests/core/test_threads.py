"""Several Python threads at once, and any number of Rust threads: the same bits."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.cases import dense_csr, from_dense, random_windows
from sfal import _core


@pytest.mark.parametrize("density", [0.003, 0.2])
def test_results_are_the_same_bits_on_any_number_of_threads(density):
    dense = random_windows(7, 20_000, 300, density)
    counted = from_dense(dense)
    vectors = np.random.default_rng(1).normal(size=(300, 129)).astype(np.float32)
    phi = _core.phi(counted.histogram(), 20_000)
    calls = [
        lambda n: [counted.histogram(n_threads=n)],
        lambda n: _core.functional_neighbours(counted, 50, n_threads=n),
        lambda n: _core.semantic_neighbours(vectors, 50, n_threads=n),
        lambda n: _core.top_neighbours(phi, 50, n_threads=n),
        lambda n: [_core.ndcg(phi, phi.astype(np.float32), 50, n_threads=n)],
    ]
    for call in calls:
        for a, b in zip(call(1), call(5), strict=True):
            np.testing.assert_array_equal(a, b)


def test_batches_appended_from_several_threads_stay_whole():
    dense = random_windows(8, 3_000, 50, 0.3)
    indptr, indices = dense_csr(dense)
    counted = _core.Occurrences(50)

    def append(start):
        stop = start + 100
        bounds = indptr[start : stop + 1]
        counted.extend(bounds - bounds[0], indices[bounds[0] : bounds[-1]])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(0, 3_000, 100)))
    np.testing.assert_array_equal(counted.histogram(), from_dense(dense).histogram())
    blocks = {tuple(counted.rows(s, s + 100)[1].tolist()) for s in range(0, 3_000, 100)}
    expected = {tuple(indices[indptr[s] : indptr[s + 100]].tolist()) for s in range(0, 3_000, 100)}
    assert blocks == expected


def test_reading_continues_while_another_thread_appends():
    dense = random_windows(9, 64, 40, 0.5)
    batch, once = dense_csr(dense), dense.T.astype(np.uint32) @ dense
    counted, done = _core.Occurrences(40), threading.Event()

    def append():
        for _ in range(400):
            counted.extend(*batch)
        done.set()

    writer = threading.Thread(target=append)
    writer.start()
    while not done.is_set():
        histogram = counted.histogram()
        batches = histogram.max() // once.max()
        np.testing.assert_array_equal(histogram, batches * once)
    writer.join()
    assert counted.n_windows == 64 * 400


def test_two_threads_merge_two_sets_with_each_other():
    a, b = (_core.Occurrences(4) for _ in range(2))
    h, k = (_core.Histogram(4) for _ in range(2))
    one = np.array([0, 1], dtype=np.int64), np.array([2], dtype=np.uint32)
    for counted, histogram in ((a, h), (b, k)):
        counted.extend(*one)
        histogram.update(counted)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):  # Fibonacci-like growth: keep it short
            merges = [pool.submit(x.merge, y) for x, y in ((a, b), (b, a), (h, k), (k, h))]
            for merge in merges:
                merge.result(timeout=60)
    assert a.counts()[2] == a.n_windows > 10
    assert h.counts()[2] == h.n_windows > 10


def test_another_thread_runs_while_neighbours_are_ranked():
    vectors = np.random.default_rng(2).normal(size=(3_000, 256)).astype(np.float32)
    ticks, done = [], threading.Event()

    def rank():
        _core.semantic_neighbours(vectors, 500)
        done.set()

    worker = threading.Thread(target=rank)
    worker.start()
    while not done.is_set():
        ticks.append(1)
        done.wait(0.001)
    worker.join()
    assert len(ticks) > 3


def test_ctrl_c_interrupts_a_long_call():
    # Processor time, as a busy machine delays everything; the whole call takes several times as long.
    code = """
import signal, threading, time
import numpy as np
from sfal import _core
vectors = np.ones((60_000, 512), dtype=np.float32)
threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()
started = time.process_time()
try:
    _core.semantic_neighbours(vectors)
except KeyboardInterrupt:
    print("interrupted", time.process_time() - started < 5)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert run.stdout == "interrupted True\n", run.stderr
