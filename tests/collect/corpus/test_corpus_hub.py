"""Corpora on the hub: the default that can be had, chosen files, and caches without a network."""

import os
import subprocess
import sys

import pytest

from collect import oracle
from servers import faults, hub_content
from servers import hub as hub_server
from servers.launcher import launcher
from sfal.store.manifest import Manifest

DOCUMENTS = oracle.texts(30, seed=3, longest=60)
WORDS = ("cooc", "llama", "--layers", 0, "--n-docs", 20, "--k", 12, "--device", "cpu")
FETCH = (
    "from huggingface_hub import snapshot_download as s; "
    "s('DKYoon/SlimPajama-6B', repo_type='dataset')"
)


@pytest.fixture
def world(tmp_path):
    """A hub with Llama and DKYoon/SlimPajama-6B, but not the preferred corpus; and its commands."""
    with hub_server.serve() as hub:
        hub_content.llama(hub, tmp_path, DOCUMENTS)
        folder = hub.repositories.pop(("datasets", "cerebras/SlimPajama-627B"))
        hub.add("DKYoon/SlimPajama-6B", folder, "datasets")
        with launcher(tmp_path, **hub.environment(tmp_path / "home")) as one:
            yield hub, lambda *words: one.run(*words, cwd=tmp_path), tmp_path


def manifest_of(root):
    (path,) = root.rglob("manifest.json")
    return Manifest.load(path.parent)


def test_auto_takes_the_first_corpus_that_the_hub_has_with_a_note(world):
    hub, sfal, root = world
    done = sfal(*WORDS)
    assert done.returncode == 0, done.stderr
    assert "Note: " in done.stderr
    assert "hub has no cerebras/SlimPajama-627B" in done.stderr
    assert "the corpus is DKYoon/SlimPajama-6B instead" in done.stderr
    manifest = manifest_of(root)
    assert manifest.settings["corpus"]["name"] == "DKYoon/SlimPajama-6B"
    assert any("cerebras" in note for note in manifest.notes)
    assert list(root.rglob("dkyoon_*.npz"))
    # The run keeps its corpus, though the preferred one is back, and asks the hub for nothing.
    hub.add("cerebras/SlimPajama-627B", root / "slimpajama", "datasets")
    hub.requests.clear()
    again = sfal(*WORDS)
    assert "counted before" in again.stdout, again.stderr
    assert [one for one in hub.requests if "datasets" in one] == []


def test_a_hub_that_fails_is_not_a_hub_without_the_corpus(world):
    hub, sfal, _ = world
    hub.fault("GET /api/datasets/cerebras/SlimPajama-627B", faults.status(500), times=9)
    done = sfal(*WORDS)
    assert done.returncode == 1
    assert "cannot fetch corpus cerebras/SlimPajama-627B" in done.stderr
    assert "500" in done.stderr


def test_a_named_corpus_that_is_gone_names_some_that_are_not(world):
    _, sfal, _ = world
    done = sfal(*WORDS, "--corpus", "cerebras/SlimPajama-627B")
    assert done.returncode == 1
    for part in ("there is no such repository", "DKYoon/SlimPajama-6B", "pile-uncopyrighted"):
        assert part in done.stderr


def test_data_files_choose_files_and_are_part_of_the_settings(world):
    _, sfal, root = world
    files = "train/chunk2/*,train/chunk1/*_1.jsonl.zst"
    done = sfal(*WORDS, "--data-files", files)
    assert done.returncode == 0, done.stderr
    assert "20 documents" in done.stdout
    assert manifest_of(root).settings["corpus"]["data_files"] == files
    done = sfal(*WORDS, "--data-files", "none/*", "--run", "b")
    assert done.returncode == 1
    assert "has no file that matches none/*; see --data-files" in done.stderr
    done = sfal(*WORDS, "--document-separator", "##", "--run", "c")
    assert "leave out --document-separator" in done.stderr


def test_a_corpus_in_the_cache_is_read_without_a_network(world):
    hub, sfal, root = world
    online = sfal(*WORDS, "--data-dir", "online")  # fetches model and SAE
    assert online.returncode == 0, online.stderr
    environment = {**os.environ, **hub.environment(root / "home")}
    subprocess.run([sys.executable, "-c", FETCH], env=environment, check=True, capture_output=True)
    hub.requests.clear()
    environment["HF_HUB_OFFLINE"] = "1"
    (root / "second").mkdir()
    with launcher(root / "second", **environment) as one:
        done = one.run(*WORDS, "--data-dir", "offline", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "read from the local cache" in done.stderr
    assert hub.requests == []
    first, second = (manifest_of(root / name) for name in ("online", "offline"))
    assert first.fingerprints == second.fingerprints
    assert [part.sha256 for part in first.parts] == [part.sha256 for part in second.parts]
