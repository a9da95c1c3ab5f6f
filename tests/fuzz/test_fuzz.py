"""Damaged and malicious files: readers accept or refuse them by name, soon, in little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")
CORPUS = Path(__file__).parents[1] / "data" / "fuzz"
INPUTS = 150
"""Inputs per target. `SFAL_FUZZ_SECONDS` sets a time per target instead."""
MEMORY = 512 << 20


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    work = tmp_path_factory.mktemp("fuzz")
    seconds = os.environ.get("SFAL_FUZZ_SECONDS", "0")
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            RUN,
            work,
            work / "report.json",
            str(INPUTS),
            seconds,
        ],
        capture_output=True,
        text=True,
        timeout=250 + 20 * float(seconds),
    )
    # After a crash, the input that caused it is still in its target's folder.
    assert done.returncode == 0, f"{work}: {done.stderr[-3000:]}"
    found = json.loads((work / "report.json").read_text())
    wrong = [one for target in found["targets"].values() for one in target["wrong"]]
    left = {path.name for path in work.iterdir()} - set(found["targets"]) - {"report.json"}
    found["left"] = left - {Path(one.partition(": ")[0]).name for one in wrong}
    return found


def test_every_reader_accepts_some_and_refuses_some(report, tally):
    for name, found in report["targets"].items():
        assert found["read"] > 0, name
        assert found["refused"] > 0, name
    if "SFAL_FUZZ_SECONDS" not in os.environ:
        tally(
            "hostile inputs: files of every kind, changed at random",
            INPUTS * len(report["targets"]),
        )


def test_every_refusal_is_an_intended_error(report):
    assert [one for found in report["targets"].values() for one in found["wrong"]] == []


def test_no_input_takes_much_memory_or_writes_elsewhere(report):
    assert report["taken"] < MEMORY
    assert report["left"] == set()
