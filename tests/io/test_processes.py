"""Whether a process runs, with and without /proc."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sfal.io import processes


def ended_pid():
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture(params=["with /proc", "without /proc"])
def proc(request, monkeypatch):
    if request.param == "without /proc":

        def missing(path, *_, **__):
            raise FileNotFoundError(str(path))

        for name in ("read_text", "stat", "exists"):
            monkeypatch.setattr(Path, name, missing)
    return request.param


@pytest.mark.usefixtures("proc")
def test_a_running_process_is_alive_and_one_that_ended_is_not():
    assert processes.is_alive(os.getpid())
    assert processes.is_alive(os.getppid())
    assert not processes.is_alive(ended_pid())
    assert not processes.is_alive(0)
    assert not processes.is_alive(-1)
    assert not processes.is_alive(1 << 80)


def test_a_process_of_another_account_is_alive(monkeypatch):
    def refused(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert processes.is_alive(5)


def test_on_windows_no_process_is_sent_what_would_be_ctrl_c_there(monkeypatch):
    monkeypatch.setattr(os, "kill", None)
    monkeypatch.setattr(processes.os, "name", "nt")
    assert processes.is_alive(5)


def test_the_start_of_a_process_is_known_only_with_proc(proc):
    ticks = processes.start_ticks(os.getpid())
    assert (ticks is None) == (proc == "without /proc")
    now = datetime.now(UTC)
    assert now - timedelta(days=1) < processes.start_time(ticks) <= now + timedelta(seconds=2)
    assert processes.host()


def test_containers_on_one_host_are_told_apart(monkeypatch):
    monkeypatch.setattr(processes, "_FIRST_PID_NAMESPACE", 1)
    inside = processes.host()
    monkeypatch.setattr(processes, "_FIRST_PID_NAMESPACE", Path("/proc/self/ns/pid").stat().st_ino)
    assert inside.startswith(f"{processes.host()}~")
