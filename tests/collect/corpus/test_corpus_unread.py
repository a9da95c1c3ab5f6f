"""What a corpus holds beside its documents: other splits, and columns of the prompt."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.collect.corpus.open import open_corpus
from sfal.collect.settings import CorpusConfig

TALK = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def notes(path, **settings):
    return [str(note) for note in open_corpus(CorpusConfig(str(path), **settings)).notes]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train-00000-of-00001.txt", "test-00000-of-00001.txt"), "test, train"),
        (("train/a.txt", "dev/a.txt"), "validation, train"),
        (("data/train.txt", "data/valid.txt"), "train, validation"),
        (("train-00000-of-00002.txt", "train-00001-of-00002.txt"), None),
        (("training.txt", "testimony.txt"), None),
        (("train.txt", "test.txt", "wiki.txt"), None),
    ],
)
def test_several_splits_in_a_folder_are_read_and_noted(tmp_path, names, splits):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name + "\n")
    found = notes(tmp_path)
    assert len(list(open_corpus(CorpusConfig(str(tmp_path))).documents(0))) == len(names)
    assert len(found) == (splits is not None)
    assert splits is None or f"several splits ({splits})" in found[0]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("settings", [{}, {"text_column": "messages"}], ids=["found", "named"])
def test_prompts_beside_conversations_are_noted_if_there_are_any(tmp_path, ending, settings):
    path = tmp_path / f"c.{ending}"

    def write(system, tools):
        row = {"messages": TALK, "id": 1, "system": system, "tools": tools}
        if ending == "jsonl":
            path.write_text(json.dumps(row) + "\n")
        else:
            pq.write_table(pa.Table.from_pylist([row]), path)

    write("Be brief.", "[]")
    (note,) = notes(path, **settings)
    assert "not what 'system' beside it adds" in note
    write("", [{"name": "search"}])
    (note,) = notes(path, **settings)
    assert "not what 'tools' beside it adds" in note
    write(None, [])
    assert notes(path, **settings) == []


def test_a_column_called_system_beside_a_text_is_no_prompt(tmp_path):
    (tmp_path / "c.jsonl").write_text(json.dumps({"text": "a", "system": "linux"}) + "\n")
    assert notes(tmp_path / "c.jsonl") == []
