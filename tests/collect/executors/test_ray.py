"""Workers in a Ray cluster of several nodes on this machine: lost nodes, new nodes, killed drivers."""

import http.server
import os
import socket
import sys
import threading
import time

import pytest

from collect.executors import fakes
from collect.executors.fakes import Deadly, Square
from sfal.collect.executors import ray_cluster
from sfal.collect.executors.pool import Pool
from sfal.collect.executors.protocol import map_buffers
from sfal.errors import InvalidInputError, WorkerError

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def cluster():
    """A head that runs nothing, and a node with room for two workers."""
    from ray.cluster_utils import Cluster

    patched = pytest.MonkeyPatch()
    # The nodes are processes that find modules as this one does.
    patched.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.add_node(num_cpus=2)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        patched.undo()


def pool(cluster, folder, device="cpu", wait=60, **spec):
    return Pool(ray_cluster.RayActors(fakes.Spec(folder, **spec), cluster.address, device, wait))


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(ray_cluster, "threads_of_each", lambda device, workers: 1)


def test_nodes_that_are_lost_and_added_change_nothing(cluster, tmp_path, tally):
    lost = cluster.add_node(num_cpus=1)
    with pool(cluster, tmp_path) as executor:
        assert executor.workers == 3
        tasks = [
            Deadly(n, 0.05, folder=tmp_path, times=1) if n == 30 else Square(n, 0.05)
            for n in range(60)
        ]
        for number, answer in enumerate(map_buffers(executor, tasks)):
            assert answer.found == number**2
            if number == 8:
                cluster.remove_node(lost, allow_graceful=False)
            if number == 12:
                cluster.add_node(num_cpus=1)
        assert number == 59
    tally("kills: nodes of a Ray cluster")
    tally("kills: workers in Ray")


def test_a_task_that_kills_its_workers_is_named(cluster, tmp_path, tally):
    tasks = [Square(0), Deadly(1, folder=tmp_path), Square(2)]
    answers = []
    with pool(cluster, tmp_path) as executor, pytest.raises(WorkerError) as e:
        answers.extend(answer.found for answer in map_buffers(executor, tasks))
    assert e.value.message.startswith("3 workers died of number 1 (Ray worker ")
    tally("kills: workers in Ray", 3)


def test_errors_of_ours_are_answers(cluster, tmp_path):
    with pool(cluster, tmp_path) as executor:
        with pytest.raises(InvalidInputError, match="cannot be tokenised"):
            list(map_buffers(executor, [Square(1), fakes.Unprepared(2)]))
        assert [a.found for a in map_buffers(executor, [Square(3)])] == [9]
    with pytest.raises(InvalidInputError, match="cpu is refused"):
        pool(cluster, tmp_path, refused=("cpu",))


def test_every_gpu_gets_an_actor(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1, num_gpus=2)  # said, not had: nothing here uses them
    with pool(cluster, tmp_path, "cuda") as executor:
        assert executor.workers == 2
        assert [a.found for a in map_buffers(executor, map(Square, range(6)))][-1] == 25
    cluster.remove_node(node)


def test_a_cluster_that_loses_its_last_worker_is_given_up(cluster, tmp_path, tally):
    node = cluster.add_node(num_cpus=1, num_gpus=1)
    answers = []

    def lose():
        for number, answer in enumerate(
            map_buffers(executor, (Square(n, 0.05) for n in range(200)))
        ):
            answers.append(answer.found)
            if number == 3:
                cluster.remove_node(node, allow_graceful=False)

    with pool(cluster, tmp_path, "cuda", wait=12) as executor, pytest.raises(WorkerError) as e:
        lose()
    assert answers == [n**2 for n in range(len(answers))]
    assert 4 <= len(answers) < 200
    assert "no worker is left for " in e.value.message
    assert e.value.hint == "$do_again continues where it stopped"
    tally("kills: nodes of a Ray cluster")


def test_a_cluster_without_room_is_waited_for_and_given_up(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "threads_of_each", lambda device, workers: 64)
    started = time.monotonic()
    with pytest.raises(WorkerError) as e:
        pool(cluster, tmp_path, wait=3)
    assert 3 <= time.monotonic() - started < 15
    assert "no node of the Ray cluster has the 64 CPUs that a worker needs" in e.value.message


def test_an_address_without_a_cluster_is_refused_soon(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    quiet = http.server.SimpleHTTPRequestHandler
    quiet.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), quiet) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        for address in (f"127.0.0.1:{port}", f"127.0.0.1:{other.server_port}", "no.invalid:6379"):
            started = time.monotonic()
            with pytest.raises(InvalidInputError, match=f"no Ray cluster answers at {address}"):
                ray_cluster.RayActors(fakes.Spec(None), address, "cpu", 1)
            assert time.monotonic() - started < 15
        other.shutdown()
