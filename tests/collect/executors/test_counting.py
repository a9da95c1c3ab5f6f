"""Counting, examples and embedding in several processes give the bytes of one process."""

import itertools
import os

import numpy as np
import pytest
import torch

import tiny_embedders
from collect.executors import spread
from sfal.collect import driver
from sfal.collect.driver import collect
from sfal.collect.shard import BUFFER_DOCUMENTS
from sfal.embeddings.checkpointed import encode_texts
from sfal.embeddings.embedders import SentenceEmbedder, resolve_embedder
from sfal.embeddings.settings import EmbedSettings
from sfal.embeddings.spread import SpreadEmbedder
from sfal.errors import InvalidInputError, WorkerError
from sfal.store.manifest import Manifest
from sfal.store.parts import iterate_parts

KILLS = int(os.environ.get("SFAL_WORKER_KILLS", "20"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return spread.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def inline(world, tmp_path_factory):
    """What one process leaves, examples included."""
    data = tmp_path_factory.mktemp("inline")
    settings = spread.settings(world, device="cpu", examples=spread.EXAMPLES)
    return spread.snapshots(collect(spread.sources(world), settings, data))


def test_two_processes_count_and_gather_the_same_bytes(world, inline, tmp_path):
    settings = spread.settings(world, devices="cpu:2", examples=spread.EXAMPLES)
    results = collect(spread.sources(world), settings, tmp_path)
    assert spread.snapshots(results) == inline
    devices = results[0].manifest.part_devices
    assert sorted(devices) == [part.file for part in results[0].manifest.parts]
    assert {one for some in devices.values() for one in some} == set(results[0].manifest.devices)
    assert results[0].manifest.devices[0].endswith(", 1 thread")
    assert results[0].manifest.volatile["speed"]["device"].startswith("2 × ")


@pytest.mark.heavy
def test_an_interrupted_run_continues_with_the_same_bytes(world, inline, tmp_path, monkeypatch):
    settings = spread.settings(world, devices="cpu:2", examples=spread.EXAMPLES)
    appended, kept = itertools.count(), driver.Run.append

    def append(self, *arguments):
        if next(appended) == 6:
            raise KeyboardInterrupt
        kept(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(driver.Run, "append", append)
        with pytest.raises(KeyboardInterrupt):
            collect(spread.sources(world), settings, tmp_path)
    # One process or two: the run goes on.
    assert spread.snapshots(collect(spread.sources(world), settings, tmp_path)) == inline


@pytest.mark.heavy
def test_workers_killed_at_random_moments_change_no_byte(world, inline, tmp_path, tally):
    settings = spread.settings(world, devices="cpu:2", examples=spread.EXAMPLES)
    killed = 0
    for attempt in itertools.count():
        with spread.killing(attempt, pause=12, most=min(KILLS - killed, 4)) as kills:
            results = collect(spread.sources(world), settings, tmp_path / str(attempt))
        killed += len(kills)
        assert spread.snapshots(results) == inline
        if killed >= KILLS:
            break
    tally("kills: workers that count", killed)


@pytest.mark.heavy
def test_a_buffer_that_kills_its_workers_is_named(world, inline, tmp_path, monkeypatch, tally):
    monkeypatch.setattr(driver, "CollectSpec", spread.PoisonedSpec)
    settings = spread.settings(
        world, devices="cpu:2", corpus=str(world / "poisoned.jsonl"), part_windows=100
    )
    first = 5 * BUFFER_DOCUMENTS
    with pytest.raises(WorkerError) as e:
        collect(spread.sources(world), settings, tmp_path)
    assert f"3 workers died of documents {first} to {first + BUFFER_DOCUMENTS - 1} (" in str(
        e.value
    )
    for source, (expected, _) in zip(spread.sources(world), inline, strict=True):
        manifest = Manifest.load(tmp_path / source.name)
        assert manifest.parts[-1].stop == first
        windows = [one.n_windows for one in iterate_parts(tmp_path / source.name)]
        assert sum(windows) == manifest.n_windows > 0
        assert manifest.n_features == expected["n_features"]
    tally("kills: workers that count", 3)


def test_mixed_devices_are_noted(world, tmp_path, monkeypatch):
    sources = spread.sources(world)[:1]
    collect(sources, spread.settings(world, device="cpu", n_docs=256), tmp_path)
    monkeypatch.setattr("sfal.collect.session.session.device_model", lambda device: "another CPU")
    [result] = collect(sources, spread.settings(world, device="cpu", n_docs=512), tmp_path)
    assert result.error is None
    assert "on devices of 2 models (" in result.notes[0].message
    assert "; another CPU)" in result.notes[0].message
    assert any("2 models" in note for note in Manifest.load(result.folder).notes)


@pytest.mark.heavy
def test_two_processes_embed_the_same_bits(tmp_path):
    folder = tiny_embedders.embedder(tmp_path)
    ref = resolve_embedder(str(folder))
    texts = [f"a text about {n} and {n % 7}" for n in range(150)]
    alone = encode_texts(texts, SentenceEmbedder(ref, "cpu", 2), tmp_path / "a", "", 2)
    settings = EmbedSettings(devices="cpu:2", batch_size=2)
    embedder = SpreadEmbedder.load(ref, settings, "auto", 2)
    try:
        np.testing.assert_array_equal(encode_texts(texts, embedder, tmp_path / "b", "", 2), alone)
        np.testing.assert_array_equal(embedder.encode(["x", "y"])[:, 0].shape, (2,))
    finally:
        embedder.close()


def test_devices_that_do_not_exist_are_refused(world, tmp_path):
    for wrong, message in (
        ({"devices": "cuda:0,cuda:1"}, "no CUDA device is available"),
        ({"devices": "all"}, "no GPU that PyTorch can use"),
        ({"devices": "cpu:2", "device": "cuda"}, "are both named"),
    ):
        if torch.cuda.is_available() and "cpu" not in wrong["devices"]:
            continue
        with pytest.raises(InvalidInputError, match=message) as refused:
            collect(spread.sources(world), spread.settings(world, **wrong), tmp_path)
        assert "devices" in refused.value.hint
