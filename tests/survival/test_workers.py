"""`sfal cooc --devices`: killed and interrupted, it leaves no process and loses nothing."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

ENDS = 3
"""Seconds within which workers end after their command."""


def workers_of(pid):
    """Process ids of the workers that a command has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            line = (stat.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid and state != "Z" and b"executors.worker" in line:
            found.append(int(stat.parent.name))
    return found


def ended(pids):
    """Seconds until all of these processes have ended."""
    started = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() - started < 30
        time.sleep(0.01)
    return time.monotonic() - started


def stopped(world, words, data, *, whole_group):
    """Start a command with workers, stop it after its first part; return its end and its workers."""
    while True:
        command = world.launched.start(*words, "--devices", "cpu:2")
        end = time.monotonic() + 120
        while not list(data.rglob("manifest.json")):
            assert time.monotonic() < end
            time.sleep(0.01)
        workers = workers_of(command.pid)
        for pid in workers if whole_group else []:
            os.kill(pid, signal.SIGINT)
        command.send(signal.SIGINT if whole_group else signal.SIGKILL)
        sent = time.monotonic()
        done = command.wait()
        assert time.monotonic() - sent < ENDS
        assert ended(workers) < ENDS
        if done.returncode != 0:
            assert len(workers) == 2
            return done
        shutil.rmtree(data)  # it was done already


@pytest.fixture
def spread(cooc):
    """The words of `sfal cooc`, whose device `--devices` names."""

    def words(data):
        found = list(cooc.words(data))
        at = found.index("--device")
        del found[at : at + 2]
        return found

    return words


def test_no_worker_outlives_a_killed_command(world, unbroken, cooc, spread, tmp_path, tally):
    data = tmp_path / "data"
    expected = unbroken(cooc)
    done = stopped(world, spread(data), data, whole_group=False)
    assert done.returncode == -signal.SIGKILL
    # One process continues what several began, with the same bytes.
    world.finishes(cooc, data, expected)
    tally("kills: sfal cooc with workers")


def test_ctrl_c_ends_command_and_workers(world, unbroken, cooc, spread, tmp_path, tally):
    data = tmp_path / "data"
    expected = unbroken(cooc)
    # A terminal sends it to the whole group of processes.
    done = stopped(world, spread(data), data, whole_group=True)
    assert done.returncode == 130, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "windows of the documents before " in done.stderr
    world.finishes(cooc, data, expected)
    tally("interruptions: sfal cooc with workers")
