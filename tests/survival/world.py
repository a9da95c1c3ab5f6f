"""Commands that write, with their inputs, and the files of an undisturbed run of each."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import tiny
import tiny_embedders
from collect import oracle
from scoring import builders
from servers import exports, hub_content
from sfal.store.manifest import Counts, Manifest
from sfal.store.parts import Windows
from sfal.store.records import SourceRecord
from sfal.store.run_writer import RunWriter

N_DOCS = 300
N_FEATURES = 128
SAE = "layer_0/width_16k/average_l0_105"
SOURCE = "gemma-2-2b/0-gemmascope-res-16k"
LOCAL = "gemma-2-2b/0-average_l0_105-res"
MERGED = "lm/0-sae-res"


@dataclass(frozen=True)
class Case:
    """A command that writes into a data folder."""

    name: str
    words: Callable[[Path], tuple]
    """Arguments of the command, for a data folder."""
    prepare: Callable[[Path], object] = field(default=lambda data: data.mkdir())
    """Function that makes the data folder, with what the command reads there."""


@dataclass(frozen=True)
class Unbroken:
    """The files of an undisturbed run of a command, and its duration."""

    files: dict
    seconds: float


class World:
    """Model, SAE, texts, explanations, shards and counts that the cases read."""

    def __init__(self, root, hub, bucket, launched):
        self.root = root
        self.hub = hub
        self.bucket = bucket
        self.launched = launched
        self._unbroken = {}
        self.cases = {case.name: case for case in self._cases()}

    def _cases(self):
        root = self.root
        common = (
            "--n-docs", N_DOCS, "--k", 8, "--batch-tokens", 1024, "--part-windows", 500,
            "--device", "cpu", "--data-dir",
        )  # fmt: skip
        local = (
            "cooc", "sae", "--sae", root / "gemma-scope-2b-pt-res" / SAE, "--model",
            root / "gemma-2-2b", "--site", "res", "--layer", 0, "--corpus", root / "corpus.jsonl",
        )  # fmt: skip
        embeddings = (
            "embeddings", "all", "--source", SOURCE, "--embedding-model", root / "model",
            "neuronpedia", "--batch-size", 2, "--data-dir",
        )  # fmt: skip
        return [
            Case("sfal cooc", lambda data: (*local, *common, data)),
            Case(
                "sfal cooc, streaming",
                lambda data: (
                    "cooc", "sae", "--sae", root / "gemma-scope-2b-pt-res" / SAE,
                    "--model", "google/gemma-2-2b", "--site", "res", "--layer", 0, *common, data,
                ),
            ),
            Case("sfal embeddings", lambda data: (*embeddings, data)),
            Case("sfal merge", lambda data: ("merge", root / "shards", "--data-dir", data)),
            Case(
                "sfal score",
                lambda data: (
                    "score", "--data-dir", data,
                    "--output", data / "scores.csv", "--plot", data / "scores.png",
                ),
                lambda data: shutil.copytree(root / "counted", data),
            ),
            Case(
                "sfal explain",
                lambda data: ("explain", LOCAL, "--data-dir", data),
                lambda data: shutil.copytree(self._with_examples(), data),
            ),
            Case(
                "sfal run",
                lambda data: (
                    "run", SOURCE, "--embedding-model", "neuronpedia",
                    "--output", data / "scores.csv", *common, data,
                ),
            ),
        ]  # fmt: skip

    def _with_examples(self):
        folder = self.root / "with-examples"
        if not folder.exists():
            done = self.launched.run(*self.cases["sfal cooc"].words(folder), "--examples", 200)
            assert done.returncode == 0, done.stderr
        return folder

    def unbroken(self, case, folder):
        """Return the result of an undisturbed run, made once per case."""
        if case.name not in self._unbroken:
            case.prepare(folder)
            started = time.monotonic()
            done = self.launched.run(*case.words(folder))
            assert done.returncode == 0, done.stderr
            self._unbroken[case.name] = Unbroken(snapshot(folder), time.monotonic() - started)
        return self._unbroken[case.name]

    def finishes(self, case, data, expected):
        """Run the command again; it must leave the files of an undisturbed run."""
        done = self.launched.run(*case.words(data))
        assert done.returncode == 0, done.stderr
        found = snapshot(data)
        differing = [
            name
            for name in sorted(found.keys() | expected.files.keys())
            if found.get(name) != expected.files.get(name)
        ]
        assert not differing, differing


def build(root, hub, bucket):
    """Write everything below `root`, and add it to the servers."""
    tiny.gemma2(root / "gemma-2-2b", layers=1)
    hub.add("google/gemma-2-2b", root / "gemma-2-2b")
    tiny.gemma_scope(root / "gemma-scope-2b-pt-res", SAE, 16, N_FEATURES)
    hub.add("google/gemma-scope-2b-pt-res", root / "gemma-scope-2b-pt-res")
    documents = oracle.texts(3 * N_DOCS)
    oracle.write_jsonl(root / "corpus.jsonl", documents)
    hub_content.pile(hub, root, documents)
    batches = [[exports.record(i + n) for n in range(8)] for i in range(0, N_FEATURES, 8)]
    bucket.objects.update(exports.export(batches))
    tiny_embedders.embedder(root)
    write_shards(root / "shards", n_runs=3, n_parts=20)
    for layer in (0, 5):
        name = f"gemma-2-2b/{layer}-gemmascope-res-16k"
        builders.write_our_source(root / "counted", name, n_features=200, seed=layer)


def write_shards(folder, n_runs, n_parts, n_features=32):
    """Write runs that divide the documents of one source, each in `n_parts` parts."""
    rng = np.random.default_rng(0)
    n_docs = n_runs * n_parts
    for i in range(n_runs):
        start, stop = i * n_parts, (i + 1) * n_parts
        shard = {"index": i + 1, "of": n_runs, "n_docs": n_docs}
        manifest = Manifest(
            source=SourceRecord(MERGED, model="lm"),
            n_features=n_features,
            settings={"window_size": 8, "shard": shard},
            n_docs=n_docs,
            start=start,
            stop=stop,
        )
        run = folder / MERGED / "runs" / f"shard-{i + 1}-of-{n_runs}"
        # One part per document.
        writer = RunWriter(run, manifest, buffer_documents=1, part_windows=1)
        for document in range(start, stop):
            writer.append(document, document + 1, *_document(rng, document, n_features))
        writer.finish()
    return folder


def _document(rng, ordinal, n_features):
    fired = rng.random((3, n_features)) < 0.3
    windows = Windows(
        np.full(3, ordinal, np.uint64),
        np.arange(3, dtype=np.uint32),
        np.concatenate([[0], np.cumsum(fired.sum(1))]).astype(np.int64),
        np.nonzero(fired)[1].astype(np.uint32),
    )
    counts = Counts(
        documents=1, tokens=24, tokens_in_windows=24, windows=3, occurrences=int(fired.sum())
    )
    return windows, counts, f"text up to {ordinal}"


def snapshot(data):
    """Return every byte below a data folder, except the volatile fields of manifests."""
    found = {}
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        name = path.relative_to(data).as_posix()
        found[name] = path.read_bytes()
        if path.name == "manifest.json":
            value = json.loads(found[name])
            del value["volatile"]
            found[name] = json.dumps(value, sort_keys=True)
    return found
