"""Columns that hold the documents: text, conversations, token ids."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.collect.corpus.document import Conversation, TokenIds
from sfal.collect.corpus.open import open_corpus
from sfal.collect.settings import CorpusConfig
from sfal.errors import InvalidInputError


def documents(path, start=0, **other):
    return list(open_corpus(CorpusConfig(str(path), **other)).documents(start))


TALK = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


@pytest.mark.parametrize("name", ["messages", "conversations", "conversation"])
def test_conversations_are_recognised_where_there_is_no_text(tmp_path, name):
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"id": 1, name: TALK}) + "\n")
    assert documents(path) == [Conversation(tuple(TALK))]
    assert documents(path, chat_template="none") == ["a\nb"]
    pq.write_table(pa.table({"id": [1], name: [TALK]}), tmp_path / "c.parquet")
    assert documents(tmp_path / "c.parquet") == [Conversation(tuple(TALK))]
    path.write_text(json.dumps({"text": "plain", name: TALK}) + "\n")
    assert documents(path) == ["plain"]
    assert documents(path, text_column=name) == [Conversation(tuple(TALK))]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int32()),
        pa.large_list(pa.int64()),
        pa.list_(pa.uint16(), 3),
        pa.list_(pa.int8()),
    ],
    ids=str,
)
def test_token_ids_are_taken_as_they_are(tmp_path, kind):
    table = pa.table({"input_ids": pa.array([[5, 1, 7], None, [3, 4, 5]], kind)})
    pq.write_table(table, tmp_path / "c.parquet")
    expected = [TokenIds((5, 1, 7)), "", TokenIds((3, 4, 5))]
    assert documents(tmp_path / "c.parquet") == expected
    renamed = table.rename_columns(["tokens"])
    pq.write_table(renamed, tmp_path / "d.parquet")
    assert documents(tmp_path / "d.parquet", tokens_column="tokens") == expected
    with pytest.raises(InvalidInputError, match=r"it has tokens.*tokens_column"):
        documents(tmp_path / "d.parquet")


def test_a_column_said_to_be_token_ids_must_be(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"t": "a b", "u": [1, true], "v": [-1, 3], "w": [1e99]}\n')
    for column, message in [
        ("t", "is str, not token ids"), ("u", "is a list of int and bool, not token ids"),
        ("v", "has token id -1"), ("w", "list of float"), ("x", "has no 'x'"),
    ]:  # fmt: skip
        with pytest.raises(InvalidInputError, match=message):
            documents(tmp_path / "c.jsonl", tokens_column=column)


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], TALK),
        ([{"from": "user", "value": "a"}, {"from": "model", "value": "b"}], TALK),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], TALK[:1]),
        ({"role": ["user", "assistant"], "content": ["a", "b"]}, TALK),
        ([{**TALK[0], "name": None}], TALK[:1]),
    ],
)
def test_conversations_come_in_several_spellings(tmp_path, messages, found):
    (tmp_path / "c.jsonl").write_text(json.dumps({"messages": messages}))
    assert documents(tmp_path / "c.jsonl") == [Conversation(tuple(found))]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user"}, {"content": "a"}],
        [{"role": 3, "content": "a"}],
        [{"role": "user", "content": [{"type": "image"}]}],
        [{"role": "user", "content": 5}],
        ["a"], {"a": 1}, 5, True,
    ],
)  # fmt: skip
def test_what_is_neither_text_nor_a_conversation_nor_ids_is_refused(tmp_path, messages):
    (tmp_path / "c.jsonl").write_text(json.dumps({"messages": messages}))
    with pytest.raises(InvalidInputError, match=r"c\.jsonl, line 1: 'messages' (is|has) "):
        documents(tmp_path / "c.jsonl")


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_lists_that_were_written_as_text_are_lists(tmp_path, ending):
    path = tmp_path / f"c.{ending}"
    spelled = json.dumps([{"role": "user", "content": "Hi"}])
    if ending == "jsonl":
        path.write_text(json.dumps({"messages": spelled}))
    elif ending == "csv":
        path.write_text('messages\n"' + spelled.replace('"', '""') + '"\n')
    else:
        pq.write_table(pa.table({"messages": [spelled]}), path)
    assert documents(path) == [Conversation(({"role": "user", "content": "Hi"},))]
    (tmp_path / "ids.csv").write_text('input_ids\n"[3, 4]"\n')
    assert documents(tmp_path / "ids.csv") == [TokenIds((3, 4))]


def test_lists_in_the_spelling_of_python_are_refused(tmp_path):
    (tmp_path / "c.csv").write_text("messages\n[{'role': 'user'}]\n")
    with pytest.raises(InvalidInputError, match="list written as text, but not as JSON"):
        documents(tmp_path / "c.csv")


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "arrow"])
def test_conversations_beside_an_empty_column_of_text_are_read_with_a_note(tmp_path, ending):
    rows = [{"text": None, "messages": TALK}, {"text": "", "messages": TALK}]
    path = tmp_path / f"c.{ending}"
    table = pa.table({name: [row[name] for row in rows] for name in rows[0]})
    if ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif ending == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    corpus = open_corpus(CorpusConfig(str(path)))
    assert list(corpus.documents(0)) == [Conversation(tuple(TALK))] * 2
    [note] = corpus.notes
    assert "'text' holds nothing in its first rows, so 'messages' is read" in str(note)
    if ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, [*rows, {"text": "a"}])))
        corpus = open_corpus(CorpusConfig(str(path)))
        assert list(corpus.documents(0)) == ["", "", "a"]
        assert corpus.notes == ()


@pytest.mark.parametrize("spelled", ["[3, 4, 55]", "3 4 55", "3,4,55", "[ 3  4 55]"])
@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t")])
def test_token_ids_in_the_cells_of_a_csv_file_are_read(tmp_path, spelled, ending, mark):
    path = tmp_path / f"c.{ending}"
    path.write_text(f'id{mark}ids\n1{mark}"{spelled}"\n2{mark}\n')
    assert documents(path, tokens_column="ids") == [TokenIds((3, 4, 55)), ""]


@pytest.mark.parametrize("cell", ["[3 4 ... 5]", "a b", "[3.5, 4]"])
def test_cells_that_are_not_token_ids_are_refused(tmp_path, cell):
    (tmp_path / "c.csv").write_text(f'ids\n"{cell}"\n')
    with pytest.raises(InvalidInputError, match="'ids' is str, not token ids"):
        documents(tmp_path / "c.csv", tokens_column="ids")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([3, -100], r"has token id -100; -100 marks tokens that a loss leaves out"),
        ([3, None], "is a list of int and missing value, not token ids"),
    ],
)
def test_what_is_wrong_with_token_ids_is_said(tmp_path, ids, message):
    pq.write_table(pa.table({"labels": [ids]}), tmp_path / "c.parquet")
    with pytest.raises(InvalidInputError, match=message):
        documents(tmp_path / "c.parquet", tokens_column="labels")


CALL = [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}]


def test_a_call_of_a_tool_stays_with_its_message(tmp_path):
    said = {"role": "assistant", "content": None, "tool_calls": CALL}
    (tmp_path / "c.jsonl").write_text(json.dumps({"messages": [TALK[0], said]}))
    [found] = documents(tmp_path / "c.jsonl")
    assert found.messages[1] == {"role": "assistant", "content": "", "tool_calls": CALL}
    assert found.calls_tools
    assert not Conversation(tuple(TALK)).calls_tools


def test_a_message_with_an_image_is_refused_as_such(tmp_path):
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    messages = [TALK[0], {"role": "user", "content": parts}]
    (tmp_path / "c.jsonl").write_text(json.dumps({"messages": messages}))
    with pytest.raises(InvalidInputError, match="message 2 has a part of type image_url"):
        documents(tmp_path / "c.jsonl")
