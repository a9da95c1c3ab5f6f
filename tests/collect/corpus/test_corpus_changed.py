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


def test_a_corpus_cut_short_or_changed_at_its_beginning_is_refused(copy, tmp_path):
    first = counted(copy, tmp_path / "a")
    before = snapshot(first.folder)
    for texts in (TEXTS[:290], ["another", *TEXTS[1:]]):
        oracle.write_jsonl(copy / "corpus.jsonl", texts)
        second = counted(copy, tmp_path / "a")
        assert isinstance(second.error, SettingsMismatchError)
        assert "corpus." in str(second.error)
        assert snapshot(first.folder) == before


def test_the_manifest_names_a_setting_only_if_it_is_set(copy, tmp_path):
    plain = counted(copy, tmp_path / "a", n_docs=5)
    assert json.dumps(plain.manifest.settings["corpus"]) == json.dumps(
        {"name": "corpus.jsonl", "text_column": "text", "config": None, "split": None}
    )
    other = counted(copy, tmp_path / "b", n_docs=5, chat_template="none")
    assert other.manifest.settings["corpus"]["chat_template"] == "none"
    again = counted(copy, tmp_path / "a", n_docs=5, chat_template="none")
    assert "chat_template was not set, now none" in str(again.error)
