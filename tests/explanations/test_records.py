"""Records of both shapes, and what happens to those that fail a check."""

import json
from collections import Counter

import pytest

from servers import exports
from sfal.explanations.records import MAX_TEXT, UNNAMED, DamagedBatchError, RecordReader
from sfal.io.gzip_lines import ExpansionLimits


def read(tmp_path, records, *, n_features=None, vectors=False, limits=None):
    path = tmp_path / "batch-0.jsonl.gz"
    path.write_bytes(exports.batch(records))
    left_out = Counter()
    reader = RecordReader(exports.SOURCE, n_features, limits or ExpansionLimits())
    return list(reader.read((path,), left_out, vectors=vectors)), left_out


def test_both_shapes_are_read(tmp_path):
    (old, new), left_out = read(tmp_path, [exports.record(7), exports.newer_record(8)])
    assert (old.feature, old.text) == (7, "words about topic 7")
    assert (old.type, old.explainer) == ("oai_token-act-pair", "gpt-4o-mini")
    assert (new.feature, new.text) == (8, "words about topic 8")
    assert (new.type, new.explainer) == ("np_max-act-logits", "gemini-2.0-flash")
    assert old.vector is new.vector is None
    assert not left_out


def test_only_index_and_description_are_needed(tmp_path):
    (record,), left_out = read(tmp_path, [{"index": 3, "description": "x"}])
    assert record == (None, 3, "x", UNNAMED, UNNAMED, None)
    assert not left_out


def test_vectors_are_kept_on_request(tmp_path):
    (old, new), _ = read(tmp_path, [exports.record(7), exports.newer_record(8)], vectors=True)
    assert json.loads(old.vector) == exports.vector(7)
    assert new.vector == exports.vector(8)


def test_a_text_that_looks_like_python_is_unchanged(tmp_path):
    texts = ["['a', 'b']", "{'x': 1}", "__import__('os').system('x')", "1e5", "None", '"quoted"']
    records, _ = read(tmp_path, [exports.record(i, t) for i, t in enumerate(texts)])
    assert [r.text for r in records] == texts


BAD = {
    "no index": [{"description": "x"}, {"index": None, "description": "x"}],
    "index is not a feature number": [
        {"index": i, "description": "x"}
        for i in (-1, "-1", 1.5, True, "x", "1e3", [], {}, 2**24, "9" * 5000, "٣", "1_0")
    ],
    "index beyond the SAE's width": [exports.record(1000)],
    "no explanation": [{"index": 1}, exports.record(1, description=None)],
    "explanation is not text": [exports.record(1, description=d) for d in (1, [], {}, True)],
    "empty explanation": [exports.record(1, d) for d in ("", " \n\t")],
    "explanation too long": [exports.record(1, "x" * (MAX_TEXT + 1))],
    "explanation is not valid text": [exports.record(1, d) for d in ("a\0b", "\ud800")],
    "type is not text": [exports.record(1, typeName=3)],
    "type is not a usable name": [exports.record(1, typeName=t) for t in ("x" * 201, "a\nb", " ")],
    "explainer is not text": [exports.record(1, explanationModelName=["gpt"])],
    "explainer is not a usable name": [exports.record(1, explanationModelName="\x1b[2J")],
    "of another source": [exports.record(1, source="gemma-2-2b/1-gemmascope-res-16k")],
    "modelId or layer is not text": [exports.record(1, modelId=5)],
    "not a JSON object": [b"[]", b"3", b'"x"', b"null"],
    "invalid UTF-8": [b'{"index": "1", "description": "\xff\xfe"}'],
    "invalid JSON": [
        b"{",
        b'{"index": 1,}',
        b"[" * 60_000,
        b'{"index": ' + b"1" * 5000 + b', "description": "x"}',
        b"\0\0\0",
    ],
    "line too long": [exports.record(1, "x" * 70_000)],
}


@pytest.mark.parametrize("reason", BAD)
def test_unusable_records_are_left_out_and_counted(tmp_path, reason, tally):
    good = [exports.record(0), exports.record(2)]
    records, left_out = read(
        tmp_path,
        [good[0], *BAD[reason], good[1]],
        n_features=1000 if "width" in reason else None,
        limits=ExpansionLimits(max_line_bytes=65_536, max_ratio=1000),
    )
    assert [r.feature for r in records] == [0, 2]
    assert left_out == {reason: len(BAD[reason])}
    tally("hostile inputs: records of explanations", len(BAD[reason]))


def test_a_record_whose_id_is_not_text_is_kept(tmp_path):
    records, _ = read(tmp_path, [exports.record(1, id=i) for i in (None, 5, [], "x" * 999)])
    assert [r.id for r in records] == [None] * 4


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-3], lambda b: b[:50] + bytes([b[50] ^ 255]) + b[51:], lambda b: b"x"]
)
def test_a_batch_damaged_on_disk_is_named(tmp_path, damage):
    path = tmp_path / "batch-0.jsonl.gz"
    path.write_bytes(damage(exports.batch([exports.record(n) for n in range(30)])))
    with pytest.raises(DamagedBatchError, match=r"batch-0\.jsonl\.gz is damaged"):
        list(RecordReader().read((path,), Counter()))


def test_lines_do_not_depend_on_block_boundaries(tmp_path, monkeypatch):
    from sfal.io import gzip_lines

    path = tmp_path / "x.gz"
    wanted = [b"a" * n for n in range(40)]
    path.write_bytes(exports.batch(wanted))
    for size in (1, 2, 7, 1000):
        monkeypatch.setattr(gzip_lines, "_BLOCK_BYTES", size)
        monkeypatch.setattr(gzip_lines, "_READ_BYTES", max(1, size // 3))
        limits = ExpansionLimits(max_line_bytes=30)
        expected = [line if len(line) <= 30 else None for line in wanted]
        assert list(gzip_lines.lines(path, limits)) == expected
