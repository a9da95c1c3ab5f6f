"""Every reader of foreign files, each applied to a folder of the saved corpus."""

import contextlib
import io
import tempfile
from collections import Counter
from dataclasses import replace

import numpy as np

from sfal import _core
from sfal.cli.main import main
from sfal.collect.corpus.document import document_bytes
from sfal.collect.corpus.local import LocalCorpus
from sfal.collect.imported.driver import import_firings
from sfal.collect.imported.settings import ImportSettings
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.sae.sae import load_sae
from sfal.collect.sae.saelens_folder import input_factor
from sfal.collect.settings import CorpusConfig, SaeConfig
from sfal.embeddings.export_vectors import parse_vector
from sfal.embeddings.vector_files import read_vector_file, rows_in_order
from sfal.errors import InvalidInputError
from sfal.explanations.chooser import Chooser, Preferences
from sfal.explanations.records import RecordReader
from sfal.explanations.user_files.reader import LabelPlace, read_explanations_file
from sfal.io.atomic import sha256_file
from sfal.io.web import s3
from sfal.scoring.reliability.replicate_tables import read_replicates
from sfal.scoring.tables.sensitivity_table import read_sensitivity
from sfal.sources.configuration.layouts import layout_of
from sfal.sources.configuration.on_disk import describe
from sfal.sources.local import resolve_local
from sfal.sources.neuronpedia import ExplainedSae
from sfal.sources.source import SaeRef
from sfal.stats.votes.read import read_votes
from sfal.store.differences import require_same
from sfal.store.embeddings import read_vectors, read_vectors_metadata
from sfal.store.examples import iterate_examples, read_examples_metadata
from sfal.store.explanations import (
    count_explanations,
    explanations_metadata,
    explanations_sha256,
    read_explanations,
)
from sfal.store.manifest import Manifest, occurrences_dir
from sfal.store.occurrences import read_occurrences
from sfal.store.published.embeddings import read_pickled_embeddings
from sfal.store.published.histogram import inspect_histogram
from sfal.store.scores import read_scores
from sfal.store.verify import verify_run

N_FEATURES = 12


def histogram(folder):
    for path in sorted(folder.glob("*.npz")):
        file = inspect_histogram(path)
        kept = _core.Histogram.from_counts(file.load(), file.n_windows)
        _core.functional_neighbours(kept, 3)


def sae(folder):
    describe(layout_of(folder))
    load_sae(SaeRef("local", path=str(folder)))


def sae_settings(folder):
    source = resolve_local(folder, "org/model")
    HookPoint.of(source)
    input_factor(folder)


def torch_files(folder):
    for path in sorted({*folder.glob("*.pt"), *folder.glob("*.pth")}):
        describe(layout_of(path))
        load_sae(SaeRef("local", path=str(path)), SaeConfig(top_k=3))


def pickled(folder):
    for path in sorted(folder.glob("*.pkl")):
        read_pickled_embeddings(path, "oai_token-act-pair_gpt-4o-mini")


def vectors(folder):
    for path in folder.glob("*.parquet"):
        read_vectors_metadata(path)
        found = read_vectors(path)
        _core.semantic_neighbours(found.vectors, 3)


def imported(folder):
    for path in sorted(folder.iterdir()):
        found = read_vector_file(path)
        for feature, vector in rows_in_order(path, found):
            assert feature >= 0
            assert np.isfinite(vector).all()


def replicates(folder):
    read_replicates(folder)


def sensitivity(folder):
    read_sensitivity(folder)


def explanations(folder):
    count_explanations(folder)
    table = read_explanations(folder)
    explanations_metadata(table)
    explanations_sha256(table)


def examples(folder):
    read_examples_metadata(folder)
    for _ in iterate_examples(folder):
        pass


def run(folder):
    manifest = Manifest.load(folder)
    verify_run(folder)
    require_same(folder, "settings", manifest.settings, manifest.settings, "")
    _ = manifest.gaps, manifest.coverage, manifest.complete
    # Whoever can write a part can write its hash.
    parts = [
        replace(part, sha256=sha256_file(occurrences_dir(folder) / part.file))
        for part in manifest.parts
    ]
    counted = read_occurrences(folder, manifest.with_parts(parts))
    _core.functional_neighbours(counted, 3)


def batches(folder):
    chooser, left_out = Chooser(Preferences()), Counter()
    reader = RecordReader("m/3-s", N_FEATURES)
    for record in reader.read(tuple(folder.glob("*.jsonl.gz")), left_out, vectors=True):
        parse_vector(record.vector)
        chooser.add(record)


def corpus(folder):
    for path in sorted(folder.iterdir()):
        for document in LocalCorpus.open(CorpusConfig(str(path))).documents(0):
            document_bytes(document)


def own_explanations(folder):
    for path in sorted(folder.iterdir()):
        for _ in read_explanations_file(path, Counter(), LabelPlace(N_FEATURES, 3)):
            pass


def firings(folder):
    for path in sorted(folder.iterdir()):
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as data:
            settings = ImportSettings(window_size=4, n_features=N_FEATURES)
            made = import_firings(path, "m/3-s", settings, data)
            assert not verify_run(made.folder).problems


def scores(folder):
    read_scores(folder)


def votes(folder):
    for path in sorted(folder.iterdir()):
        found = read_votes([path], score_type="fuzz" if path.name != "scores" else None)
        found.means()
        for name in found.columns:
            found.column_means(name)


def explained_sae(folder):
    for path in sorted(folder.iterdir()):
        tuple(ExplainedSae.parse(path.read_bytes(), path.name).places())


def listing(folder):
    class Client:
        base_url, hint = "http://127.0.0.1", ""

        def get(self, path, sink, limit, query):
            sink.write((folder / "page.xml").read_bytes()[:limit])

    with contextlib.suppress(s3.TemporaryError):
        page = s3._page(Client(), {})
        for item in page.iterfind("{*}Contents"):
            s3._object(item, Client.base_url)


def config(folder):
    """Run the command itself; every message must be an intended one."""
    output = io.StringIO()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        contextlib.suppress(SystemExit),
    ):
        main(["score", "--config", str(folder / "sfal.toml")])
    text = output.getvalue()
    assert "unexpected" not in text, text
    if "--config" in text or "Invalid value" in text:
        raise InvalidInputError(text)


def batch(folder):
    """Read windows as CSR from bytes: numbers of features and windows, indptr, indices."""
    raw = (folder / "windows.bin").read_bytes()
    n_features, n_windows = (int(n) % 500 for n in np.frombuffer(raw[:4].ljust(4, b"\0"), "<u2"))
    end = 4 + 8 * (n_windows + 1)
    indptr, indices = raw[4:end], raw[end:]
    indptr = np.frombuffer(indptr[: len(indptr) // 8 * 8], np.int64)
    indices = np.frombuffer(indices[: len(indices) // 4 * 4], np.uint32)
    counted = _core.Occurrences(n_features)
    counted.extend(indptr, indices)
    assert counted.n_windows == len(indptr) - 1
    np.testing.assert_array_equal(counted.rows(0, len(indptr) - 1)[1], indices)
    _core.functional_neighbours(counted, 3)
    chosen = counted.select(indptr % max(1, counted.n_windows))
    chosen.merge(counted)
    starts = np.unique(indptr)
    chosen.coarsen(starts[starts < chosen.n_windows])


TARGETS = {
    "histogram": histogram,
    "gemma-scope": sae,
    "llama-scope": sae,
    "saelens": sae,
    "sae-settings": sae_settings,
    "run-settings": sae_settings,
    "circuit-tracer": sae,
    "sparsify": sae,
    "dictionary-learning": sae,
    "gemma-scope-2": sae,
    "open-sae": sae,
    "open-moss": sae,
    "batch-topk": sae,
    "torch": torch_files,
    "pickled": pickled,
    "vectors": vectors,
    "imported": imported,
    "replicates": replicates,
    "sensitivity": sensitivity,
    "explanations": explanations,
    "examples": examples,
    "run": run,
    "batches": batches,
    "corpus": corpus,
    "own-explanations": own_explanations,
    "firings": firings,
    "scores": scores,
    "votes": votes,
    "explained-sae": explained_sae,
    "listing": listing,
    "config": config,
    "batch": batch,
}
SLOW = ("saelens",)
"""Targets left out by default: a damaged SAELens setting imports SAELens, which takes seconds."""
