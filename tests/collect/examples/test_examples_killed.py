"""A pass for examples that is stopped at any moment continues, and gives the same bytes."""

import random
import signal
import time

import numpy as np
import pytest

import tiny
from collect import oracle
from servers.launcher import launcher
from sfal.collect.driver import collect
from sfal.collect.examples.top_activations import TopActivations
from sfal.collect.settings import CollectSettings
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.sources import SaeRef, Source
from sfal.store.examples_checkpoint import (
    DocumentText,
    ExamplesState,
    load_examples_state,
    remove_examples_state,
    save_examples_state,
)
from sfal.store.layout import EXAMPLES, EXAMPLES_STATE

COUNTED, BUFFERS = 20, 4
FURTHER = BUFFERS * BUFFER_DOCUMENTS - 30
"""The last buffer is cut short."""
LAYERS = (0, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    tiny.gemma2(root / "lm", layers=2)
    for layer in LAYERS:
        tiny.gemma_scope(root / f"sae{layer}", ".", 16, 64, seed=layer)
    oracle.write_jsonl(root / "corpus.jsonl", oracle.texts(COUNTED + FURTHER, longest=20))
    return root


def sources(root):
    found = []
    for layer in LAYERS:
        sae = SaeRef("local", path=str(root / f"sae{layer}"))
        model = str(root / "lm")
        found.append(Source(f"lm/{layer}", model=model, site="res", layer=layer, sae=sae))
    return found


def settings(root, **other):
    facts = {
        "corpus": str(root / "corpus.jsonl"),
        "n_docs": COUNTED,
        "window_size": 8,
        "device": "cpu",
        "examples": FURTHER,
    }
    return CollectSettings(**{**facts, **other})


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """Bytes of each source's examples, gathered in one go."""
    data = tmp_path_factory.mktemp("whole")
    results = collect(sources(world), settings(world), data)
    assert [result.error for result in results] == [None, None]
    return [(result.folder / EXAMPLES).read_bytes() for result in results]


def examples(data):
    return [(data / "lm" / str(layer) / EXAMPLES).read_bytes() for layer in LAYERS]


def stopping_at(call, monkeypatch):
    """Let the gathering be interrupted at a call; returns the first document of each call."""
    kept, calls = TopActivations.add, []

    def add(self, first, *arguments):
        if len(calls) == call:
            raise KeyboardInterrupt
        calls.append(first)
        kept(self, first, *arguments)

    monkeypatch.setattr(TopActivations, "add", add)
    return calls


@pytest.fixture
def saving_always(monkeypatch):
    monkeypatch.setattr("sfal.collect.examples.gather._SAVING", float("inf"))


@pytest.mark.usefixtures("saving_always")
def test_a_pass_continues_after_the_last_buffer_that_was_saved(world, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stopping_at(4, patched)
        with pytest.raises(KeyboardInterrupt):
            collect(sources(world), settings(world), tmp_path)
    assert all((tmp_path / "lm" / str(layer) / EXAMPLES_STATE).exists() for layer in LAYERS)
    monkeypatch.setattr("sfal.collect.count.count", None)  # counting would fail
    calls = stopping_at(None, monkeypatch)
    collect(sources(world), settings(world), tmp_path)
    seen = [COUNTED + i * BUFFER_DOCUMENTS for i in range(2, BUFFERS)]
    assert calls == [first for first in seen for _ in LAYERS]
    assert examples(tmp_path) == whole
    assert not list(tmp_path.rglob(EXAMPLES_STATE))


@pytest.mark.usefixtures("saving_always")
def test_a_source_that_joins_later_begins_at_the_beginning(world, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stopping_at(2, patched)
        with pytest.raises(KeyboardInterrupt):
            collect(sources(world)[:1], settings(world), tmp_path)
    calls = stopping_at(None, monkeypatch)
    results = collect(sources(world), settings(world), tmp_path)
    assert [result.error for result in results] == [None, None]
    assert len(calls) == BUFFERS + BUFFERS - 2
    assert examples(tmp_path) == whole


@pytest.mark.usefixtures("saving_always")
def test_what_was_gathered_with_other_settings_or_is_damaged_is_not_gone_on_with(
    world, whole, tmp_path, monkeypatch, caplog
):
    alone = sources(world)[:1]
    for name, spoil in [
        ("longer", lambda path: None),
        ("damaged", lambda path: path.write_bytes(path.read_bytes()[:-200])),
        ("nonsense", lambda path: path.write_text("no state")),
    ]:
        data = tmp_path / name
        asked = settings(world, examples=FURTHER - 1) if name == "longer" else settings(world)
        with monkeypatch.context() as patched:
            stopping_at(2, patched)
            with pytest.raises(KeyboardInterrupt):
                collect(alone, asked, data)
        (path,) = data.rglob(EXAMPLES_STATE)
        spoil(path)
        caplog.clear()
        with monkeypatch.context() as patched:
            calls = stopping_at(None, patched)
            [result] = collect(alone, settings(world), data)
        assert len(calls) == BUFFERS
        assert ("from the beginning" in caplog.text) == (name != "longer")
        assert (result.folder / EXAMPLES).read_bytes() == whole[0]


def test_processes_killed_at_any_moment_end_in_the_same_bytes(world, tmp_path):
    words = (
        "cooc", "sae", "--sae", world / "sae1", "--model", world / "lm", "--site", "res",
        "--layer", 1, "--corpus", world / "corpus.jsonl", "--n-docs", COUNTED, "--k", 8,
        "--examples", FURTHER, "--device", "cpu", "--source", "lm/1", "--data-dir",
    )  # fmt: skip
    folder = tmp_path / "killed" / "lm" / "1"
    state, made = folder / EXAMPLES_STATE, folder / EXAMPLES
    moments = random.Random(0)
    with launcher(tmp_path / "launched") as one:
        assert one.run(*words, tmp_path / "whole").returncode == 0
        killed = went_on = 0
        while killed < 5:
            before = mtime(state)
            command = one.start(*words, tmp_path / "killed")
            end = time.monotonic() + 60
            while not made.exists() and mtime(state) <= before:
                assert time.monotonic() < end
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.1))
            command.send(signal.SIGKILL)
            if command.wait().returncode == 0:
                made.unlink()
            else:
                killed += 1
                went_on += before > 0
        made.unlink(missing_ok=True)
        done = one.run(*words, tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    assert went_on
    assert made.read_bytes() == (tmp_path / "whole" / "lm" / "1" / EXAMPLES).read_bytes()
    assert not state.exists()
    assert not list(folder.rglob(".tmp-*"))


def mtime(path):
    """Time of the last change; 0 where it has just been removed."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def test_a_state_survives_the_disk(tmp_path):
    texts = {
        7: DocumentText("a \ud800 b", np.array([[0, 1], [2, 3]], np.int32)),
        9: DocumentText("", np.zeros((0, 2), np.int32)),
    }
    values = np.array([[2.0, 0.0]], np.float32)
    state = ExamplesState(
        12, values, np.array([[7, -1]], np.int64), np.array([[1, 0]], np.int32), texts
    )
    assert load_examples_state(tmp_path, {}, (1, 2)) is None
    save_examples_state(tmp_path, state, {"first": 5})
    found = load_examples_state(tmp_path, {"first": 5}, (1, 2))
    assert found is not None
    assert found.stop == 12
    assert found.values.tolist() == [[2.0, 0.0]]
    assert found.documents.tolist() == [[7, -1]]
    assert found.positions.tolist() == [[1, 0]]
    assert found.texts.keys() == texts.keys()
    for n, (text, spans) in texts.items():
        assert found.texts[n].text == text
        assert found.texts[n].spans.tolist() == spans.tolist()
    assert load_examples_state(tmp_path, {"first": 6}, (1, 2)) is None
    assert load_examples_state(tmp_path, {"first": 5}, (2, 2)) is None
    remove_examples_state(tmp_path)
    assert list(tmp_path.iterdir()) == []
