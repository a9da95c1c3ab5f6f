"""Text files: lines, paragraphs and separators."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfal.collect.corpus.lines import text_documents
from sfal.collect.corpus.open import open_corpus
from sfal.collect.settings import CorpusConfig, parse_separator
from sfal.errors import CorruptError

STORIES = ["One day\nthere was a cat.", "Two\n\ndays <later>.", "Three"]


def opened(path, text, **other):
    path.write_bytes(text.encode())
    return open_corpus(CorpusConfig(str(path), **other))


@pytest.mark.parametrize("known", ["<|endoftext|>", "</s>", "<|end_of_text|>"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_known_separator_is_guessed_with_a_note(tmp_path, known, end):
    text = f"\n{known}\n".join(STORIES).replace("\n", end) + f"{end}{known}{end}"
    corpus = opened(tmp_path / "c.txt", text)
    assert list(corpus.documents(0)) == STORIES
    assert list(corpus.documents(2)) == STORIES[2:]
    [note] = corpus.notes
    assert known in str(note)
    assert "document_separator" in str(note)


@pytest.mark.parametrize("text", ["a\n\nc\n", "\n\na\nb\n", "a\nb\n\n\n", "- a\n-- b\n<b>c</b>\n"])
def test_without_such_lines_every_line_is_a_document_and_there_is_no_note(tmp_path, text):
    corpus = opened(tmp_path / "c.txt", text)
    assert list(corpus.documents(0)) == text.split("\n")[:-1]
    assert corpus.notes == ()


@pytest.mark.parametrize("form", ["{0}\n{1}", "\n{0}{1}", "{0}{1}"])
def test_an_end_of_text_beside_a_document_separates_too(tmp_path, form):
    ends = [form.format("<|endoftext|>", story) for story in STORIES]
    corpus = opened(tmp_path / "c.txt", "".join(ends))
    assert list(corpus.documents(0)) == STORIES
    [note] = corpus.notes
    assert "<|endoftext|>, so documents are what lies between them" in str(note)


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a <|endoftext|> b\nc\n", "<|endoftext|>"),
        ("a\nb\n---\nc\n", r"\n---\n"),
        ("a\n***\nc\n", r"\n***\n"),
        ("a\n* * *\nc\n", r"\n* * *\n"),
        ("a\n=====\nc\n", r"\n=====\n"),
        ("a\n[SEP]\nc\n", r"\n[SEP]\n"),
        ("a\n<|im_end|>\nc\n", r"\n<|im_end|>\n"),
        ("a\n<doc>\nc\n", r"\n<doc>\n"),
        ("a\nb\n\nc\nd\n", ""),
    ],
)
def test_where_lines_are_doubtful_documents_a_note_says_so(tmp_path, text, separator):
    corpus = opened(tmp_path / "c.txt", text)
    assert list(corpus.documents(0)) == text.split("\n")[:-1]
    [note] = corpus.notes
    assert "every line is a document, although" in str(note)
    assert f"document_separator='{separator}'" in str(note)
    again = opened(tmp_path / "c.txt", text, document_separator=parse_separator(separator))
    assert len(list(again.documents(0))) == 2
    assert again.notes == ()


@pytest.mark.parametrize(
    ("separator", "what"), [("##", "'##' does not occur"), ("", "no blank line")]
)
def test_a_separator_that_does_not_occur_is_said(tmp_path, separator, what):
    corpus = opened(tmp_path / "c.txt", "a\nb\n", document_separator=separator)
    assert list(corpus.documents(0)) == ["a\nb"]
    [note] = corpus.notes
    assert what in str(note)
    assert "it is one document" in str(note)


def test_a_named_separator_counts_wherever_it_stands(tmp_path):
    corpus = opened(tmp_path / "c.txt", "a b##c\nd\n##\n\n##\ne", document_separator="##")
    assert list(corpus.documents(0)) == ["a b", "c\nd", "e"]
    assert corpus.notes == ()


def test_an_empty_separator_means_paragraphs(tmp_path):
    corpus = opened(tmp_path / "c.txt", "\n\na\nb\n \n\nc\n", document_separator="")
    assert list(corpus.documents(0)) == ["a\nb", "c"]


def test_a_separator_may_have_line_breaks(tmp_path):
    corpus = opened(tmp_path / "c.txt", "a\n\nb\n\n\nc\r\n\r\n\r\nd", document_separator="\n\n\n")
    assert list(corpus.documents(0)) == ["a\n\nb", "c", "d"]
    assert parse_separator(r"\n--\t") == "\n--\t"


@given(
    text=st.text("ab\n#", max_size=60),
    separator=st.sampled_from(["#", "##", "#\n#", "\n\n", "a#"]),
)
def test_separators_split_as_a_whole_text_would_be(tmp_path_factory, text, separator):
    path = tmp_path_factory.mktemp("c") / "c.txt"
    path.write_bytes(text.encode())
    expected = [one.strip("\r\n") for one in text.split(separator) if one.strip()]
    assert list(text_documents(path, separator)) == expected


def test_a_document_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("sfal.collect.corpus.lines.LONGEST", 1000)
    path = tmp_path / "c.txt.gz"
    path.write_bytes(gzip.compress(b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 20))
    for separator in ("##", ""):
        with pytest.raises(CorruptError, match=r"document is longer.*document_separator"):
            list(text_documents(path, separator))
