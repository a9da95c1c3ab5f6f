"""Conversations through the tokenizer's chat template, and token ids as they are."""

import json

import numpy as np
import pytest

import tiny
from collect.fixtures import settings
from sfal.collect.batching import plan_buffer
from sfal.collect.corpus.document import Conversation, TokenIds
from sfal.collect.driver import collect
from sfal.collect.model.hook_points import HookPoint
from sfal.collect.model.load import load_language_model
from sfal.collect.model.tokenizer import Tokenizer
from sfal.collect.settings import WindowConfig
from sfal.errors import InvalidInputError
from sfal.sources import SaeRef, Source

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role not in ('user', 'assistant') %}{{ raise_exception('unknown role ' + m.role) }}"
    "{% endif %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
)
TALK = Conversation(
    ({"role": "user", "content": "The river rises"}, {"role": "assistant", "content": "in 1924"}),
    "corpus chat.jsonl, line 3",
)


def with_template(folder, template=TEMPLATE, tokens=("<|turn|>", "<|end|>"), **options):
    from transformers import AutoTokenizer

    tiny.llama(folder, layers=2, **options)
    inner = AutoTokenizer.from_pretrained(folder)
    inner.add_special_tokens({"additional_special_tokens": list(tokens)})
    inner.chat_template = template
    inner.save_pretrained(folder)
    return folder


def load(folder):
    from transformers import AutoTokenizer

    return Tokenizer(AutoTokenizer.from_pretrained(folder), "tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return with_template(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load(folder)


def test_a_conversation_is_tokenised_as_the_template_writes_it_with_one_bos(tokenizer):
    [ids] = tokenizer.tokenize([TALK], 200)
    rendered = tokenizer.readable(TALK)
    assert rendered.startswith("<bos><|turn|>user\nThe river rises<|end|>\n<|turn|>assistant\n")
    assert ids == tokenizer.inner(rendered, add_special_tokens=False)["input_ids"]
    assert ids.count(2) == 1
    assert tokenizer.tokenize([TALK], 200, prepend_bos=False) == [ids[1:]]
    assert tokenizer.tokenize([TALK], 5) == [ids[:5]]


def test_bos_is_added_where_the_template_leaves_it_out(tmp_path, tokenizer):
    bare = load(with_template(tmp_path, TEMPLATE.removeprefix("{{ bos_token }}"), adds_bos=False))
    assert bare.tokenize([TALK], 200) == tokenizer.tokenize([TALK], 200)


def test_documents_of_several_kinds_keep_their_order(tokenizer):
    documents = ["A river", TALK, TokenIds((7, 8)), "", "A river"]
    ids = tokenizer.tokenize(documents, 50)
    assert ids == [tokenizer.tokenize([one], 50)[0] for one in documents]
    assert ids[2] == [7, 8]
    assert ids[3] == [2]


def test_special_tokens_of_the_template_are_not_tokens_but_role_names_are(tokenizer):
    special = tokenizer.special_ids_in(TALK)
    names = {tokenizer.inner.convert_tokens_to_ids(name) for name in ("<|turn|>", "<|end|>")}
    assert special == {0, 1, 2} | names
    assert tokenizer.special_ids_in("a text") == {0, 1, 2}
    [ids] = tokenizer.tokenize([TALK], 200)
    kept = tokenizer.inner.decode([i for i in ids if i not in special])
    assert kept == "user\nThe river rises\nassistant\nin 1924\n"


def test_a_refusal_names_the_document_and_the_reason(tokenizer):
    other = Conversation(({"role": "system", "content": "x"},), TALK.where)
    with pytest.raises(
        InvalidInputError, match=r"chat.jsonl, line 3: .*unknown role system.*chat_template=none"
    ):
        tokenizer.tokenize([other], 50)


def test_a_template_does_not_see_the_day(tmp_path):
    dated = load(with_template(tmp_path, "{{ strftime_now('%d %b %Y') }}"))
    assert dated.readable(TALK) == "26 Jul 2024"


def test_without_a_template_the_contents_are_joined(tmp_path):
    plain = load(tiny.llama(tmp_path, layers=1))
    assert plain.chat is None
    assert plain.tokenize([TALK], 99) == plain.tokenize(["The river rises\nin 1924"], 99)
    assert plain.special_ids_in(TALK) == plain.special_ids


def test_positions_of_tokens_are_those_in_the_readable_text(tokenizer):
    documents = [TALK, TokenIds(tuple(tokenizer.tokenize(["A river 1924"], 50)[0][1:]))]
    ids, spans = tokenizer.tokenize(documents, 60), tokenizer.spans(documents, 60)
    for document, some, places in zip(documents, ids, spans, strict=True):
        text = tokenizer.readable(document)
        pieces = [tokenizer.inner.decode([i]) for i in some]
        start = isinstance(document, Conversation)  # BOS stands for no text
        assert [text[a:b] for a, b in places[start:]] == pieces[start:]


def test_special_ids_among_token_ids_are_not_tokens_and_no_bos_is_added(folder):
    model = load_language_model(str(folder), [HookPoint(0, "res")])
    ids = TokenIds((5, 6, 1, 7, 8, 0, 9))
    plan = plan_buffer([ids], model, WindowConfig(window_size=2, max_length=99), 100, None)
    assert plan.ids == [[5, 6, 1, 7, 8]]
    assert [one.tolist() for one in plan.windows[0]] == [[0, 1], [3, 4]]
    assert plan.counts.tokens == 5


def test_ids_outside_the_vocabulary_are_refused_with_the_document(folder):
    model = load_language_model(str(folder), [HookPoint(0, "res")])
    with pytest.raises(InvalidInputError, match=r"row 4: token id 384 .*\(384 ids\)"):
        model.tokenize([TokenIds((383,)), TokenIds((1, 384), "row 4")], 9)


def counted(root, data, corpus, **other):
    sae = tiny.saelens(root / "sae", "standard", 16, 24)
    one = Source("lm/1-x", str(root), "res", 1, SaeRef("local", path=str(sae)))
    facts = {"corpus": str(corpus), "window_size": 8, "max_length": 64, **other}
    [result] = collect([one], settings(root, **facts), data)
    assert result.error is None
    return result


def test_conversations_are_counted_as_their_rendered_tokens(folder, tmp_path):
    rows = [
        {
            "messages": [
                dict(m, content=m["content"] + f" {i} {' '.join(tiny.TEXTS)}")
                for m in TALK.messages
            ]
        }
        for i in range(5)
    ]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chat = counted(folder, tmp_path / "a", tmp_path / "c.jsonl")
    tokenizer = load(folder)
    ids = tokenizer.tokenize([Conversation(tuple(row["messages"])) for row in rows], 64)
    n = [int(np.isin(one, list(tokenizer.control_ids), invert=True).sum()) for one in ids]
    assert chat.manifest.counts.tokens == sum(n)
    assert chat.notes == ()
    (tmp_path / "i.jsonl").write_text("".join(json.dumps({"input_ids": i}) + "\n" for i in ids))
    as_ids = counted(folder, tmp_path / "b", tmp_path / "i.jsonl")
    part = "occurrences/part-000000.parquet"
    assert (as_ids.folder / part).read_bytes() == (chat.folder / part).read_bytes()


def test_conversations_without_a_template_get_a_note(tmp_path):
    root = tiny.llama(tmp_path / "lm", layers=2)
    words = " ".join(tiny.TEXTS)
    talk = [{"role": "user", "content": words}]
    (tmp_path / "c.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    [note] = counted(root, tmp_path / "a", tmp_path / "c.jsonl").notes
    assert "no chat template" in str(note)
    assert counted(root, tmp_path / "b", tmp_path / "c.jsonl", chat_template="none").notes == ()


def test_ten_rows_of_64_ids_are_eighty_windows_of_8(folder, tmp_path):
    rows = json.dumps({"ids": list(range(3, 67))}) + "\n"
    (tmp_path / "c.jsonl").write_text(rows * 10)
    result = counted(folder, tmp_path / "a", tmp_path / "c.jsonl", tokens_column="ids", examples=0)
    assert result.manifest.n_windows == 80
    assert result.manifest.settings["corpus"]["tokens_column"] == "ids"


def test_examples_of_conversations_and_of_ids_show_their_text(folder, tmp_path):
    from sfal.store.examples import iterate_examples

    rows = [{"messages": [{"role": "user", "content": " ".join(tiny.TEXTS)}]}] * 4
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "i.jsonl").write_text((json.dumps({"input_ids": [*range(3, 67)]}) + "\n") * 4)
    for name in ("c", "i"):
        result = counted(folder, tmp_path / name, tmp_path / f"{name}.jsonl", n_docs=2, examples=2)
        found = [one for _, some in iterate_examples(result.folder) for one in some]
        assert found
        assert all(example.token for example in found)
