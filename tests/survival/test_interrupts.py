"""Ctrl-C: every command ends soon, with exit code 130, and says how to continue."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CASES = ("sfal cooc", "sfal embeddings", "sfal merge", "sfal score", "sfal explain", "sfal run")
TIMES = 3
REACTION = 3
"""Seconds within which a command must end."""
WHILE_IMPORTING = 10


def interrupt(command):
    """Press Ctrl-C; return how the command ended, and after how many seconds."""
    command.send(signal.SIGINT)
    sent = time.monotonic()
    return command.wait(), time.monotonic() - sent


@pytest.mark.parametrize("name", CASES)
def test_it_ends_soon_and_the_same_command_goes_on(world, unbroken, tmp_path, tally, name):
    case = world.cases[name]
    expected = unbroken(case)
    moments = random.Random(name)
    data = tmp_path / "data"
    case.prepare(data)
    before = {path.name for path in data.rglob("*")}
    stopped, latest = 0, 0.8
    while stopped < TIMES:
        command = world.launched.start(*case.words(data))
        time.sleep(moments.uniform(0.05, latest) * expected.seconds)
        done, seconds = interrupt(command)
        if done.returncode == 0:
            latest *= 0.9
            shutil.rmtree(data)
            case.prepare(data)
            continue
        assert seconds < REACTION
        assert done.returncode == 130, done.stderr
        (line,) = (line for line in done.stderr.splitlines() if "no better than chance" not in line)
        assert line.startswith("Interrupted. ")
        assert "same command" in line
        left = {path.name for path in data.rglob("*") if path.is_file()} - before
        assert not [name for name in left if name.startswith(".tmp")]
        stopped += 1
    world.finishes(case, data, expected)
    tally(f"interruptions: {name}", stopped)


def test_cooc_says_which_documents_are_kept(halfway, tally):
    command, _ = halfway
    done, _ = interrupt(command)
    assert done.returncode == 130
    assert "windows of the documents before " in done.stderr
    assert "the same command continues from there" in done.stderr
    tally("interruptions: sfal cooc")


def test_the_demo_leaves_nothing(world, tally):
    command = world.launched.start("demo")
    while not list(world.launched.temporary.glob("sfal-demo-*")):
        time.sleep(0.01)
    time.sleep(0.5)
    done, seconds = interrupt(command)
    assert seconds < REACTION
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith("Interrupted. Nothing was kept; `sfal demo` starts over.\n")
    assert not list(world.launched.temporary.glob("sfal-demo-*"))
    tally("interruptions: sfal demo")


@pytest.mark.parametrize(
    ("name", "library"), [("sfal cooc", "libtorch_cpu"), ("sfal score", "libarrow")]
)
def test_it_ends_while_it_still_imports_too(world, tmp_path, tally, name, library):
    case = world.cases[name]
    case.prepare(tmp_path / "data")
    words = [sys.executable, "-m", "sfal", *map(str, case.words(tmp_path / "data"))]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    while library not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGINT)
    sent = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - sent < WHILE_IMPORTING
    assert process.returncode == 130, stderr
    assert stderr.startswith("Interrupted. ")
    assert "same command" in stderr
    assert len(stderr.splitlines()) == 1
    tally(f"interruptions: {name}, importing")
