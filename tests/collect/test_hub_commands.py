"""The real commands, as processes, against a server that speaks the hub's HTTP."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import zstandard

from collect import oracle
from servers import faults, hub_content
from servers import hub as hub_server
from servers.launcher import launcher
from sfal.store.manifest import Manifest
from sfal.store.parts import iterate_parts

DOCUMENTS = oracle.texts(60, seed=3, longest=60)
K = "12"


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    with hub_server.serve() as hub:
        hub_content.llama(hub, root, DOCUMENTS)
        yield hub, root, hub_content.gemma(hub, root, DOCUMENTS)


def start_afresh(hub, home, *words, **environment):
    """Run the command as a user does: a process of its own, an empty cache."""
    # Of this process's environment nothing about the hub is passed on.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "SFAL_"))}
    return subprocess.run(
        [sys.executable, "-m", "sfal", *map(str, words)],
        cwd=home,
        env={**kept, **hub.environment(home / "hf-home"), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def launched(gemma, tmp_path_factory):
    """Runs commands against the Gemma hub without importing everything each time."""
    home = tmp_path_factory.mktemp("launched")
    with launcher(home, **gemma[0].environment(home / "hf-home")) as one:
        yield one


@pytest.fixture
def sfal(launched, tmp_path):
    return lambda *words: launched.run(*words, cwd=tmp_path)


def assert_equal(path, expected):
    with np.load(path) as file:
        counts, n_windows = file["histogram"], int(file["n_chunks"])
    expected_counts, n = oracle.histogram(expected, hub_content.N_FEATURES)
    assert n_windows == n > 50
    np.testing.assert_array_equal(counts, expected_counts)


def assert_one_line_error(done, *parts):
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Note:")]
    assert len(lines) <= 2, done.stderr
    assert lines[-1].startswith("Error: ")
    for part in parts:
        assert part in done.stderr


def test_gemma_at_several_layers_and_sites_equals_plain_loops(gemma, tmp_path):
    hub, root, found = gemma
    done = start_afresh(
        hub, tmp_path, "cooc", "gemma", "--layers", 0, 5, "--sae_type", "res", "mlp", "att",
        "--n_docs", 60, "--k", K, "--data-dir", "data",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 6
    for (site, layer), l0 in hub_content.L0.items():
        path = f"layer_{layer}/width_16k/average_l0_{l0}"
        folder = tmp_path / "data" / "gemma-2-2b" / f"{layer}-gemmascope-{site}-16k"
        middle = "" if site == "res" else f"{site}_"
        name = (
            f"monology_google_gemma-2-2b_{middle}{path.replace('/', '_')}"
            f"_docs60_keq{K}_cooccurrences.npz"
        )
        margin = oracle.gemma_scope_margin(root / f"gemma-scope-2b-pt-{site}" / path)
        expected = oracle.windows(found, (layer, site), margin, window_size=int(K))
        assert_equal(folder / name, expected)
        manifest = Manifest.load(folder)
        assert manifest.source.neuronpedia_id == f"gemma-2-2b/{layer}-gemmascope-{site}-16k"
        assert manifest.fingerprints["corpus"]["revision"] == hub.commit(
            "datasets", "monology/pile-uncopyrighted"
        )
        assert manifest.fingerprints["model"]["revision"] == hub.commit(
            "models", "google/gemma-2-2b"
        )


def test_llama_equals_plain_loops(gemma, tmp_path):
    hub, root, _ = gemma
    done = start_afresh(
        hub, tmp_path, "cooc", "llama", "--layers", "0,8", "--sae-type", "res", "mlp",
        "--n-docs", 60, "--k", K, "--save_dir", "histograms",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    places = [(layer, site) for layer in hub_content.LLAMA_LAYERS for site in ("res", "mlp")]
    found = oracle.activations(root / "Llama-3.1-8B", DOCUMENTS, places)
    for layer, site in places:
        letter = site[0].upper()
        folder = f"Llama3_1-8B-Base-L{layer}{letter}-8x"
        margin = oracle.llama_scope_margin(
            root / f"Llama3_1-8B-Base-LX{letter}-8x" / folder, scale=2.0
        )
        middle = "" if site == "res" else f"{site}_"
        weights = f"{folder}_checkpoints_final.safetensors"
        name = f"cerebras_meta-llama_Llama-3.1-8B_{middle}{weights}_docs60_keq{K}_cooccurrences.npz"
        expected = oracle.windows(found, (layer, site), margin, window_size=int(K))
        assert_equal(tmp_path / "histograms" / name, expected)
        assert (
            tmp_path
            / "sfal-data"
            / "llama3.1-8b"
            / f"{layer}-llamascope-{site}-32k"
            / "manifest.json"
        ).is_file()


def test_llama_by_the_published_rule_equals_plain_loops(gemma, sfal, tmp_path):
    _, root, _ = gemma
    done = sfal(
        "cooc", "llama", "--layers", 8, "--n-docs", 60, "--k", K,
        "--input-scale", "none", "--top_k", 3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = oracle.activations(root / "Llama-3.1-8B", DOCUMENTS, [(8, "res")])
    folder = root / "Llama3_1-8B-Base-LXR-8x" / "Llama3_1-8B-Base-L8R-8x"
    margin = oracle.llama_scope_margin(folder, scale=1.0, top_k=3)
    [path] = tmp_path.rglob("*cooccurrences.npz")
    assert_equal(path, oracle.windows(found, (8, "res"), margin, window_size=int(K)))


def test_a_streamed_run_continues_at_the_exact_document(sfal, tmp_path):
    words = ["cooc", "gemma", "--layers", 0, "--k", K]
    for n_docs in (25, 60):
        done = sfal(*words, "--n-docs", n_docs, "--data-dir", "a")
        assert done.returncode == 0, done.stderr
    assert sfal(*words, "--n-docs", 60, "--data-dir", "b").returncode == 0
    one, other = (
        (tmp_path / name / "gemma-2-2b/0-gemmascope-res-16k/occurrences") for name in "ab"
    )
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_shards_of_a_streamed_corpus_are_its_documents(sfal, gemma, tmp_path):
    _, root, found = gemma
    for i in (1, 2):
        done = sfal("cooc", "gemma", "--layers", 0, "--k", K, "--n-docs", 60, "--shard", f"{i}/2")
        assert done.returncode == 0, done.stderr
    folder = tmp_path / "sfal-data/gemma-2-2b/0-gemmascope-res-16k/runs"
    margin = oracle.gemma_scope_margin(
        root / "gemma-scope-2b-pt-res/layer_0/width_16k/average_l0_105"
    )
    expected = oracle.windows(found, (0, "res"), margin, window_size=int(K))
    documents = np.concatenate(
        [w.documents for i in (1, 2) for w in iterate_parts(folder / f"shard-{i}-of-2")]
    )
    assert documents.tolist() == [document for document, _, _ in expected]


def test_a_complete_run_is_not_fetched_again(sfal, gemma):
    hub, _, _ = gemma
    words = ["cooc", "gemma", "--layers", 0, "--k", K, "--n-docs", 12]
    assert sfal(*words).returncode == 0
    hub.requests.clear()
    done = sfal(*words)
    assert done.returncode == 0, done.stderr
    assert "counted before" in done.stdout
    # Only which variants there are is asked.
    assert len(hub.requests) == 1


def test_dry_run_says_what_would_be_done_and_does_nothing(sfal, tmp_path):
    done = sfal("cooc", "gemma", "--layers", "0,5", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "gemma-2-2b/5-gemmascope-res-16k" in done.stdout
    assert ", where it ends" in done.stdout  # the corpus is shorter than the documents asked for
    assert " tokens" in done.stdout
    assert not (tmp_path / "sfal-data").exists()


def test_a_layer_without_sae_is_refused_and_the_others_are_done(sfal):
    done = sfal("cooc", "gemma", "--layers", "0,7", "--k", K, "--n-docs", 6)
    assert_one_line_error(done, "layer 7", "it has layers 0, 5")
    assert "gemma-2-2b/0-gemmascope-res-16k: 6 documents" in done.stdout


def test_a_gated_model_asks_for_a_token(gemma, tmp_path):
    hub, _, _ = gemma
    hub.refused["google/gemma-2-2b"] = 401
    try:
        done = start_afresh(hub, tmp_path, "cooc", "gemma", "--layers", 0, "--n-docs", 6)
    finally:
        hub.refused.clear()
    assert_one_line_error(done, "google/gemma-2-2b", "gated", "HF_TOKEN")


def test_a_missing_corpus_says_what_to_do_instead(sfal):
    done = sfal("cooc", "gemma", "--layers", 0, "--n-docs", 6, "--corpus", "who/knows")
    assert_one_line_error(done, "who/knows", "--corpus")


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_corpus_says_what_to_do_instead(sfal, gemma, status):
    hub, _, _ = gemma
    hub.refused["monology/pile-uncopyrighted"] = status
    try:
        done = sfal("cooc", "gemma", "--layers", 0, "--n-docs", 6, "--k", K)
    finally:
        hub.refused.clear()
    assert_one_line_error(done, "monology/pile-uncopyrighted", "HF_TOKEN", "--corpus")


def test_a_corpus_without_the_column_lists_what_it_has(sfal):
    done = sfal("cooc", "gemma", "--layers", 0, "--n-docs", 6, "--text-column", "body")
    assert_one_line_error(done, "no column 'body'", "it has text, meta", "--text-column")


def test_a_damaged_file_of_the_corpus_is_named(sfal, gemma, tmp_path):
    hub, _, _ = gemma
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "train.jsonl").write_text('{"text": "a"}\n{"text": \n')
    hub.add("who/broken", tmp_path / "broken", "datasets")
    done = sfal("cooc", "gemma", "--layers", 0, "--n-docs", 6, "--corpus", "who/broken")
    assert_one_line_error(done, "corpus who/broken cannot be read")


def test_a_hub_that_fails_for_a_moment_is_retried_silently(sfal, gemma):
    hub, _, _ = gemma
    hub.fault("GET monology/pile-uncopyrighted/train/01.jsonl.zst", faults.status(500), times=1)
    done = sfal("cooc", "gemma", "--layers", 0, "--n-docs", 60, "--k", K)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "60 documents" in done.stdout


def test_a_truncated_corpus_on_the_hub_is_an_error_that_says_where(sfal, gemma, tmp_path):
    hub, _, _ = gemma
    lines = [json.dumps({"text": text}) + "\n" for text in DOCUMENTS]
    folder = tmp_path / "cut"
    folder.mkdir()
    packed = zstandard.compress("".join(lines[:30]).encode())
    (folder / "train-0.jsonl.zst").write_bytes(packed)
    (folder / "train-1.jsonl.zst").write_bytes(packed[:-9])
    hub.add("who/cut", folder, "datasets")
    words = ["cooc", "gemma", "--layers", 0, "--n-docs", 60, "--k", K, "--corpus", "who/cut"]
    done = sfal(*words)
    assert_one_line_error(done, "corpus who/cut cannot be read at document 30", "runcated")


def test_without_a_network_and_without_a_cache_one_line_says_so(gemma, tmp_path):
    words = ["cooc", "gemma", "--layers", 0, "--n-docs", 6]
    done = start_afresh(gemma[0], tmp_path, *words, HF_HUB_OFFLINE="1")
    assert_one_line_error(done, "HF_HUB_OFFLINE")
    assert not list(tmp_path.rglob("*.npz"))


def test_an_sae_replaced_on_the_hub_is_noticed(sfal, gemma, tally):
    _, root, _ = gemma
    words = ["cooc", "gemma", "--layers", 5, "--sae-type", "att", "--k", K]
    assert sfal(*words, "--n-docs", 12).returncode == 0
    hub_content.change_one_weight(root / "gemma-scope-2b-pt-att/layer_5/width_16k/average_l0_135")
    done = sfal(*words, "--n-docs", 24)
    assert_one_line_error(done, "sae.revision was", "replaced")
    tally("faults: sae exchanged on the hub")


def test_a_model_replaced_on_the_hub_is_noticed(sfal, gemma, tally):
    hub, root, _ = gemma
    words = ["cooc", "gemma", "--layers", 0, "--k", K]
    assert sfal(*words, "--n-docs", 12).returncode == 0
    before = hub.commit("models", "google/gemma-2-2b")
    (root / "gemma-2-2b" / "README.md").write_text("another commit")
    done = sfal(*words, "--n-docs", 24)
    now = hub.commit("models", "google/gemma-2-2b")
    assert_one_line_error(done, f"model.revision was {before}, now {now}", "--revision")
    tally("faults: model exchanged on the hub")


def test_a_corpus_replaced_on_the_hub_is_noticed(sfal, gemma, tally):
    hub, root, _ = gemma
    words = ["cooc", "gemma", "--layers", 0, "--k", K]
    assert sfal(*words, "--n-docs", 12).returncode == 0
    hub_content.pile(hub, root, [*DOCUMENTS[:-1], "another end"])
    done = sfal(*words, "--n-docs", 24)
    assert_one_line_error(done, "corpus.revision was", "replaced")
    tally("faults: corpus exchanged on the hub")
