"""An export of any size passes through little memory: `SFAL_EXPORT_MB=1024` tries a large one."""

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from servers import exports, s3
from sfal.store.explanations import read_explanations

MEGABYTES = int(os.environ.get("SFAL_EXPORT_MB", "24"))
LIMIT = 300 << 20
TESTS = Path(__file__).parents[1]
RECORDS = 1500
WIDTH = 1024
_CODE = """
import sys
from peak_memory import peak_memory
from sfal.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as e:
    print("exit", e.code)
print("peak", peak_memory())
"""


@pytest.fixture(scope="module")
def bucket():
    """Batches of some 7 MB that hardly compress; four that differ, under as many keys as it takes."""
    rng = random.Random(3)
    # Farther apart than gzip looks back.
    vectors = ["[" + ",".join(f"{rng.random():.7f}" for _ in range(WIDTH)) + "]" for _ in range(50)]
    bodies = []
    for n in range(4):
        lines = []
        for i in range(n * RECORDS, (n + 1) * RECORDS):
            record = exports.record(i, embedding=vectors[i % len(vectors)])
            lines.append(json.dumps(record).encode())
        bodies.append(gzip.compress(b"\n".join(lines), 1, mtime=0))
    n_batches = MEGABYTES * (1 << 20) // len(bodies[0]) + 1
    objects = exports.export([bodies[n % 4] for n in range(n_batches)])
    with s3.serve(objects) as bucket:
        yield bucket


def run(tmp_path, bucket, *words):
    done = subprocess.run(
        [sys.executable, "-c", _CODE, "embeddings", *words, "--source", exports.SOURCE],
        cwd=tmp_path,
        env={**os.environ, "SFAL_NEURONPEDIA_URL": bucket.url, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=250 + MEGABYTES,
    )
    assert "exit 0" in done.stdout, done.stderr
    return int(done.stdout.rpartition("peak ")[2])


def test_a_large_export_passes_through_little_memory(tmp_path, bucket):
    assert run(tmp_path, bucket, "download") < LIMIT
    assert run(tmp_path, bucket, "embed", "--embedding-model", "neuronpedia") < LIMIT
    folder = tmp_path / "sfal-data" / exports.SOURCE
    assert len(read_explanations(folder)) == 4 * RECORDS
