"""One writer per folder: on one host, between hosts, with and without the kernel's locks."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sfal.errors import ArtifactError, LockedError
from sfal.io import lock, processes
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
    """Another process that holds the folder until its standard input is closed."""
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


def owner(folder):
    return json.loads((folder / LOCK).read_text())


def write_lock(folder, **fields):
    """Write the lock of an owner that does not hold the kernel's lock."""
    (folder / LOCK).write_text(json.dumps({"host": processes.host(), **fields}))


def living_process():
    """Fields of a lock whose owner runs."""
    pid = os.getppid()
    return {"pid": pid, "start_ticks": processes.start_ticks(pid), "started": "2026-01-01"}


def make_older(folder, seconds):
    then = time.time() - seconds
    os.utime(folder / LOCK, (then, then))


def test_a_second_process_is_refused_with_the_owners_id_and_start_time(tmp_path, holder):
    refused = pytest.raises(LockedError, match=rf"process {holder.pid}, started 20\d\d-")
    with refused, folder_lock(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_stale(tmp_path, holder, tally):
    holder.kill()
    holder.wait()
    assert owner(tmp_path)["pid"] == holder.pid
    with folder_lock(tmp_path):
        assert owner(tmp_path)["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()
    tally("kills: owner of a folder")


def test_the_folder_is_free_when_the_owner_has_ended(tmp_path, holder):
    holder.communicate("")
    assert not (tmp_path / LOCK).exists()
    with folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("kernel_locks", [True, False])
def test_one_process_cannot_hold_a_folder_twice(tmp_path, monkeypatch, kernel_locks):
    if not kernel_locks:
        forbid_kernel_locks(monkeypatch)
    with folder_lock(tmp_path):
        refused = pytest.raises(LockedError, match=f"process {os.getpid()}")
        with refused, folder_lock(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def test_a_reused_process_id_with_another_start_time_is_stale(tmp_path, tally):
    write_lock(tmp_path, pid=os.getppid(), start_ticks=1, started="2026-01-01")
    with folder_lock(tmp_path):
        pass
    tally("faults: process id of a lock in use again")


def test_a_living_process_named_in_the_file_holds_it_even_without_the_kernels_lock(tmp_path):
    write_lock(tmp_path, **living_process())
    with pytest.raises(LockedError, match=f"process {os.getppid()}"), folder_lock(tmp_path):
        pass


def forbid_kernel_locks(monkeypatch):
    """Behave as on a file system that has no locks."""
    monkeypatch.setattr(lock, "_flock", lambda descriptor: None)
    monkeypatch.setattr(lock, "_SETTLING_SECONDS", 0.01)


def move_to_another_host(monkeypatch, name="elsewhere"):
    monkeypatch.setattr(processes, "host", lambda: name)


def test_the_kernels_lock_decides_between_hosts_where_it_reaches_them(
    tmp_path, holder, monkeypatch, tally
):
    move_to_another_host(monkeypatch)
    monkeypatch.setattr(lock, "_kernel_decides", lambda folder: True)
    with (
        pytest.raises(LockedError, match=f"process {holder.pid}, .*on host "),
        folder_lock(tmp_path),
    ):
        pass
    holder.kill()
    holder.wait()
    with folder_lock(tmp_path):
        assert owner(tmp_path)["host"] == "elsewhere"
    tally("kills: owner of a folder on another host")


@pytest.mark.parametrize("kernel_locks", [True, False])
def test_elsewhere_the_time_stamp_decides_between_hosts(tmp_path, monkeypatch, tally, kernel_locks):
    if not kernel_locks:
        forbid_kernel_locks(monkeypatch)
    monkeypatch.setattr(lock, "_kernel_decides", lambda folder: False)
    write_lock(tmp_path, pid=1, host="elsewhere", started="2026-01-01")
    make_older(tmp_path, lock.STALE_SECONDS - 60)
    with (
        pytest.raises(LockedError, match=r"on host elsewhere; .* lapses within 10 minutes"),
        folder_lock(tmp_path),
    ):
        pass
    make_older(tmp_path, lock.STALE_SECONDS + 1)
    with folder_lock(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
        assert owner(tmp_path)["pid"] == os.getpid()
    tally("faults: stale lock of another host")


def test_the_age_of_a_lock_is_told_by_the_file_systems_clock(tmp_path, monkeypatch):
    write_lock(tmp_path, pid=1, host="elsewhere")
    monkeypatch.setattr(lock, "_kernel_decides", lambda folder: False)
    monkeypatch.setattr(time, "time", lambda: 1e12)
    with pytest.raises(LockedError), folder_lock(tmp_path):
        pass


def test_an_owner_renews_its_time_stamp(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "RENEWAL_SECONDS", 0.01)
    with folder_lock(tmp_path):
        make_older(tmp_path, 3600)
        end = time.monotonic() + 10
        while time.time() - (tmp_path / LOCK).stat().st_mtime > 1800:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_an_owner_that_stood_still_neither_renews_nor_removes_its_successors_lock(
    tmp_path, monkeypatch, caplog
):
    forbid_kernel_locks(monkeypatch)
    monkeypatch.setattr(lock, "RENEWAL_SECONDS", 0.01)
    with folder_lock(tmp_path):
        successor = {"pid": 7, "host": "elsewhere"}
        (tmp_path / LOCK).write_text(json.dumps(successor))
        end = time.monotonic() + 10
        while "taken this lock over" not in caplog.text:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert owner(tmp_path) == successor


def test_of_two_that_take_a_lock_at_once_without_the_kernels_the_later_one_holds_it(
    tmp_path, monkeypatch
):
    forbid_kernel_locks(monkeypatch)

    def overwritten(seconds):
        write_lock(tmp_path, pid=7, host="elsewhere")

    monkeypatch.setattr(lock.time, "sleep", overwritten)
    with pytest.raises(LockedError, match="process 7"), folder_lock(tmp_path):
        pass
    assert owner(tmp_path)["pid"] == 7


def test_where_no_system_tells_when_processes_started_the_stamp_decides(tmp_path, monkeypatch):
    """As on macOS and Windows, where an id may be that of another process by now."""
    forbid_kernel_locks(monkeypatch)
    monkeypatch.setattr(processes, "start_ticks", lambda pid: None)
    write_lock(tmp_path, pid=os.getppid(), start_ticks=None)
    make_older(tmp_path, lock.STALE_SECONDS - 60)
    with pytest.raises(LockedError), folder_lock(tmp_path):
        pass
    make_older(tmp_path, lock.STALE_SECONDS + 1)
    with folder_lock(tmp_path):
        assert owner(tmp_path)["pid"] == os.getpid()


def test_a_living_process_whose_start_is_hidden_from_us_keeps_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "start_ticks", lambda pid: None)
    write_lock(tmp_path, pid=os.getppid(), start_ticks=1234)
    with pytest.raises(LockedError), folder_lock(tmp_path):
        pass


def test_a_file_that_cannot_be_removed_while_it_is_open_is_removed_when_it_is_closed(
    tmp_path, monkeypatch
):
    """As on Windows."""
    unlink, tries = Path.unlink, []

    def refused_once(path, **_):
        tries.append(path.name)
        if tries.count(LOCK) == 1 and path.name == LOCK:
            raise PermissionError(13, "it is open")
        unlink(path)

    monkeypatch.setattr(Path, "unlink", refused_once)
    with folder_lock(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()
    assert tries.count(LOCK) == 2


def test_without_the_kernels_locks_and_their_module_a_lock_is_held_all_the_same(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr(lock, "_SETTLING_SECONDS", 0.01)
    with folder_lock(tmp_path):
        assert owner(tmp_path)["pid"] == os.getpid()
        with pytest.raises(LockedError), folder_lock(tmp_path):
            pass
    assert not (tmp_path / LOCK).exists()


MOUNTS = """\
27 1 {device} / / rw,relatime - {kind} /dev/vda rw,{options}
28 1 0:999 / /elsewhere rw - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("kind", "options", "decides"),
    [
        ("ext4", "discard", True),
        ("nfs4", "vers=4.2,local_lock=none", True),
        ("nfs", "nolock,local_lock=all", False),
        ("nfs", "vers=3,local_lock=flock", False),
        ("lustre", "flock", True),
        ("lustre", "localflock", False),
        ("beegfs", "cfgFile=x", False),
        ("fuse.sshfs", "user_id=0", False),
    ],
)
def test_where_the_kernels_lock_reaches_other_hosts(tmp_path, monkeypatch, kind, options, decides):
    number = tmp_path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    text = MOUNTS.format(device=device, kind=kind, options=options)
    monkeypatch.setattr(Path, "read_text", lambda path, **_: text)
    assert lock._kernel_decides(tmp_path) is decides


def test_without_a_table_of_mounts_the_kernels_lock_decides_nothing(tmp_path, monkeypatch):
    def missing(path, **_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert lock._kernel_decides(tmp_path) is False


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": -1}', "\0\0"])
def test_a_file_that_names_nobody_is_taken_over(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    if content == '{"pid": -1}':
        write_lock(tmp_path, pid=-1)
    with folder_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="file"), folder_lock(tmp_path / "file" / "below"):
        pass


def test_an_empty_folder_is_removed_with_its_lock(tmp_path):
    with folder_lock(tmp_path / "model" / "source"):
        pass
    assert not (tmp_path / "model").exists()
    with folder_lock(tmp_path / "data" / "model" / "source" / "export", tmp_path / "data"):
        pass
    assert list((tmp_path / "data").iterdir()) == []
    with folder_lock(tmp_path / "model" / "source"):
        (tmp_path / "model" / "source" / "manifest.json").write_text("{}")
    assert (tmp_path / "model" / "source" / "manifest.json").exists()


def test_a_lock_that_cannot_be_written_is_removed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lock.os, "write", full)
    with pytest.raises(ArtifactError, match="disk is full"), folder_lock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file_in_the_locks_place_is_refused_and_left_alone(tmp_path, kind):
    folder, other = tmp_path / "source", tmp_path / "precious"
    folder.mkdir()
    other.write_text("mine")
    if kind == "link":
        (folder / LOCK).symlink_to(other)
    else:
        (folder / LOCK).mkdir()
    with pytest.raises(ArtifactError, match="cannot be the lock"), folder_lock(folder):
        pass
    assert other.read_text() == "mine"
