"""A folder that two hosts share: a killed command goes on elsewhere, and never do two write.

The hosts are processes with other names. Where `stamps` decide, the file system is one
without the kernel's locks; the times after which a lock is stale are shortened.
"""

import subprocess
import sys
import time

import pytest

from sfal.io.lock import LOCK
from sfal.store.verify import verify_tree
from survival.world import MERGED, snapshot, write_shards

STALE = 1.5

ON_HOST = f"""
import sys, time
from sfal.io import lock, processes
host, how, *words = sys.argv[1:]
processes.host = lambda: host
lock.RENEWAL_SECONDS, lock.STALE_SECONDS = 0.2, {STALE}
if how == "stamps":
    lock._flock = lambda descriptor: None
    lock._kernel_decides = lambda folder: False
else:
    lock._kernel_decides = lambda folder: True
"""

MERGE = """
from sfal.collect import merge
copy = merge._copy
merge._copy = lambda *given: (time.sleep(0.03), copy(*given))
from sfal.cli.main import main
main(words)
"""

TAKE_TURNS = """
import os
from pathlib import Path
from sfal.errors import LockedError
folder, times = Path(words[0]), int(words[1])
inside, held = folder / "inside", 0
end = time.monotonic() + 60
while held < times and time.monotonic() < end:
    try:
        with lock.folder_lock(folder):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails if somebody else is inside
            time.sleep(0.02)
            inside.unlink()
            held += 1
    except LockedError:
        time.sleep(0.05)
print(held)
"""


def start(host, how, script, *words):
    return subprocess.Popen(
        [sys.executable, "-c", ON_HOST + script, host, how, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process):
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards", n_runs=3, n_parts=15)


def merge(host, how, shards, data):
    return start(host, how, MERGE, "merge", shards, "--data-dir", data)


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("how", ["locks", "stamps"])
def test_after_a_kill_the_command_goes_on_on_another_host(shards, tmp_path, how, tally):
    code, _, err = ended(merge("a", how, shards, tmp_path / "undisturbed"))
    assert code == 0, err
    data = tmp_path / "data"
    killed = merge("node-a", how, shards, data)
    wait_for(data / MERGED / "occurrences" / "part-000010.parquet")
    killed.kill()
    killed.communicate()
    assert (data / MERGED / LOCK).exists()
    if how == "stamps":
        code, _, err = ended(merge("node-b", how, shards, data))
        assert code == 1
        assert "on host node-a" in err
        assert "lapses within" in err
        time.sleep(STALE)
    code, _, err = ended(merge("node-b", how, shards, data))
    assert code == 0, err
    assert snapshot(data) == snapshot(tmp_path / "undisturbed")
    assert not [checked for checked in verify_tree(data) if checked.problems]
    tally("kills: owner of a folder on another host")


@pytest.mark.parametrize("how", ["locks", "stamps"])
def test_a_living_writer_is_never_joined_by_one_of_another_host(shards, tmp_path, how):
    data = tmp_path / "data"
    code, _, err = ended(merge("a", how, shards, tmp_path / "undisturbed"))
    assert code == 0, err
    living = start(
        "node-a", how,
        MERGE.replace("time.sleep(0.03)", "time.sleep(0.2)"), "merge", shards, "--data-dir", data,
    )  # fmt: skip
    wait_for(data / MERGED / LOCK)
    time.sleep(0.6)
    refused = 0
    while living.poll() is None:
        code, _, err = ended(merge("node-b", how, shards, data))
        if living.poll() is None:
            assert code == 1
            assert "on host node-a" in err
            refused += 1
    assert refused >= 2
    assert ended(living)[0] == 0
    assert snapshot(data) == snapshot(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["locks", "stamps"])
def test_processes_of_three_hosts_take_turns(tmp_path, how):
    times = 4
    processes = [
        start(f"node-{i % 3}", how, TAKE_TURNS, tmp_path / "shared", times) for i in range(6)
    ]
    held = 0
    for process in processes:
        code, out, err = ended(process)
        assert code == 0, err
        held += int(out)
    # Without the kernel's locks a lock takes half a second, and only one at a time is given.
    assert held >= (6 * times if how == "locks" else times)
