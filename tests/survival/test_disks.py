"""Full and read-only disks: one error that says so, and existing files stay intact."""

import shutil
import subprocess

import pytest

CASES = ["sfal cooc", "sfal embeddings", "sfal merge", "sfal score"]
DISK = 24 << 20
STEP = 16 << 10
LEAST = 3
"""Refusals before there is enough room: in the lock, in a part, in the files written last."""


def mount(folder, options):
    return subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True
    ).returncode


@pytest.fixture
def disk(tmp_path):
    """A small disk for the data folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if mount(folder, f"size={DISK}"):
        pytest.skip("no permission to mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(disk, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def leave(disk, filler, room):
    """Fill the disk except for `room` bytes."""
    filler.unlink(missing_ok=True)
    n_bytes = shutil.disk_usage(disk).free - room
    if n_bytes > 0:
        filler.write_bytes(bytes(n_bytes))


@pytest.mark.parametrize("name", CASES)
def test_a_disk_full_at_any_point_is_named_and_the_run_goes_on_when_there_is_room(
    world, unbroken, disk, tally, name
):
    case = world.cases[name]
    expected = unbroken(case)
    data, filler = disk / "data", disk / "filler"
    case.prepare(data)
    room, refused = 0, 0
    while True:
        leave(disk, filler, room)
        done = world.launched.run(*case.words(data))
        if done.returncode == 0:
            break
        refused += 1
        lines = [line for line in done.stderr.splitlines() if "no better than chance" not in line]
        assert len(lines) <= 2, done.stderr
        assert "the disk is full" in done.stderr
        assert f"cannot write {data}" in done.stderr
        assert not list(data.rglob(".tmp*"))
        # What it wrote stays, so it gets further each time.
        room += STEP
    assert refused >= LEAST
    filler.unlink()
    world.finishes(case, data, expected)
    tally(f"faults: disk full under {name}", LEAST)


@pytest.mark.parametrize("name", CASES)
def test_a_read_only_disk_is_named_and_left_as_it_is(world, unbroken, disk, tally, name):
    case = world.cases[name]
    expected = unbroken(case)
    data = disk / "data"
    case.prepare(data)
    before = sorted(data.rglob("*"))
    remount(disk, "ro")
    done = world.launched.run(*case.words(data))
    assert done.returncode == 1
    assert "the file system is read-only" in done.stderr
    assert f"cannot write {data}" in done.stderr
    assert sorted(data.rglob("*")) == before
    remount(disk, "rw")
    world.finishes(case, data, expected)
    tally(f"faults: read-only disk under {name}")
