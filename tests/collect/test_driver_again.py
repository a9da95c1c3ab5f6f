"""The driver on a folder that has a run: it continues, skips, or refuses what differs."""

import pytest

import tiny
from collect import oracle
from collect.fixtures import D, F, rows_of, settings, snapshot, source
from sfal.collect.driver import collect
from sfal.errors import SettingsMismatchError
from sfal.sources import SaeRef


def test_a_complete_run_is_not_loaded_again(world, tmp_path, monkeypatch):
    root, sources, _ = world
    [first] = collect(sources[:1], settings(root), tmp_path)
    before = snapshot(first.folder)
    monkeypatch.setattr("sfal.collect.driver.open_corpus", None)
    monkeypatch.setattr("sfal.collect.model.load.load_language_model", None)
    [again] = collect(sources[:1], settings(root), tmp_path)
    assert again.counted == 0
    assert again.histogram == first.histogram
    assert snapshot(first.folder) == before


def test_a_lost_histogram_is_written_again_without_loading_anything(world, tmp_path, monkeypatch):
    root, sources, _ = world
    [first] = collect(sources[:1], settings(root), tmp_path)
    before = first.histogram.read_bytes()
    first.histogram.unlink()
    monkeypatch.setattr("sfal.collect.driver.open_corpus", None)
    collect(sources[:1], settings(root), tmp_path)
    assert first.histogram.read_bytes() == before


@pytest.mark.parametrize("first_docs", [2, 100, 128, 256, 299])
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


def test_sources_at_different_positions_each_continue_from_their_own(world, tmp_path):
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
    assert "run=NAME" in str(result.error)
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


def exchange_sae(root):
    tiny.gemma_scope(root / "sae-0-res", ".", D, F, seed=99)


def exchange_model(root):
    tiny.gemma2(root / "lm", layers=3, d_model=D, seed=5)


def exchange_corpus(root):
    oracle.write_jsonl(root / "corpus.jsonl", oracle.texts(300, seed=9, longest=30))


@pytest.mark.parametrize(
    ("exchange", "named"),
    [(exchange_sae, "sae"), (exchange_model, "model"), (exchange_corpus, "corpus")],
)
@pytest.mark.parametrize("n_docs", [128, 300])
def test_an_input_replaced_in_place_is_noticed(copy, tmp_path, tally, exchange, named, n_docs):
    source_ = source(copy, 0, "res")
    collect([source_], settings(copy, n_docs=128), tmp_path)
    exchange(copy)
    # More documents are asked for, or the same, which have all been counted.
    [result] = collect([source_], settings(copy, n_docs=n_docs), tmp_path)
    assert isinstance(result.error, SettingsMismatchError)
    assert f"{named}." in str(result.error)
    assert "replaced" in str(result.error)
    tally(f"faults: {named} exchanged in place")


def test_other_documents_before_the_position_are_noticed(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sfal.collect.corpus.local.LocalCorpus.fingerprint", {"sha256": "always the same"}
    )
    source_ = source(copy, 0, "res")
    collect([source_], settings(copy, n_docs=128), tmp_path)
    oracle.write_jsonl(copy / "corpus.jsonl", ["one more in front", *oracle.texts(300, longest=30)])
    [result] = collect([source_], settings(copy), tmp_path)
    assert isinstance(result.error, SettingsMismatchError)
    assert "other documents before number 128" in str(result.error)
