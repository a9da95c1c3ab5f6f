"""One wheel serves all CPUs: each instruction set, in its own process, gives the same lists."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import hashlib
import numpy as np
from core.cases import from_dense, random_windows
from sfal import _core

counted = from_dense(random_windows(1, 17_000, 403, 0.3))
many = from_dense(random_windows(4, 700, 2_100, 0.2)).histogram()
many = _core.Histogram.from_counts(many, 700)
vectors = np.random.default_rng(2).integers(-3, 4, (403, 61)).astype(np.float32)
lists = [
    counted.histogram(),
    *_core.functional_neighbours(counted, 200),
    *_core.functional_neighbours(counted, 200, rows=np.arange(3, 90)),
    *_core.functional_neighbours(from_dense(random_windows(3, 900, 4_500, 0.004)), 200),
    *_core.functional_neighbours(many, 100),
    *_core.top_neighbours(_core.phi(counted.histogram(), 17_000), 100),
]
print(hashlib.sha256(b"".join(a.tobytes() for a in lists)).hexdigest())
# Cosines are rounded differently between sets; a wrong product would differ by much more.
print(np.round(_core.semantic_neighbours(vectors, 50)[1].astype(np.float64).sum(), 2))
"""


def results(isa):
    tests = Path(__file__).parents[1]
    env = {**os.environ, "SFAL_ISA": isa, "PYTHONPATH": str(tests)}
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=env, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512", "neon", "unknown"])
def test_each_instruction_set_gives_the_same_results(isa):
    # A set that this CPU lacks falls back to the best one available; the Rust tests name each set.
    assert results(isa) == results("")
