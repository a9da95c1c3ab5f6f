"""Pushes and pulls killed at random moments: the same command finishes them."""

import random
import shutil
import signal
import time

import pytest

from servers import faults
from sfal.store.layout import MANIFEST
from sfal.store.verify import verify_tree
from sharing.test_pull import assert_pulled
from sharing.trees import REPO, SOURCE, files, without_manifests

KILLS = 12


def assert_whole_or_absent(tree):
    """No manifest names a part that is not there as it was counted."""
    if list(tree.rglob(MANIFEST)):
        assert not [checked for checked in verify_tree(tree) if checked.problems]


def kill_until(world, words, moments, between, seconds):
    """Repeat a command that is killed until it has been killed often enough; `between` looks on."""
    killed = 0
    while killed < KILLS:
        command = world.launched.start(*words)
        time.sleep(moments.uniform(0, seconds))
        command.send(signal.SIGKILL)
        done = command.wait()
        killed += done.returncode == -signal.SIGKILL
        between(done)


@pytest.mark.slow
def test_a_killed_push_goes_on_where_it_stopped(world, tally):
    world.hub.pause = 0.04
    words = ("push", SOURCE, "--repo", REPO, "--data-dir", world.original)
    started = time.monotonic()
    assert world.launched.run(*words).returncode == 0
    seconds = time.monotonic() - started
    sent = len(world.hub.stored)
    shutil.rmtree(world.hub.root)
    for kept in (world.hub.repositories, world.hub.objects, world.hub.stored):
        kept.clear()

    def between(done):
        time.sleep(2 * world.hub.pause)  # what was on its way arrives
        assert_whole_or_absent(world.hub.root)
        if done.returncode == 0:
            assert len(set(world.hub.stored)) == sent
            shutil.rmtree(world.hub.root)
            for kept in (world.hub.repositories, world.hub.objects, world.hub.stored):
                kept.clear()

    kill_until(world, words, random.Random(1), between, seconds)
    tally("kills: sfal push", KILLS)
    done = world.launched.run(*words)
    assert done.returncode == 0, done.stderr
    theirs = files(world.hub.folder(REPO))
    assert without_manifests(theirs) == without_manifests(files(world.original))
    assert len(world.hub.stored) == len(set(world.hub.stored)) == sent


@pytest.mark.slow
def test_a_killed_pull_goes_on_where_it_stopped(pushed, tmp_path, tally):
    for path in pushed.hub.files("datasets", REPO):
        pushed.hub.fault(f"GET {REPO}/{path}", faults.delayed(0.04))
    data = tmp_path / "here"
    words = ("pull", SOURCE, "--repo", REPO, "--data-dir", data)
    started = time.monotonic()
    assert pushed.launched.run(*words).returncode == 0
    seconds = time.monotonic() - started
    shutil.rmtree(data)

    def between(done):
        if data.exists():
            assert_whole_or_absent(data)
        if done.returncode == 0:
            assert_pulled(data, pushed.original)
            shutil.rmtree(data)

    kill_until(pushed, words, random.Random(2), between, seconds)
    tally("kills: sfal pull", KILLS)
    done = pushed.launched.run(*words)
    assert done.returncode == 0, done.stderr
    assert_pulled(data, pushed.original)


def test_a_part_that_was_fetched_before_a_kill_is_not_fetched_again(pushed, tmp_path):
    last = f"{SOURCE}/occurrences/part-000009.parquet"
    pushed.hub.fault(f"GET {REPO}/{last}", faults.silence)
    command = pushed.launched.start("pull", SOURCE, "--repo", REPO, "--data-dir", tmp_path / "here")
    end = time.monotonic() + 60
    while not any(last in path for path in pushed.hub.requests):
        assert time.monotonic() < end
        time.sleep(0.01)
    command.send()
    command.wait()
    pushed.hub._faults.clear()
    before = len(pushed.hub.requests)
    assert pushed.pull(tmp_path / "here").returncode == 0
    fetched = [path for path in pushed.hub.requests[before:] if "occurrences/part-00000" in path]
    assert not [path for path in fetched if "part-000009" not in path and "/runs/" not in path]
    assert_pulled(tmp_path / "here", pushed.original)


def test_ctrl_c_stops_a_push_and_says_so(world):
    world.hub.pause = 0.3
    command = world.launched.start("push", SOURCE, "--repo", REPO, "--data-dir", world.original)
    while not world.hub.stored:
        time.sleep(0.01)
    command.send(signal.SIGINT)
    done = command.wait()
    assert done.returncode == 130
    assert f"while sending {SOURCE}" in done.stderr
    assert "Traceback" not in done.stderr
