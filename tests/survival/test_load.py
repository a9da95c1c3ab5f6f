"""Load: millions of windows, many parts, and readers beside a writer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scoring import builders
from sfal.collect.merge import find_runs, merge_runs
from sfal.io import atomic
from sfal.scoring.score import score_source
from sfal.scoring.selection import Selection, select_sources
from sfal.store.manifest import Manifest
from sfal.store.parts import Windows, iterate_parts
from survival import world as w

HERE = Path(__file__).parent
N_WINDOWS = 2_000_000
DRIFT = 16 << 20
"""Largest growth of memory in bytes; the windows alone are 200 MB."""


def process(script, *words):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        [sys.executable, HERE / script, *map(str, words)],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


@pytest.mark.slow
def test_two_million_windows_pass_in_constant_memory(tmp_path):
    out, _ = process("soak.py", tmp_path, N_WINDOWS).communicate(timeout=280)
    report = json.loads(out)
    assert report["n_windows"] == N_WINDOWS
    assert report["n_parts"] == -(-N_WINDOWS // 8192)
    assert report["occurrences"] > 10 * N_WINDOWS
    assert report["last"] - report["first"] < DRIFT


def test_two_hundred_parts_are_merged_into_what_they_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "sync", lambda path: None)
    shards = w.write_shards(tmp_path / "shards", n_runs=4, n_parts=50)
    runs = find_runs([shards])[w.MERGED]
    merged = merge_runs(w.MERGED, runs[::-1], tmp_path / "all")
    manifest = Manifest.load(merged.folder)
    assert len(manifest.parts) == 200
    assert manifest.complete
    parts = [windows for run in sorted(runs) for windows in iterate_parts(run)]
    apart, joined = Windows.join(parts), Windows.join(list(iterate_parts(merged.folder)))
    for name in ("documents", "ordinals", "indptr", "indices"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(apart, name))


def test_scores_beside_a_growing_run_are_those_of_the_windows_read(tmp_path):
    folder, _, _ = builders.write_our_source(tmp_path, n_features=16)
    (folder / "manifest.json").unlink()
    writer = process("growing_run.py", folder)
    writer.stdout.readline()  # the first part is there
    (source,) = select_sources(tmp_path, Selection()).sources
    seen = []
    try:
        while writer.poll() is None:
            scores = score_source(source)
            n = scores.n_windows
            seen.append(n)
            assert f"occurrences of {n:,} windows" in scores.read
            # Feature i fires in every (i + 1)-th window.
            expected = [-(-n // (i + 1)) for i in range(scores.n_features)]
            assert scores.windows.tolist() == expected
    finally:
        writer.kill()
        writer.communicate()
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
