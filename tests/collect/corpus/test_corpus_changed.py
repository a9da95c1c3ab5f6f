"""Local corpora that were repaired, or grew, since they were counted."""

import json

import pytest

from collect import oracle
from collect.fixtures import rows_of, settings, snapshot, source
from sfal.collect.driver import collect
from sfal.errors import SettingsMismatchError

TEXTS = oracle.texts(300, longest=30)


def counted(copy, data, **other):
    [result] = collect([source(copy, 0, "res")], settings(copy, part_windows=10, **other), data)
    return result


def straight(copy, tmp_path, **other):
    """Count the corpus as it is now in one go."""
    return counted(copy, tmp_path / "straight", **other)


def assert_same(result, expected):
    assert result.error is None
    assert rows_of(result.folder) == rows_of(expected.folder)
    assert snapshot(result.folder) == snapshot(expected.folder)


def test_a_repaired_corpus_is_counted_again_from_the_repair_on(copy, tmp_path):
    corpus = copy / "corpus.jsonl"
    good = corpus.read_text().splitlines(keepends=True)
    corpus.write_text("".join([*good[:199], '{"id": 199}\n', *good[200:]]))
    first = counted(copy, tmp_path / "a")
    assert first.error is None
    corpus.write_text("".join(good))
    second = counted(copy, tmp_path / "a")
    assert second.counted == 172
    [note] = second.notes
    assert "from number 128 on are counted again" in str(note)
    assert second.manifest.notes == (str(note),)
    assert_same(second, straight(copy, tmp_path))


def test_a_corpus_repaired_after_what_was_counted_continues_without_a_note(copy, tmp_path):
    corpus = copy / "corpus.jsonl"
    good = corpus.read_text().splitlines(keepends=True)
    corpus.write_text("".join([*good[:199], '{"text": \n', *good[200:]]))
    with pytest.raises(Exception, match="line 200: invalid JSON"):
        counted(copy, tmp_path / "a")
    corpus.write_text("".join(good))
    second = counted(copy, tmp_path / "a")
    assert second.counted == 172
    assert second.notes == ()
    assert_same(second, straight(copy, tmp_path))


def test_a_corpus_that_grew_goes_on_where_it_ended(copy, tmp_path):
    oracle.write_jsonl(copy / "corpus.jsonl", TEXTS[:200])
    first = counted(copy, tmp_path / "a")
    assert first.manifest.corpus_ended_at == 200
    oracle.write_jsonl(copy / "corpus.jsonl", TEXTS)
    second = counted(copy, tmp_path / "a")
    assert second.counted == 172
    assert_same(second, straight(copy, tmp_path))


def test_a_complete_run_takes_a_corpus_that_grew_without_loading_the_model(
    copy, tmp_path, monkeypatch
):
    first = counted(copy, tmp_path / "a", n_docs=128)
    oracle.write_jsonl(copy / "corpus.jsonl", [*TEXTS, "more"])
    monkeypatch.setattr("sfal.collect.model.load.load_language_model", None)
    second = counted(copy, tmp_path / "a", n_docs=128)
    assert (second.error, second.counted) == (None, 0)
    assert second.manifest.fingerprints["corpus"] != first.manifest.fingerprints["corpus"]
    assert rows_of(second.folder) == rows_of(first.folder)


@pytest.mark.parametrize("position", ["last", "second"])
def test_a_folder_that_got_another_shard_goes_on(copy, tmp_path, position):
    folder = copy / "shards"
    folder.mkdir()
    oracle.write_jsonl(folder / "0.jsonl", TEXTS[:140])
    oracle.write_jsonl(folder / "2.jsonl", TEXTS[140:200])
    first = counted(copy, tmp_path / "a", corpus=str(folder))
    assert first.manifest.corpus_ended_at == 200
    oracle.write_jsonl(folder / ("3.jsonl" if position == "last" else "1.jsonl"), TEXTS[200:])
    second = counted(copy, tmp_path / "a", corpus=str(folder))
    assert len(second.notes) == (position == "second")
    assert_same(second, straight(copy, tmp_path, corpus=str(folder)))


@pytest.mark.parametrize("position", [0, 1, 70, 127])
@pytest.mark.parametrize("all_counted", [True, False])
def test_a_repair_in_the_first_part_counts_all_again_with_a_note(
    copy, tmp_path, position, all_counted
):
    good = (copy / "corpus.jsonl").read_text().splitlines(keepends=True)
    wrong = [*good[:position], '{"text": "wrong"}\n', *good[position + 1 :]]
    (copy / "corpus.jsonl").write_text("".join(wrong))
    other = {} if all_counted else {"n_docs": 128, "histogram": "none"}
    first = counted(copy, tmp_path / "a", **other)
    assert first.error is None
    (copy / "corpus.jsonl").write_text("".join(good))
    second = counted(copy, tmp_path / "a")
    assert second.counted == 300
    [note] = second.notes
    assert "from number 0 on are counted again" in str(note)
    assert_same(second, straight(copy, tmp_path))


def test_a_recount_of_more_documents_leaves_one_histogram(copy, tmp_path):
    good = (copy / "corpus.jsonl").read_text().splitlines(keepends=True)
    (copy / "corpus.jsonl").write_text("".join(['{"text": "wrong"}\n', *good[1:]]))
    first = counted(copy, tmp_path / "a", n_docs=128, histogram="npz")
    (copy / "corpus.jsonl").write_text("".join(good))
    second = counted(copy, tmp_path / "a", histogram="npz")
    assert second.error is None
    assert first.histogram != second.histogram
    assert list(second.folder.glob("*.npz")) == [second.histogram]


def test_a_removed_line_in_the_first_part_counts_all_again(copy, tmp_path):
    oracle.write_jsonl(copy / "corpus.jsonl", ["wrong", *TEXTS[:200]])
    assert counted(copy, tmp_path / "a", n_docs=128, histogram="none").error is None
    oracle.write_jsonl(copy / "corpus.jsonl", TEXTS)
    second = counted(copy, tmp_path / "a")
    assert "from number 0 on" in str(second.notes[0])
    assert_same(second, straight(copy, tmp_path))


def test_a_corpus_cut_short_or_exchanged_is_refused(copy, tmp_path):
    first = counted(copy, tmp_path / "a")
    before = snapshot(first.folder)
    for texts in (TEXTS[:290], oracle.texts(300, seed=9), [*oracle.texts(40, seed=9), *TEXTS[40:]]):
        oracle.write_jsonl(copy / "corpus.jsonl", texts)
        second = counted(copy, tmp_path / "a")
        assert isinstance(second.error, SettingsMismatchError)
        assert "corpus." in str(second.error)
        assert snapshot(first.folder) == before


def test_an_older_run_without_hashes_of_its_documents_is_refused(copy, tmp_path):
    first = counted(copy, tmp_path / "a")
    path = first.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["volatile"]["first_documents"]
    path.write_text(json.dumps(manifest))
    oracle.write_jsonl(copy / "corpus.jsonl", ["another", *TEXTS[1:]])
    assert isinstance(counted(copy, tmp_path / "a").error, SettingsMismatchError)


def test_the_manifest_names_a_setting_only_if_it_is_set(copy, tmp_path):
    plain = counted(copy, tmp_path / "a", n_docs=5)
    assert json.dumps(plain.manifest.settings["corpus"]) == json.dumps(
        {"name": "corpus.jsonl", "text_column": "text", "config": None, "split": None}
    )
    other = counted(copy, tmp_path / "b", n_docs=5, chat_template="none")
    assert other.manifest.settings["corpus"]["chat_template"] == "none"
    again = counted(copy, tmp_path / "a", n_docs=5, chat_template="none")
    assert "chat_template was not set, now none" in str(again.error)
