"""Hostile pickles are refused by name, without side effects, in little memory."""

import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sfal.errors import ArtifactError
from sfal.store.published.frames import read_frame
from store.published import pickle_writer as w
from store.published.hostile_pickles import corpus

READER = Path(__file__).with_name("read_hostile.py")
MEMORY = 256 << 20


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    names = {}
    for i, (name, content, word) in enumerate(corpus()):
        (folder / f"{i:04}.pkl").write_bytes(content)
        names[f"{i:04}.pkl"] = name, word
    before = set(folder.iterdir())
    result = folder / "report.json"
    done = subprocess.run(
        [sys.executable, str(READER), str(folder), str(result)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(folder.iterdir()) - before == {result}
    for path in before:
        path.unlink()
    return names, json.loads(result.read_text())


def test_there_are_at_least_200_hostile_pickles(report):
    assert len(report[0]) >= 200


def test_each_is_refused_with_the_file_and_the_object_named(report, tally):
    names, found = report
    wrong = {}
    for file, (name, word) in names.items():
        outcome = found["files"][file]["outcome"]
        if not (outcome.startswith("refused: ") and file in outcome and word in outcome):
            wrong[name] = f"expected {word!r} in {outcome[:300]}"
    assert not wrong
    tally("hostile inputs: pickles", len(names))


def test_none_imports_calls_or_writes_anything(report):
    names, found = report
    seen = {names[file][0]: one["events"] for file, one in found["files"].items() if one["events"]}
    assert not seen


def test_reading_all_of_them_takes_little_memory(report):
    assert report[1]["peak"] < MEMORY


def test_an_honest_frame_from_the_same_writer_is_read(tmp_path):
    path = tmp_path / "frame.pkl"
    path.write_bytes(w.frame())
    frame = read_frame(path)
    assert frame.names == ["index", "embedding", "description"]
    assert frame.integers("index").tolist() == [0, 1]
    assert frame.vectors("embedding").tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert frame.values("description") == ["a", "b"]
    words = w.arrow_text(2, (w.buffer(b"\2"), w.offsets(0, 0, 2), w.buffer(b"ab")))
    path.write_bytes(w.frame(words=w.block(words, w.placed(2, 3))))
    assert read_frame(path).values("description") == [None, "ab"]


@pytest.mark.parametrize("code", [b"]a", b"Na", b")a", b"}a", b"(a", b"}NNsa", b"](Neq\x00a"])
def test_what_a_small_file_describes_is_limited(tmp_path, monkeypatch, code):
    monkeypatch.setattr("sfal.store.published.pickle_state.MEMORY_LIMIT", 10 << 20)
    path = tmp_path / "frame.pkl"
    path.write_bytes(w.pickled(b"]" + code * 1_000_000))
    with pytest.raises(ArtifactError, match=r"MiB|nested|not there"):
        read_frame(path)


def test_flipped_bytes_are_read_or_refused_but_never_crash(tmp_path, tally):
    rng = random.Random(7)
    whole = pickle.dumps(
        pd.DataFrame(
            {
                "index": [0, 1, 2],
                "description": ["a", None, "c"],
                "embedding": [[0.5] * 20, list(np.arange(20.0)), [1.0] * 20],
            }
        )
    )
    path = tmp_path / "frame.pkl"
    refused = 0
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 5])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        try:
            frame = read_frame(path)
            for name in frame.names:
                (frame.vectors if name == "embedding" else frame.values)(name)
        except ArtifactError:
            refused += 1
    assert 0 < refused < 1500
    tally("hostile inputs: pickles", 1500)
