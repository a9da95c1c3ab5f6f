"""Corpora: order, positions, and the errors for those that cannot be read."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from sfal.collect.corpus.local import LocalCorpus
from sfal.collect.corpus.open import RunningHash, open_corpus
from sfal.collect.settings import CorpusConfig
from sfal.errors import CorruptError, DownloadError, InvalidInputError, MissingError

TEXTS = ["one", "", "drei 日本 🙂", "four\twith tab", "x" * 200_000]


def opened(name, **other):
    return open_corpus(CorpusConfig(name, **other))


def json_lines(texts=TEXTS):
    return "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts))


def write(path, text):
    data = text.encode() if isinstance(text, str) else text
    if path.suffix == ".gz":
        data = gzip.compress(data)
    if path.suffix == ".zst":
        data = zstandard.compress(data)
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_json_lines_give_their_texts(tmp_path, packed):
    corpus = opened(write(tmp_path / f"c.jsonl{packed}", json_lines()))
    assert list(corpus.documents(0)) == TEXTS


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_line_of_a_text_file_is_a_document(tmp_path, packed, end):
    corpus = opened(write(tmp_path / f"c.txt{packed}", end.join(TEXTS)))
    assert list(corpus.documents(0)) == TEXTS


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_gives_its_column(tmp_path, kind):
    column = pa.array([*TEXTS, None], pa.string()).cast(kind)
    pq.write_table(pa.table({"n": range(6), "text": column}), tmp_path / "c.parquet")
    corpus = opened(str(tmp_path / "c.parquet"))
    assert list(corpus.documents(0)) == [*TEXTS, ""]


@pytest.mark.parametrize("name", ["c.jsonl", "c.txt", "c.parquet"])
@pytest.mark.parametrize("start", [0, 1, 3, 5, 9])
def test_documents_start_at_any_position(tmp_path, name, start):
    path = tmp_path / name
    if name == "c.parquet":
        pq.write_table(pa.table({"text": TEXTS}), path)
    else:
        write(path, json_lines() if name == "c.jsonl" else "\n".join(TEXTS))
    assert list(opened(str(path)).documents(start)) == TEXTS[start:]


def test_several_frames_of_zstd_are_one_text(tmp_path):
    data = zstandard.compress(b"a\nb\n") + zstandard.compress(b"c\n")
    (tmp_path / "c.txt.zst").write_bytes(data)
    assert list(opened(str(tmp_path / "c.txt.zst")).documents(0)) == ["a", "b", "c"]


def test_null_is_an_empty_document_and_a_blank_line_is_none(tmp_path):
    text = '{"text": null}\n\n   \n{"text": "a"}\n'
    assert list(opened(write(tmp_path / "c.jsonl", text)).documents(0)) == ["", "a"]


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path):
    assert list(opened(write(tmp_path / "c.txt", b"\xef\xbb\xbfa\nb")).documents(0)) == [
        "a",
        "b",
    ]


def test_unpaired_surrogates_become_valid_text(tmp_path):
    [text] = opened(write(tmp_path / "c.jsonl", '{"text": "a\\ud800b"}')).documents(0)
    assert text == "a\ufffdb"


def test_the_text_column_can_be_named(tmp_path):
    corpus = opened(write(tmp_path / "c.jsonl", '{"body": "a"}'), text_column="body")
    assert list(corpus.documents(0)) == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("c.jsonl", '{"body": "a", "n": 1}', InvalidInputError, "it has body, n.*text_column"),
        ("c.jsonl", '{"text": 3}', InvalidInputError, "is int, not text"),
        ("c.jsonl", '{"text": "a"', CorruptError, "line 1: invalid JSON"),
        ("c.jsonl", "[1]", CorruptError, "line 1: list, not a JSON object"),
        ("c.jsonl", "[" * 100_000, CorruptError, "line 1: invalid JSON"),
        ("c.txt", b"a\xff", CorruptError, "line 1: invalid UTF-8 at byte 2"),
        ("c.docx", "a", InvalidInputError, r"SFAL reads \.txt"),
        ("c.parquet", "no parquet", CorruptError, "damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_when_it_is_opened(tmp_path, name, content, error, message):
    with pytest.raises(error, match=message) as e:
        opened(write(tmp_path / name, content))
    assert name in str(e.value)


def test_a_damaged_line_is_named_wherever_it_is(tmp_path):
    corpus = opened(write(tmp_path / "c.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n'))
    with pytest.raises(CorruptError, match=r"c\.jsonl, line 2: invalid UTF-8"):
        list(corpus.documents(0))


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_truncated_file_is_not_taken_for_the_end_of_the_corpus(tmp_path, packed):
    path = tmp_path / f"c.txt{packed}"
    write(path, "\n".join(f"line {i} {hash(str(i))}" for i in range(5000)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptError, match="cannot be read"):
        list(LocalCorpus(path, CorpusConfig(str(path))).documents(0))


@pytest.mark.parametrize("name", ["c.txt.gz", "c.jsonl.zst", "c.txt.zst"])
def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path, name):
    path = tmp_path / name
    content = b"x" * (65 << 20)
    packed = gzip.compress(content, 1) if name.endswith(".gz") else zstandard.compress(content)
    path.write_bytes(packed)
    with pytest.raises(CorruptError, match=rf"{name}, line 1: longer than 64 MiB"):
        opened(str(path))


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_file_not_compressed_as_its_name_says_is_refused(tmp_path, packed):
    path = tmp_path / f"c.jsonl{packed}"
    path.write_bytes(b'{"text": "a"}')
    with pytest.raises(CorruptError, match="cannot be read"):
        opened(str(path))


def test_a_parquet_column_of_numbers_is_refused(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "c.parquet")
    with pytest.raises(InvalidInputError, match="is int64, not text"):
        opened(str(tmp_path / "c.parquet"))


def test_a_parquet_file_without_the_column_lists_what_it_has(tmp_path):
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), tmp_path / "c.parquet")
    with pytest.raises(InvalidInputError, match="it has a, b"):
        opened(str(tmp_path / "c.parquet"))


def test_a_missing_file_is_not_looked_for_on_the_hub(tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        opened(str(tmp_path / "missing.jsonl"))


def test_a_corpus_of_the_hub_without_network_says_what_to_do(tmp_path):
    with pytest.raises(DownloadError, match=r"owner/corpus.*corpus \(a data set"):
        opened("owner/corpus")


def test_the_fingerprint_depends_on_the_content_alone(tmp_path):
    a, b, c = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt"))
    write(a, "x\ny")
    write(b, "x\ny")
    write(c, "x\nz")
    prints = [opened(str(path)).fingerprint for path in (a, b, c)]
    assert prints[0] == prints[1] != prints[2]


def test_a_large_file_is_identified_by_samples_of_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sfal.collect.corpus.files._WHOLE", 1000)
    monkeypatch.setattr("sfal.collect.corpus.files._SAMPLE", 10)
    content = bytearray(b"ab\n" * 5000)
    seen = set()
    for change in (None, 0, 14_999):
        changed = bytearray(content)
        if change is not None:
            changed[change] ^= 1
        (tmp_path / "a.txt").write_bytes(bytes(changed))
        seen.add(json.dumps(opened(str(tmp_path / "a.txt")).fingerprint))
    assert len(seen) == 3
    assert all("samples_sha256" in one for one in seen)


def test_the_running_hash_distinguishes_other_divisions_into_documents():
    def value(*texts):
        running = RunningHash()
        for text in texts:
            running.add(text)
        return running.value

    assert value("ab", "c") != value("a", "bc") != value("abc")
    assert value("a", "") != value("a")
    assert value("a", "b") == value("a", "b")
