"""Corpora of several files, and the kinds of files: order, columns, and what is passed over."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from sfal.collect.corpus.open import open_corpus
from sfal.collect.settings import CorpusConfig
from sfal.errors import CorruptError, InvalidInputError, MissingError


def documents(path, start=0, **other):
    return list(open_corpus(CorpusConfig(str(path), **other)).documents(start))


def json_lines(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


@pytest.fixture
def shards(tmp_path):
    """Three files of two documents, in subfolders, beside what accompanies data."""
    folder = tmp_path / "pile.parquet"
    for n, name in enumerate(("a/part-1.jsonl", "b.jsonl", "part-0.jsonl")):
        json_lines(folder / name, [f"{n}-0", f"{n}-1"])
    for name in (
        "_SUCCESS", ".b.jsonl.crc", "b.jsonl.crc", "._b.jsonl", ".DS_Store", "README.md",
        "sae_lens.json", "dataset_info.json", "state.json", ".cache/huggingface/x.jsonl",
        "_temporary/0/x.jsonl", "LICENSE.txt",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("not a document")
    return folder


@pytest.mark.parametrize("start", [0, 1, 2, 5, 6])
def test_the_files_of_a_folder_are_one_corpus_in_the_order_of_their_names(shards, start):
    assert documents(shards, start) == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"][start:]


def test_compression_may_differ_but_not_the_kind(shards):
    (shards / "z.jsonl.gz").write_bytes(gzip.compress(b'{"text": "z"}\n'))
    assert documents(shards)[-1] == "z"
    (shards / "c.txt").write_text("x")
    with pytest.raises(InvalidInputError, match=r"several kinds, such as .*part-1.jsonl and c.txt"):
        documents(shards)


def test_a_file_of_an_unknown_kind_is_named_and_an_empty_folder_refused(shards, tmp_path):
    (shards / "c.avro").write_text("x")
    with pytest.raises(InvalidInputError, match=r"c\.avro is of an unknown kind"):
        documents(shards)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="without a file that SFAL reads"):
        documents(tmp_path / "empty")
    with pytest.raises(MissingError, match="no such file or folder"):
        documents(tmp_path / "gone" / "shards")


def test_the_fingerprint_of_a_folder_depends_on_names_and_contents(shards, monkeypatch):
    def fingerprint():
        return open_corpus(CorpusConfig(str(shards))).fingerprint

    before = fingerprint()
    assert before == fingerprint()
    assert before["files"] == 3
    (shards / "b.jsonl").rename(shards / "c.jsonl")
    renamed = fingerprint()
    json_lines(shards / "c.jsonl", ["1-0", "1-2"])
    changed = fingerprint()
    monkeypatch.setattr("sfal.collect.corpus.files._WHOLE", 10)
    sampled = fingerprint()
    assert "samples_sha256" in sampled
    assert len({json.dumps(one) for one in (before, renamed, changed, sampled)}) == 4


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
        pa.null(),
        pa.json_(),
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_every_arrow_type_of_text_is_read(tmp_path, kind, ending):
    texts = [None, None] if pa.types.is_null(kind) else ["a", None, "日本"]
    storage = pa.array(texts, pa.string())
    if kind == pa.json_():
        column = pa.ExtensionArray.from_storage(kind, storage)
    else:
        column = storage.cast(kind) if not pa.types.is_null(kind) else pa.nulls(2)
    table = pa.table({"text": column})
    if ending == "parquet":
        pq.write_table(table, tmp_path / "c.parquet")
    else:
        with pa.ipc.new_stream(tmp_path / "c.arrow", table.schema) as writer:
            writer.write_table(table)
    assert documents(tmp_path / f"c.{ending}") == [text or "" for text in texts]


def test_what_save_to_disk_leaves_is_read_split_by_split(tmp_path):
    from datasets import Dataset, DatasetDict

    parts = {"train": ["a", "b", "c"], "test": ["d"]}
    saved = DatasetDict({name: Dataset.from_dict({"text": texts}) for name, texts in parts.items()})
    saved.save_to_disk(tmp_path / "all", num_shards={"train": 2, "test": 1})
    assert documents(tmp_path / "all") == ["a", "b", "c"]
    assert documents(tmp_path / "all", split="test") == ["d"]
    assert documents(tmp_path / "all" / "train") == ["a", "b", "c"]
    with pytest.raises(InvalidInputError, match="no split 'dev'; it has test, train"):
        documents(tmp_path / "all", split="dev")


def test_the_file_format_of_arrow_is_read_too(tmp_path):
    table = pa.table({"text": ["a", "b"]})
    with pa.ipc.new_file(tmp_path / "c.arrow", table.schema) as writer:
        writer.write_table(table)
    assert documents(tmp_path / "c.arrow") == ["a", "b"]


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_csv_gives_its_column_with_line_breaks_inside_quotes(tmp_path, ending, mark, packed):
    text = f'id{mark}text\r\n1{mark}"a ""b""\nc{mark} d"\r\n2{mark}\r\n\r\n3\r\n4{mark}e\r\n'
    data = b"\xef\xbb\xbf" + text.encode()
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[packed]
    path = tmp_path / f"c.{ending}{packed}"
    path.write_bytes(pack(data))
    assert documents(path) == [f'a "b"\nc{mark} d', "", "", "e"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("id,body\n1,a\n", InvalidInputError, r"has no 'text'; it has id, body.*text_column"),
        ("", InvalidInputError, "has no 'text'; it has nothing"),
        ('text\n"a\n', CorruptError, r"c\.csv, line 2: invalid CSV \(unexpected end of data\)"),
        ("text\na,b\n", CorruptError, "line 2: 2 fields, but there are 1 columns"),
        ('text\n"a"b\n', CorruptError, "line 2: invalid CSV"),
        (b"text\na\xff\n", CorruptError, "line 2: invalid UTF-8"),
    ],
)
def test_damaged_csv_is_refused(tmp_path, text, error, message):
    (tmp_path / "c.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(error, match=message):
        documents(tmp_path / "c.csv")


def test_a_field_of_a_csv_file_may_be_long_but_not_endless(tmp_path, monkeypatch):
    (tmp_path / "c.csv").write_text("text\n" + "x" * 300_000 + "\n")
    assert [len(text) for text in documents(tmp_path / "c.csv")] == [300_000]
    monkeypatch.setattr("sfal.collect.corpus.tables.LONGEST", 1000)
    with pytest.raises(CorruptError, match=r"invalid CSV .field larger than"):
        documents(tmp_path / "c.csv")


def test_a_json_line_without_the_text_is_empty_if_another_one_has_it(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": 1}\n{"id": 2, "text": "a"}\n{}\n')
    assert documents(path) == ["", "a", ""]
    path.write_text('{"id": 1}\n{"id": 2}\n')
    with pytest.raises(InvalidInputError, match=r"line 1 has no 'text'; it has id"):
        documents(path)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_json_may_be_lines_or_an_array(tmp_path, packed):
    pack = gzip.compress if packed else bytes
    path = tmp_path / f"c.json{packed}"
    path.write_bytes(pack(b'\n {"text": "a"}\n{"text": "b"}\n'))
    assert documents(path) == ["a", "b"]
    path.write_bytes(pack(b'[{"text": "a"},\n {"id": 1}]'))
    assert documents(path) == ["a", ""]
    for wrong, message in [(b"[1]", "object 1: int, not"), (b'[{"text": "a"', "invalid JSON")]:
        path.write_bytes(pack(wrong))
        with pytest.raises(CorruptError, match=message):
            documents(path)


def test_a_json_array_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sfal.collect.corpus.tables._LARGEST_ARRAY", 100)
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(b"[" + b" " * 1000))
    with pytest.raises(InvalidInputError, match="write it as JSON lines"):
        documents(tmp_path / "c.json.gz")


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("c.jsonl", {"document_separator": ""}),
        ("c.txt", {"tokens_column": "ids"}),
        ("c.jsonl", {"data_files": "*.jsonl"}),
        ("c.jsonl", {"split": "test"}),
        ("c.txt", {"corpus_config": "en"}),
        ("c.jsonl", {"corpus_revision": "main"}),
    ],
)
def test_a_setting_that_does_not_apply_is_refused(tmp_path, name, setting):
    (tmp_path / name).write_text('{"text": "a"}\n')
    with pytest.raises(InvalidInputError, match=f"leave out {next(iter(setting))}"):
        documents(tmp_path / name, **setting)


def test_damage_in_a_later_file_names_that_file(shards):
    (shards / "part-0.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(CorruptError, match=r"part-0\.jsonl, line 2: invalid JSON"):
        documents(shards)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_file_may_have_other_separators(tmp_path, mark):
    (tmp_path / "c.csv").write_text(f"id{mark}text\n1{mark}a, b\n2{mark}c\n")
    assert documents(tmp_path / "c.csv") == ["a, b", "c"]
    (tmp_path / "d.csv").write_text("text\na; b\n")
    assert documents(tmp_path / "d.csv") == ["a; b"]


def test_feather_is_arrow(tmp_path):
    from pyarrow import feather

    feather.write_feather(pa.table({"text": ["a", "b"]}), tmp_path / "c.feather")
    assert documents(tmp_path / "c.feather") == ["a", "b"]
