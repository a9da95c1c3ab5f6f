"""Explanations from a user's file."""

import gzip
import json
import random
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations.user_files.reader import LabelPlace, read_explanations_file

ROWS = [(3, "three, with a comma"), (0, 'quoted "zero"'), (12, "zwölf\nlines")]


def write(path, columns=("feature", "explanation"), rows=ROWS):
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    if path.suffix == ".csv":
        import csv

        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(records)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        text = "\n".join(map(json.dumps, records)).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def read(path, n_features=None, **where):
    left_out = Counter()
    place = LabelPlace(n_features, **where)
    records = list(read_explanations_file(path, left_out, place))
    return records, left_out


@pytest.mark.parametrize("name", ["my.csv", "my.jsonl", "my.jsonl.gz", "my.parquet", "my.CSV"])
@pytest.mark.parametrize("columns", [("feature", "explanation"), ("index", "description")])
def test_all_formats_and_both_spellings_are_read(tmp_path, name, columns):
    path = write(tmp_path / name.lower(), columns)
    path = path.rename(tmp_path / name)
    records, left_out = read(path)
    assert [(r.feature, r.text, r.type, r.explainer) for r in records] == [
        (feature, text, "custom", "my") for feature, text in ROWS
    ]
    assert not left_out


def test_a_type_and_an_explainer_in_the_file_are_used(tmp_path):
    columns = ("index", "description", "typeName", "explanationModelName")
    (record,), _ = read(write(tmp_path / "x.jsonl", columns, [(1, "a", "t", "e")]))
    assert (record.type, record.explainer) == ("t", "e")


def test_unusable_rows_are_counted(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("feature,explanation\n1,ok\n-1,no\n2,\n3\nx,y\n99,beyond\n")
    records, left_out = read(path, n_features=50)
    assert [r.feature for r in records] == [1]
    assert left_out == {
        "index is not a feature number": 2,
        "empty explanation": 1,
        "no explanation": 1,
        "index beyond the SAE's width": 1,
    }


def test_lines_that_are_not_records_are_counted(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"feature": 1, "explanation": "a"}\n\n[1]\n{\n\xff\n' + b"[" * 99999)
    records, left_out = read(path)
    assert [r.feature for r in records] == [1]
    assert left_out == {"not a JSON object": 1, "invalid JSON": 2, "invalid UTF-8": 1}


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
def test_the_error_for_missing_columns_names_those_in_the_file(tmp_path, name):
    with pytest.raises(InvalidInputError, match="no column feature or latent; it has n, text"):
        read(write(tmp_path / name, ("n", "text")))


def test_the_error_for_an_unknown_format_names_the_known_ones(tmp_path):
    with pytest.raises(InvalidInputError, match=r"\.csv, \.tsv, \.json, \.jsonl, .*delphi"):
        read(tmp_path / "x.xlsx")


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.jsonl.gz", "x.parquet"])
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path, name):
    with pytest.raises(ArtifactError, match=name):
        read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x1f\x8b\x08\xff\xfe\0" if name != "x.jsonl" else b"")
    if name != "x.jsonl":
        with pytest.raises(ArtifactError, match=name):
            read(tmp_path / name)


def test_a_compressed_line_that_is_too_long_is_counted_and_a_gzip_bomb_is_refused(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    row = b'{"feature": 1, "explanation": "a"}\n'
    noise = random.Random(1).randbytes(5 << 20).replace(b"\n", b" ")
    path.write_bytes(gzip.compress(row + noise, 1))
    records, left_out = read(path)
    assert [r.feature for r in records] == [1]
    assert left_out == {"line too long": 1}
    path.write_bytes(gzip.compress(row + bytes(8 << 20)))
    with pytest.raises(ArtifactError, match=r"x\.jsonl\.gz cannot be read: it expands"):
        read(path)
