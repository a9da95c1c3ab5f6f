"""The driver, in one process: what it counts equals plain loops, however it is cut up."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sfal
import tiny
from cooc import plain
from sfal.cooc.collect import collect
from sfal.cooc.settings import CollectSettings, Shard
from sfal.errors import (
    ArtifactError,
    InvalidInputError,
    LockedError,
    SettingsMismatchError,
    UnknownSaeError,
)
from sfal.sources import SaeRef, Source
from sfal.store.lock import folder_lock
from sfal.store.manifest import Manifest
from sfal.store.npz import open_histogram
from sfal.store.parts import iterate_parts

F = 24
D = 16
PLACES = [(0, "res"), (2, "res"), (1, "mlp"), (1, "att")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model, an SAE for each place, a corpus of 300 documents, and what plain loops count."""
    root = tmp_path_factory.mktemp("world")
    tiny.gemma2(root / "lm", layers=3, d_model=D)
    plain.write_jsonl(root / "corpus.jsonl", plain.texts(300, longest=30))
    documents = plain.activations(root / "lm", plain.texts(300, longest=30), PLACES)
    sources, rows = [], {}
    for seed, (layer, site) in enumerate(PLACES):
        folder = root / f"sae-{layer}-{site}"
        tiny.gemma_scope(folder, ".", 24 if site == "att" else D, F, seed=seed)
        plain.move_thresholds(folder, documents, (layer, site))
        sources.append(source(root, layer, site))
        margin = plain.gemma_scope_margin(folder)
        rows[sources[-1].name] = plain.windows(documents, (layer, site), margin, window_size=16)
    return root, sources, rows


def source(root, layer, site, **other):
    facts = {
        "name": f"lm/{layer}-{site}",
        "model": str(root / "lm"),
        "site": site,
        "layer": layer,
        "sae": SaeRef("local", path=str(root / f"sae-{layer}-{site}")),
    }
    return Source(**{**facts, **other})


def settings(root, **other):
    facts = {
        "corpus": str(root / "corpus.jsonl"),
        "n_docs": 300,
        "window_size": 16,
        "batch_tokens": 512,
        "device": "cpu",
        "part_windows": 80,
    }
    return CollectSettings(**{**facts, **other})


def rows_of(folder):
    return [
        (int(d), int(o), tuple(w.indices[w.indptr[i] : w.indptr[i + 1]].tolist()))
        for w in iterate_parts(folder)
        for i, (d, o) in enumerate(zip(w.documents, w.ordinals, strict=True))
    ]


def snapshot(folder):
    """Everything that must not depend on how a run came about."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["volatile"]
    files = {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "manifest.json"
    }
    return manifest, files


def test_all_sources_of_one_pass_equal_plain_loops(world, tmp_path):
    root, sources, rows = world
    results = collect(sources, settings(root), tmp_path)
    for result in results:
        assert result.error is None
        expected = rows[result.source.name]
        assert rows_of(result.folder) == expected
        counts, n_windows = open_histogram(result.histogram)
        expected_counts, n = plain.histogram(expected, F)
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
    documents = plain.activations(
        root / "lm", plain.texts(300, longest=30)[:40], [(2, "res")], max_length
    )
    margin = plain.gemma_scope_margin(root / "sae-2-res")
    expected = plain.windows(documents, (2, "res"), margin, window_size=16, tail=tail)
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


def test_what_is_complete_is_not_loaded_again(world, tmp_path, monkeypatch):
    root, sources, _ = world
    [first] = collect(sources[:1], settings(root), tmp_path)
    before = snapshot(first.folder)
    monkeypatch.setattr("sfal.cooc.collect.load_corpus", None)
    monkeypatch.setattr("sfal.cooc.activations.load_language_model", None)
    [again] = collect(sources[:1], settings(root), tmp_path)
    assert again.counted == 0
    assert again.histogram == first.histogram
    assert snapshot(first.folder) == before


def test_folders_may_be_given_as_text_as_one_does_in_a_notebook(world, tmp_path):
    root, sources, _ = world
    [result] = collect(sources[:1], settings(root), str(tmp_path))
    occurrences = sfal.read_occurrences(str(result.folder))
    assert occurrences.n_windows == result.manifest.n_windows > 0


def test_a_lost_histogram_is_written_again_without_loading_anything(world, tmp_path, monkeypatch):
    root, sources, _ = world
    [first] = collect(sources[:1], settings(root), tmp_path)
    before = first.histogram.read_bytes()
    first.histogram.unlink()
    monkeypatch.setattr("sfal.cooc.collect.load_corpus", None)
    collect(sources[:1], settings(root), tmp_path)
    assert first.histogram.read_bytes() == before


@pytest.mark.parametrize("first_docs", [1, 100, 128, 256, 299])
def test_more_documents_extend_the_run_to_the_bits_of_a_long_one(world, tmp_path, first_docs):
    root, sources, _ = world
    [short] = collect(sources[:1], settings(root, n_docs=first_docs), tmp_path / "a")
    [long] = collect(sources[:1], settings(root), tmp_path / "a")
    [straight] = collect(sources[:1], settings(root), tmp_path / "b")
    assert short.manifest.counts.documents == first_docs
    assert long.counted <= 300
    assert snapshot(long.folder) == snapshot(straight.folder)
    assert len(list(long.folder.glob("*.npz"))) == 1


def test_a_source_added_later_leaves_the_others_alone(world, tmp_path):
    root, sources, rows = world
    collect(sources[:1], settings(root), tmp_path)
    before = snapshot(tmp_path / sources[0].name)
    results = collect(sources[:2], settings(root), tmp_path)
    assert [r.counted for r in results] == [0, 300]
    assert snapshot(tmp_path / sources[0].name) == before
    assert rows_of(results[1].folder) == rows[sources[1].name]


def test_sources_at_different_positions_each_go_on_from_their_own(world, tmp_path):
    root, sources, _ = world
    collect(sources[:1], settings(root, n_docs=128), tmp_path / "a")
    collect(sources[1:2], settings(root, n_docs=256), tmp_path / "a")
    mixed = collect(sources[:3], settings(root), tmp_path / "a")
    straight = collect(sources[:3], settings(root), tmp_path / "b")
    assert [r.counted for r in mixed] == [172, 44, 300]
    for one, other in zip(mixed, straight, strict=True):
        assert snapshot(one.folder) == snapshot(other.folder)


def test_the_end_of_the_corpus_completes_the_run(world, tmp_path):
    root, sources, rows = world
    [result] = collect(sources[:1], settings(root, n_docs=1000), tmp_path)
    assert result.manifest.complete
    assert result.manifest.corpus_ended_at == 300
    assert rows_of(result.folder) == rows[sources[0].name]
    assert "docs1k" in result.histogram.name
    [again] = collect(sources[:1], settings(root, n_docs=1000), tmp_path)
    assert again.counted == 0


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"window_size": 8}, "window_size was 16, now 8"),
        ({"tail": "keep"}, "tail was drop, now keep"),
        ({"max_length": 512}, "max_length was 1024, now 512"),
        ({"dtype": "bfloat16"}, "dtype was float32, now bfloat16"),
        ({"sae_dtype": "bfloat16"}, "sae_dtype was float32, now bfloat16"),
        ({"top_k": 5}, "top_k was not set, now 5"),
        ({"input_scale": 2.0}, "input_scale was auto, now 2.0"),
        ({"text_column": "body"}, "corpus.text_column was text, now body"),
    ],
)
def test_other_settings_are_refused_with_the_difference_and_the_way_out(
    world, tmp_path, other, named
):
    root, sources, _ = world
    collect(sources[:1], settings(root, n_docs=20), tmp_path)
    before = snapshot(tmp_path / sources[0].name)
    [result] = collect(sources[:1], settings(root, n_docs=20, **other), tmp_path)
    assert isinstance(result.error, SettingsMismatchError)
    assert named in str(result.error)
    assert "--run NAME" in str(result.error)
    assert snapshot(tmp_path / sources[0].name) == before


def test_all_differences_are_named_at_once(copy, tmp_path):
    collect([source(copy, 0, "res")], settings(copy, n_docs=20), tmp_path)
    for name in ("lm", "sae-0-res", "corpus.jsonl"):
        (copy / name).rename(copy / f"new-{name}")
    sae = SaeRef("local", path=str(copy / "new-sae-0-res"))
    other = source(copy, 0, "res", model=str(copy / "new-lm"), sae=sae)
    changed = {"corpus": str(copy / "new-corpus.jsonl"), "window_size": 8, "dtype": "bfloat16"}
    [result] = collect([other], settings(copy, n_docs=20, **changed), tmp_path)
    assert isinstance(result.error, SettingsMismatchError)
    for named in (
        "model was lm, now new-lm", "sae.path was sae-0-res, now new-sae-0-res",
        "corpus.name was corpus.jsonl, now new-corpus.jsonl", "window_size was 16, now 8",
        "dtype was float32, now bfloat16",
    ):  # fmt: skip
        assert named in str(result.error)


def test_another_run_lies_beside_the_first(world, tmp_path):
    root, sources, _ = world
    collect(sources[:1], settings(root, n_docs=20), tmp_path)
    [result] = collect(sources[:1], settings(root, n_docs=20, window_size=8, run="k8"), tmp_path)
    assert result.error is None
    assert result.folder == tmp_path / sources[0].name / "runs" / "k8"


@pytest.fixture
def copy(world, tmp_path):
    """A world of one's own, to exchange things in."""
    root = tmp_path / "world"
    shutil.copytree(world[0], root)
    return root


def exchange_sae(root):
    tiny.gemma_scope(root / "sae-0-res", ".", D, F, seed=99)


def exchange_model(root):
    tiny.gemma2(root / "lm", layers=3, d_model=D, seed=5)


def exchange_corpus(root):
    plain.write_jsonl(root / "corpus.jsonl", [*plain.texts(299, longest=30), "another last one"])


@pytest.mark.parametrize(
    ("exchange", "named"),
    [(exchange_sae, "sae"), (exchange_model, "model"), (exchange_corpus, "corpus")],
)
@pytest.mark.parametrize("n_docs", [128, 300])
def test_an_input_exchanged_in_place_is_noticed(copy, tmp_path, tally, exchange, named, n_docs):
    source_ = source(copy, 0, "res")
    collect([source_], settings(copy, n_docs=128), tmp_path)
    exchange(copy)
    # More documents are asked for, or the same, which have all been counted.
    [result] = collect([source_], settings(copy, n_docs=n_docs), tmp_path)
    assert isinstance(result.error, SettingsMismatchError)
    assert f"{named}." in str(result.error)
    assert "exchanged" in str(result.error)
    tally(f"faults: {named} exchanged in place")


def test_other_documents_before_the_position_are_noticed(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sfal.cooc.local_corpus.LocalCorpus.fingerprint", {"sha256": "always the same"}
    )
    source_ = source(copy, 0, "res")
    collect([source_], settings(copy, n_docs=128), tmp_path)
    plain.write_jsonl(copy / "corpus.jsonl", ["one more in front", *plain.texts(300, longest=30)])
    [result] = collect([source_], settings(copy), tmp_path)
    assert isinstance(result.error, SettingsMismatchError)
    assert "other documents before number 128" in str(result.error)


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
    with pytest.raises(InvalidInputError, match="--source NAME"):
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
    with pytest.raises(InvalidInputError, match="holds no documents"):
        collect(sources[:1], settings(root, corpus=str(tmp_path / name)), tmp_path / "d")
    assert not list((tmp_path / "d").rglob("*"))


def test_documents_without_a_window_are_counted_and_said(world, tmp_path):
    root, sources, _ = world
    plain.write_jsonl(tmp_path / "short.jsonl", ["", "a", "", "b c"])
    [result] = collect(sources[:1], settings(root, corpus=str(tmp_path / "short.jsonl")), tmp_path)
    assert isinstance(result.error, InvalidInputError)
    assert "none of 4 documents has a window of 16 tokens" in str(result.error)
    counts = Manifest.load(result.folder).counts
    assert (counts.documents, counts.empty, counts.too_short, counts.windows) == (4, 2, 2, 0)
    assert result.histogram is None


def test_a_document_of_ten_megabytes_is_cut_like_any_other(world, tmp_path):
    root, sources, _ = world
    text = " ".join(plain.texts(300, longest=30)) * 900
    assert len(text) > 10_000_000
    plain.write_jsonl(tmp_path / "huge.jsonl", [text])
    [result] = collect(sources[:1], settings(root, corpus=str(tmp_path / "huge.jsonl")), tmp_path)
    documents = plain.activations(root / "lm", [text[:50_000]], [(0, "res")])
    margin = plain.gemma_scope_margin(root / "sae-0-res")
    expected = plain.windows(documents, (0, "res"), margin, window_size=16)
    assert len(expected) == 1023 // 16
    assert rows_of(result.folder) == expected


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_activations_that_are_no_numbers_give_the_source_up_and_the_others_go_on(
    copy, tmp_path, tally, value
):
    from safetensors.torch import load_file, save_file

    path = copy / "lm" / "model.safetensors"
    tensors = load_file(path)
    # Only the last layer's MLP breaks, so a source before it goes on.
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
    plain.write_jsonl(tmp_path / "own.jsonl", ["", "a", "ab" * 40, "the river " * 30])
    _, tokenizer = plain.load(tmp_path / "lm")
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
    monkeypatch.setattr("sfal.cooc.histogram._write", too_large)
    [result] = collect(sources[:1], settings(root, n_docs=20), tmp_path)
    assert result.error is None
    assert result.histogram is None
    assert "no histogram: 24 × 24 counts" in result.note
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
