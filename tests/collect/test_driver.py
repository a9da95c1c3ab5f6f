"""The driver, in one process: what it counts equals plain loops, however it is cut up."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sfal
import tiny
from collect import oracle
from collect.fixtures import D, F, rows_of, settings, source
from sfal.collect.driver import collect
from sfal.collect.shard import Shard
from sfal.errors import (
    ArtifactError,
    InvalidInputError,
    LockedError,
    SettingsMismatchError,
    UnknownSaeError,
)
from sfal.io.lock import folder_lock
from sfal.sources import SaeRef


def test_all_sources_of_one_pass_equal_plain_loops(world, tmp_path):
    root, sources, rows = world
    results = collect(sources, settings(root), tmp_path)
    for result in results:
        assert result.error is None
        expected = rows[result.source.name]
        assert rows_of(result.folder) == expected
        with np.load(result.histogram) as file:
            counts, n_windows = file["histogram"], int(file["n_chunks"])
        expected_counts, n = oracle.histogram(expected, F)
        assert n_windows == n > 200
        np.testing.assert_array_equal(counts, expected_counts)


def test_the_manifest_counts_documents_and_tokens(world, tmp_path):
    root, sources, rows = world
    [result] = collect(sources[:1], settings(root), tmp_path)
    counts = result.manifest.counts
    assert counts.documents == 300
    assert counts.windows == len(rows[sources[0].name]) == result.manifest.n_windows
    assert counts.occurrences == sum(len(f) for _, _, f in rows[sources[0].name])
    assert counts.tokens_in_windows == 16 * counts.windows
    assert counts.empty >= 9
    assert counts.too_short >= 18
    assert 0 < result.manifest.coverage < 1


@pytest.mark.parametrize("tail", ["drop", "keep"])
@pytest.mark.parametrize("max_length", [40, 1024])
def test_tails_and_lengths_are_as_defined(world, tmp_path, tail, max_length):
    root, sources, _ = world
    [result] = collect(
        sources[1:2], settings(root, n_docs=40, tail=tail, max_length=max_length), tmp_path
    )
    documents = oracle.activations(
        root / "lm", oracle.texts(300, longest=30)[:40], [(2, "res")], max_length
    )
    margin = oracle.gemma_scope_margin(root / "sae-2-res")
    expected = oracle.windows(documents, (2, "res"), margin, window_size=16, tail=tail)
    assert rows_of(result.folder) == expected


@pytest.mark.parametrize("other", [{"batch_tokens": 64}, {"batch_tokens": 100_000}])
def test_batch_size_changes_no_occurrence(world, tmp_path, other):
    root, sources, rows = world
    for result in collect(sources, settings(root, **other), tmp_path):
        assert rows_of(result.folder) == rows[result.source.name]


def test_part_size_changes_the_files_only(world, tmp_path):
    root, sources, rows = world
    [result] = collect(sources[:1], settings(root, part_windows=1), tmp_path)
    assert len(result.manifest.parts) == 3
    assert rows_of(result.folder) == rows[sources[0].name]


@pytest.mark.parametrize("of", [2, 3, 7])
def test_shards_together_are_the_whole(world, tmp_path, of):
    root, sources, rows = world
    together = []
    for i in range(1, of + 1):
        [result] = collect(sources[:1], settings(root, shard=Shard(i, of)), tmp_path)
        assert result.folder.name == f"shard-{i}-of-{of}"
        assert result.manifest.complete
        assert result.histogram is None
        together += rows_of(result.folder)
    assert together == rows[sources[0].name]


def test_folders_may_be_given_as_text_as_one_does_in_a_notebook(world, tmp_path):
    root, sources, _ = world
    [result] = collect(sources[:1], settings(root), str(tmp_path))
    occurrences = sfal.read_occurrences(str(result.folder))
    assert occurrences.n_windows == result.manifest.n_windows > 0


def test_one_refused_source_does_not_stop_the_others(world, tmp_path):
    root, sources, rows = world
    deep = source(root, 7, "res", sae=sources[0].sae)
    wide = source(root, 1, "res", name="lm/wide", sae=SaeRef("local", path=str(root / "sae-1-att")))
    missing = source(root, 1, "res", name="lm/missing", sae=SaeRef("local", path="nowhere.npz"))
    results = collect([deep, sources[0], wide, missing], settings(root), tmp_path)
    assert isinstance(results[0].error, UnknownSaeError)
    assert "no layer 7; it has layers 0 to 2" in str(results[0].error)
    assert isinstance(results[2].error, InvalidInputError)
    assert isinstance(results[3].error, ArtifactError)
    assert results[1].error is None
    assert rows_of(results[1].folder) == rows[sources[0].name]


def test_a_folder_that_another_process_writes_is_refused(world, tmp_path):
    root, sources, _ = world
    with folder_lock(tmp_path / sources[0].name):
        results = collect(sources[:2], settings(root, n_docs=20), tmp_path)
    assert isinstance(results[0].error, LockedError)
    assert results[1].error is None


def test_two_sources_of_one_name_are_refused(world, tmp_path):
    root, sources, _ = world
    with pytest.raises(InvalidInputError, match="source_name=NAME"):
        collect([sources[0], sources[0]], settings(root), tmp_path)


def test_sources_of_several_models_are_refused(world, tmp_path):
    root, sources, _ = world
    with pytest.raises(InvalidInputError, match="different models"):
        collect([sources[0], replace(sources[1], model="other")], settings(root), tmp_path)


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.txt", "empty.parquet"])
def test_an_empty_corpus_is_refused(world, tmp_path, name):
    root, sources, _ = world
    if name.endswith("parquet"):
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / name)
    else:
        (tmp_path / name).write_text("")
    with pytest.raises(InvalidInputError, match="has no documents"):
        collect(sources[:1], settings(root, corpus=str(tmp_path / name)), tmp_path / "d")
    assert not list((tmp_path / "d").rglob("*"))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["", "a", "", "b c"], "none of the 4 documents .* window of 16 tokens: 2 are empty, the "),
        (["", ""], "all 2 documents are empty; if 'text' does not hold them, name the column"),
    ],
)
def test_documents_without_a_window_are_an_error_that_leaves_nothing(
    world, tmp_path, texts, message
):
    root, sources, _ = world
    oracle.write_jsonl(tmp_path / "short.jsonl", texts)
    corpus = str(tmp_path / "short.jsonl")
    [result] = collect(sources[:1], settings(root, corpus=corpus), tmp_path / "data")
    assert isinstance(result.error, InvalidInputError)
    assert re.search(message, str(result.error))
    assert result.manifest is None
    assert not list((tmp_path / "data").rglob("*"))
    other = settings(root, corpus=corpus, tail="keep")
    [again] = collect(sources[:1], other, tmp_path / "data")
    assert not isinstance(again.error, SettingsMismatchError)


def test_a_document_of_ten_megabytes_is_cut_like_any_other(world, tmp_path):
    root, sources, _ = world
    text = " ".join(oracle.texts(300, longest=30)) * 900
    assert len(text) > 10_000_000
    oracle.write_jsonl(tmp_path / "huge.jsonl", [text])
    [result] = collect(sources[:1], settings(root, corpus=str(tmp_path / "huge.jsonl")), tmp_path)
    documents = oracle.activations(root / "lm", [text[:50_000]], [(0, "res")])
    margin = oracle.gemma_scope_margin(root / "sae-0-res")
    expected = oracle.windows(documents, (0, "res"), margin, window_size=16)
    assert len(expected) == 1023 // 16
    assert rows_of(result.folder) == expected


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_source_with_nan_activations_fails_and_the_others_continue(copy, tmp_path, tally, value):
    from safetensors.torch import load_file, save_file

    path = copy / "lm" / "model.safetensors"
    tensors = load_file(path)
    # Only the last layer's MLP breaks, so a source before it continues.
    name = next(n for n in tensors if "layers.2.post_feedforward_layernorm" in n)
    tensors[name][:] = float(value)
    save_file(tensors, path, metadata={"format": "pt"})
    results = collect([source(copy, 0, "res"), source(copy, 2, "res")], settings(copy), tmp_path)
    assert results[0].error is None
    assert results[0].manifest.counts.documents == 300
    assert isinstance(results[1].error, InvalidInputError)
    assert "NaN or infinite activations at layer 2 res" in str(results[1].error)
    assert "document " in str(results[1].error)
    # No number of it reached a count.
    assert not list(results[1].folder.rglob("part-*"))
    tally("faults: activations that are no numbers")


def test_a_tokenizer_without_bos_counts_the_texts_own_tokens(world, tmp_path):
    root, _, _ = world
    tiny.qwen3(tmp_path / "lm", layers=1, d_model=D)
    oracle.write_jsonl(tmp_path / "own.jsonl", ["", "a", "ab" * 40, "the river " * 30])
    _, tokenizer = oracle.load(tmp_path / "lm")
    n_tokens = [len(tokenizer.encode(t)) for t in ["", "a", "ab" * 40, "the river " * 30]]
    assert n_tokens[:2] == [0, 1]
    assert min(n_tokens[2:]) >= 16
    without = source(root, 0, "res", model=str(tmp_path / "lm"), name="lm/without")
    own = settings(root, corpus=str(tmp_path / "own.jsonl"), n_docs=4)
    [result] = collect([without], own, tmp_path / "data")
    assert result.error is None
    counts = result.manifest.counts
    assert (counts.documents, counts.empty, counts.too_short) == (4, 1, 1)
    assert counts.tokens == sum(n_tokens)
    assert counts.windows == sum(n // 16 for n in n_tokens)


def test_a_histogram_beyond_the_memory_is_left_out_unless_asked_for(world, tmp_path, monkeypatch):
    from sfal.errors import MemoryLimitError

    def too_large(*args):
        raise MemoryLimitError("needs 64 GiB")

    root, sources, _ = world
    monkeypatch.setattr("sfal.collect.export._write", too_large)
    [result] = collect(sources[:1], settings(root, n_docs=20), tmp_path)
    assert result.error is None
    assert result.histogram is None
    assert "no histogram: 24 × 24 counts" in str(result.note)
    [asked] = collect(sources[:1], settings(root, n_docs=20, histogram="npz"), tmp_path)
    assert isinstance(asked.error, MemoryLimitError)


def test_no_histogram_is_written_where_none_is_wanted(world, tmp_path):
    root, sources, _ = world
    [result] = collect(sources[:1], settings(root, n_docs=20, histogram="none"), tmp_path)
    assert result.histogram is None
    assert not list(tmp_path.rglob("*.npz"))


def test_histograms_go_where_they_are_wanted_under_the_published_name(world, tmp_path):
    root, sources, _ = world
    [result] = collect(sources[2:3], settings(root, n_docs=20, save_dir=tmp_path / "h"), tmp_path)
    assert result.histogram == (
        tmp_path / "h" / "corpus_lm_mlp_sae-1-mlp_docs20_keq16_cooccurrences.npz"
    )
    assert result.histogram.is_file()
