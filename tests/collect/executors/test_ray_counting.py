"""`sfal cooc --ray` on a cluster that loses nodes and drivers gives the bytes of one process."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from collect.executors import spread
from sfal.collect import driver
from sfal.collect.driver import collect
from sfal.collect.shard import BUFFER_DOCUMENTS

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return spread.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def inline(world, tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = spread.settings(world, device="cpu", examples=spread.EXAMPLES)
    yield spread.snapshots(
        collect(spread.sources(world), settings, tmp_path_factory.mktemp("inline"))
    )
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    patched = pytest.MonkeyPatch()
    patched.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        made.add_node(num_cpus=1)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        patched.undo()


def actors():
    """Process ids of actors, which Ray names after their class."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if line.read_bytes().startswith(b"ray::Actor"):
                found.append(int(line.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_a_node_is_lost_and_another_added(world, inline, cluster, tmp_path, monkeypatch, tally):
    settings = spread.settings(world, device="cpu", ray=cluster.address, examples=spread.EXAMPLES)
    victim = cluster.worker_nodes.copy().pop()

    appended, kept = itertools.count(), driver.Run.append

    def append(self, *arguments):
        kept(self, *arguments)
        number = next(appended)
        if number == 3:
            cluster.remove_node(victim, allow_graceful=False)
        if number == 5:
            cluster.add_node(num_cpus=1)

    monkeypatch.setattr(driver.Run, "append", append)
    results = collect(spread.sources(world), settings, tmp_path)
    assert spread.snapshots(results) == inline
    tally("kills: nodes of a Ray cluster")


def test_a_driver_is_killed_and_started_again(world, inline, cluster, tmp_path, tally):
    words = [sys.executable, "-c", _DRIVER, str(world), str(tmp_path / "data"), cluster.address]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.rglob("manifest.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    assert actors()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    end = time.monotonic() + 30
    while actors():
        assert time.monotonic() < end, "actors outlive their driver"
        time.sleep(0.1)
    again = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    for source, expected in zip(spread.sources(world), inline, strict=True):
        assert spread.snapshot(tmp_path / "data" / source.name) == expected
    tally("kills: drivers of a Ray cluster")


def test_ctrl_c_ends_the_command_and_its_actors(world, inline, cluster, tmp_path, tally):
    words = [
        sys.executable, "-m", "sfal", "cooc", "sae", "--sae", world / "sae-0", "--model",
        world / "lm", "--site", "res", "--layer", "0", "--corpus", world / "corpus.jsonl",
        "--n-docs", str(spread.BUFFERS * BUFFER_DOCUMENTS), "--k", "8", "--part-windows", "100",
        "--data-dir", tmp_path, "--device", "cpu", "--threads", "1", "--ray", cluster.address,
    ]  # fmt: skip
    process = subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.rglob("manifest.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, stderr = process.communicate()
    assert time.monotonic() - sent < 3
    assert process.returncode == 130, stderr
    assert len(stderr.splitlines()) == 1, stderr
    while actors():
        assert time.monotonic() - sent < 30, "actors outlive their command"
        time.sleep(0.1)
    tally("interruptions: sfal cooc in Ray")


_DRIVER = """
import sys
from pathlib import Path

from collect.executors import spread
from sfal.collect.driver import collect

world, data, address = sys.argv[1:]
settings = spread.settings(
    Path(world), device="cpu", ray=address, examples=spread.EXAMPLES
)
for result in collect(spread.sources(Path(world)), settings, data):
    assert result.error is None, result.error
"""
