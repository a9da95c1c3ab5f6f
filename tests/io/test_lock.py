import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sfal.errors import ArtifactError, LockedError
from sfal.io.lock import LOCK, folder_lock

HOLD = """
import sys
from pathlib import Path
from sfal.io.lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_with_the_owners_id_and_start_time(tmp_path, holder):
    refused = pytest.raises(LockedError, match=rf"process {holder.pid}, started 20\d\d-")
    with refused, folder_lock(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_stale(tmp_path, holder, tally):
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == holder.pid
    with folder_lock(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()
    tally("kills: owner of a folder")


def test_the_folder_is_free_when_the_owner_has_ended(tmp_path, holder):
    holder.communicate("")
    assert not (tmp_path / LOCK).exists()
    with folder_lock(tmp_path):
        pass


def test_one_process_cannot_hold_a_folder_twice(tmp_path):
    with folder_lock(tmp_path):
        refused = pytest.raises(LockedError, match=f"process {os.getpid()}")
        with refused, folder_lock(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()


def _write(folder, **owner):
    (folder / LOCK).write_text(json.dumps({"host": socket.gethostname(), **owner}))


def test_a_reused_process_id_with_another_start_time_is_stale(tmp_path, tally):
    _write(tmp_path, pid=os.getppid(), start_ticks=1, started="2026-01-01")
    with folder_lock(tmp_path):
        pass
    tally("faults: process id of a lock in use again")


def test_a_living_process_named_in_the_file_holds_it_even_without_the_kernels_lock(tmp_path):
    ticks = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[19])
    _write(tmp_path, pid=os.getppid(), start_ticks=ticks, started="2026-01-01")
    with pytest.raises(LockedError, match=f"process {os.getppid()}"), folder_lock(tmp_path):
        pass


def test_the_lock_of_another_host_is_respected_and_says_what_to_remove(tmp_path):
    _write(tmp_path, pid=1, host="elsewhere", started="2026-01-01")
    with (
        pytest.raises(LockedError, match=rf"on host elsewhere; if that has ended, remove .*{LOCK}"),
        folder_lock(tmp_path),
    ):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": -1}', "\0\0"])
def test_a_file_that_names_nobody_is_taken_over(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    if content == '{"pid": -1}':
        _write(tmp_path, pid=-1)
    with folder_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="file"), folder_lock(tmp_path / "file" / "below"):
        pass


def test_an_empty_folder_goes_when_nothing_came_of_it(tmp_path):
    with folder_lock(tmp_path / "model" / "source"):
        pass
    assert not (tmp_path / "model").exists()
    with folder_lock(tmp_path / "data" / "model" / "source" / "export", tmp_path / "data"):
        pass
    assert list((tmp_path / "data").iterdir()) == []
    with folder_lock(tmp_path / "model" / "source"):
        (tmp_path / "model" / "source" / "manifest.json").write_text("{}")
    assert (tmp_path / "model" / "source" / "manifest.json").exists()
