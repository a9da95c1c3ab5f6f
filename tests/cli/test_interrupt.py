"""Ctrl-C where it is misread or swallowed: the process ends anyway."""

import signal
import subprocess
import sys
import time

# A thread that cannot be stopped, such as libraries start, and code that waits for it.
STUCK = """
import threading, time
from sfal.cli.interrupt import CtrlC
with CtrlC():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        threading.Event().wait(60)
"""
FAILING_IMPORT = """
import time
from sfal.cli import main as cli

def half_imported(name):
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError(f"{name} is half imported") from None

cli.import_module = half_imported
cli.main(["merge"])
"""
PARSING = """
import time
from sfal.cli import main as cli

def parsed(*args, **kwargs):
    print("ready", flush=True)
    time.sleep(60)

cli.sfal.make_context = parsed
cli.main(["merge"])
"""
# A destructor swallows the exceptions raised in it.
DESTROYING = """
import time, types
import click
from sfal.cli import main as cli

class Slow:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(60)

def destroying(name):
    Slow()
    return types.SimpleNamespace(merge=click.Command("merge"))

cli.import_module = destroying
cli.main(["merge"])
"""
# Ctrl-C ends the main thread at once, while another thread is writing a file.
WRITING = """
import sys, threading, time
from pathlib import Path
from sfal.cli import main as cli
from sfal.io.atomic import atomic_path

def write():
    with atomic_path(Path(sys.argv[1]) / "large") as temporary:
        temporary.write_text("half of it")
        print("ready", flush=True)
        time.sleep(60)

def writing(name):
    threading.Thread(target=write, daemon=True).start()
    time.sleep(60)

cli.import_module = writing
cli.main(["merge"])
"""
SAID = "Interrupted. Run the same command again to continue where it stopped.\n"


def interrupted(script, *words):
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr, time.monotonic() - started


def test_an_endless_wait_is_ended():
    code, stderr, seconds = interrupted(STUCK)
    assert (code, stderr) == (130, SAID)
    assert seconds < 3


def test_an_import_that_it_breaks_is_not_reported_as_a_failure():
    code, stderr, seconds = interrupted(FAILING_IMPORT)
    assert (code, stderr) == (130, SAID)
    assert seconds < 1


def test_it_prints_a_single_line_while_the_command_line_is_parsed():
    code, stderr, _ = interrupted(PARSING)
    assert (code, stderr) == (130, SAID)


def test_it_ends_the_process_even_if_a_destructor_swallows_it():
    code, stderr, _ = interrupted(DESTROYING)
    assert (code, stderr) == (130, SAID)


def test_a_file_that_a_thread_is_writing_is_removed(tmp_path):
    code, stderr, _ = interrupted(WRITING, tmp_path)
    assert (code, stderr) == (130, SAID)
    assert list(tmp_path.iterdir()) == []
