"""Tables of labels as pandas and spreadsheets write them: indexes, headers, delimiters, columns."""

import gzip
from collections import Counter

import pandas as pd
import pytest

from explanations.label_files import TEXTS, note_of, read, write
from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations.user_files.columns import LabelColumns
from sfal.explanations.user_files.reader import read_explanations_file

FRAME = pd.DataFrame({"label": list(TEXTS.values())}, index=list(TEXTS))


@pytest.mark.parametrize("name", [None, "idx", "feature", "anything"])
@pytest.mark.parametrize("index", [list(TEXTS), list(map(str, TEXTS))])
def test_a_frames_index_in_parquet_is_the_feature(tmp_path, name, index):
    FRAME.set_axis(index, axis=0).rename_axis(name).to_parquet(tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet") == (TEXTS, Counter())


def test_a_range_as_a_frames_index_is_the_feature_and_noted(tmp_path):
    frame = FRAME.set_axis(pd.RangeIndex(5, 11, 2), axis=0)
    frame.to_parquet(tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet")[0] == dict(zip((5, 7, 9), TEXTS.values(), strict=True))
    (note,) = note_of(tmp_path / "x.parquet")
    assert "features are taken from the table's index" in note
    frame.assign(feature=list(TEXTS)).to_parquet(tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet")[0] == TEXTS
    assert note_of(tmp_path / "x.parquet") == []


def test_a_frame_or_series_with_its_index_in_csv_is_read(tmp_path):
    FRAME.to_csv(tmp_path / "frame.csv")
    FRAME["label"].to_csv(tmp_path / "series.csv")
    pd.Series(TEXTS).to_csv(tmp_path / "unnamed.csv")
    for name in ("frame", "series", "unnamed"):
        assert read(tmp_path / f"{name}.csv") == (TEXTS, Counter())
        (note,) = note_of(tmp_path / f"{name}.csv")
        assert "table's index" in note


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_without_a_header_the_columns_are_feature_and_explanation(tmp_path, delimiter):
    pd.Series(TEXTS).to_csv(tmp_path / "x.csv", header=False, sep=delimiter)
    assert read(tmp_path / "x.csv") == (TEXTS, Counter())
    (note,) = note_of(tmp_path / "x.csv")
    assert "has no header" in note


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
def test_a_declared_delimiter_is_taken(tmp_path, first):
    text = f"{first}\r\nfeature;label\r\n0;zero\r\n3;three, naïve\r\n12;twelve\r\n"
    assert read(write(tmp_path / "x.csv", text)) == (TEXTS, Counter())


def test_a_western_code_page_is_read_and_noted(tmp_path):
    text = 'feature,label\n0,zero\n3,"three, naïve"\n12,twelve\n'
    path = write(tmp_path / "x.csv", text.encode("cp1252"))
    assert read(path) == (TEXTS, Counter())
    (note,) = note_of(path)
    assert "Western European code page" in note
    compressed = write(tmp_path / "x.csv.gz", gzip.compress(text.encode("cp1252")))
    assert read(compressed) == (TEXTS, Counter())


def test_damaged_utf_8_is_not_taken_for_a_code_page(tmp_path):
    text = "feature,label\n0,größer\n3,naïve\n".encode().replace("ï".encode(), b"\xef")
    with pytest.raises(ArtifactError, match="utf-8"):
        read(write(tmp_path / "x.csv", text))


def test_of_several_columns_the_first_in_the_table_counts_and_is_named(tmp_path):
    rows = [{"id": 90 + i, "feature": i, "label": "l", "description": t} for i, t in TEXTS.items()]
    path = tmp_path / "x.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    assert read(path)[0] == TEXTS
    (note,) = note_of(path)
    assert "explanations are taken from the column description, not from label" in note
    assert note_of(path, label="description") == []


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl", "json"])
def test_columns_with_names_of_their_own_are_named(tmp_path, ending):
    path = tmp_path / f"x.{ending}"
    frame = pd.DataFrame(
        {"no": list(TEXTS), "what it is": list(TEXTS.values()), "feature": 7, "label": "other"}
    )
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=ending == "jsonl")
    columns = LabelColumns(feature="no", label="what it is")
    found = {r.feature: r.text for r in read_explanations_file(path, Counter(), None, columns)}
    assert found == TEXTS
    with pytest.raises(InvalidInputError, match="has no column nowhere; it has no, what it is"):
        list(read_explanations_file(path, Counter(), None, LabelColumns(feature="nowhere")))


def test_a_missing_column_names_those_that_are_there_and_the_setting(tmp_path):
    path = write(tmp_path / "x.csv", "number,thing\n1,x\n")
    with pytest.raises(InvalidInputError, match=r"it has number, thing; .*feature_column"):
        read(path)
    path = write(tmp_path / "x.csv", "feature;thing\n1;x\n")
    with pytest.raises(InvalidInputError, match=r"it has feature, thing; .*label_column"):
        read(path)
