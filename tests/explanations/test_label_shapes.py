"""The shapes in which people keep labels: columns, JSON documents, tables of other tools."""

import contextlib
import csv
import gzip
import io
import json
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations.user_files.columns import LabelColumns
from sfal.explanations.user_files.layers import layer_number
from sfal.explanations.user_files.reader import LabelPlace, read_explanations_file

TEXTS = {0: "zero", 3: "three, naïve", 12: "twelve"}
COLUMNS = [
    ("feature", "explanation"),
    ("feature_id", "label"),
    ("feature_index", "description"),
    ("latent", "explanation"),
    ("index", "label"),
    ("Feature ID", "Label"),
    ("featureIndex", "Description"),
    ("id", "text"),
    ("idx", "summary"),
    ("feature_num", "interpretation"),
    ("neuron_index", "autointerp"),
    ("latent_idx", "title"),
    ("sae_index", "auto_interp_explanation"),
]


def read(path, **place):
    left_out = Counter()
    records = list(read_explanations_file(path, left_out, LabelPlace(**place)))
    return {r.feature: r.text for r in records}, left_out


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_json(path, document):
    return write(path, json.dumps(document))


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "tsv.gz", "json", "jsonl", "parquet"])
def test_columns_go_by_many_names_in_every_format(tmp_path, columns, ending):
    path = tmp_path / f"x.{ending}"
    rows = [dict(zip(columns, row, strict=True)) for row in TEXTS.items()]
    frame = pd.DataFrame(rows)
    delimiter = "\t" if "tsv" in ending else ","
    if ending == "json":
        frame.to_json(path, orient="records")
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep=delimiter)
    assert read(path) == (TEXTS, Counter())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_spreadsheets_encodings_delimiters_and_line_ends_are_read(
    tmp_path, encoding, delimiter, newline
):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline)
    writer.writerows([("feature", "explanation"), *TEXTS.items()])
    assert read(write(tmp_path / "x.csv", text.getvalue().encode(encoding)))[0] == TEXTS


def test_a_mark_and_carriage_returns_in_json_lines_do_no_harm(tmp_path):
    lines = "\r\n".join(json.dumps({"index": i, "label": t}) for i, t in TEXTS.items())
    assert read(write(tmp_path / "x.jsonl", lines.encode("utf-8-sig"))) == (TEXTS, Counter())
    # The ending of the name is often wrong about lines.
    assert read(write(tmp_path / "x.json", lines.encode("utf-8-sig"))) == (TEXTS, Counter())


@pytest.mark.parametrize("index", ["12", "12.0", "12.", " 12 ", 12, 12.0, "1.2000e+01"])
def test_whole_numbers_are_features_however_they_are_written(tmp_path, index):
    assert read(as_json(tmp_path / "x.json", [{"feature": index, "label": "a"}]))[0] == {12: "a"}


@pytest.mark.parametrize(
    "index",
    ["12.5", 12.5, "nan", float("nan"), float("inf"), -1, True, "1e1", "1.2E+05", "1.25e+01"],
)
def test_other_numbers_are_counted(tmp_path, index):
    rows = [{"feature": 1, "label": "a"}, {"feature": index, "label": "b"}]
    found, left_out = read(as_json(tmp_path / "x.json", rows))
    assert found == {1: "a"}
    assert left_out == {"index is not a feature number": 1}


def test_a_column_that_pandas_made_floating_is_read_back(tmp_path):
    frame = pd.DataFrame({"feature": [0, None, 12], "explanation": ["a", "b", None]})
    frame.to_csv(tmp_path / "x.csv")
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_json(tmp_path / "x.json")
    for name in ("x.csv", "x.parquet", "x.json"):
        found, left_out = read(tmp_path / name)
        assert found == {0: "a"}
        assert left_out.total() == 2


@pytest.mark.parametrize(
    "document",
    [
        {"0": "zero", "3": "three, naïve", "12": "twelve"},
        {"0.0": "zero", "3.0": "three, naïve", "12.0": "twelve"},
        {str(i): {"description": t, "score": 1} for i, t in TEXTS.items()},
        {str(i): {"latent": i, "explanation": t} for i, t in TEXTS.items()},
        {str(i): [{"description": t}] for i, t in TEXTS.items()},
        {str(i): [t] for i, t in TEXTS.items()},
        [TEXTS.get(i) for i in range(13)],
        [[i, t] for i, t in TEXTS.items()],
        [{"index": str(i), "description": t} for i, t in TEXTS.items()],
        {"model": "m", "results": [{"index": i, "description": t} for i, t in TEXTS.items()]},
        {"explanations": {str(i): t for i, t in TEXTS.items()}},
        {"feature": list(TEXTS), "explanation": list(TEXTS.values())},
        {"columns": ["feature", "label"], "data": [[i, t] for i, t in TEXTS.items()]},
        {f"layers.4_latent{i}": t for i, t in TEXTS.items()},
        {"layers.4": {str(i): t for i, t in TEXTS.items()}, "layers.5": {"1": "other"}},
        {"4": {str(i): t for i, t in TEXTS.items()}, "5": {"1": "other"}},
        *(
            {name.format(i): t for i, t in TEXTS.items()}
            for name in (
                "latent_{}",
                "feature_{}",
                "Feature {}",
                "#{}",
                "f{}",
                "L4_{}",
                "4/{}",
                "(4, {})",
                "4-some-sae/{}",
                "gemma-2-2b/4-some-sae/{}",
                "blocks.4.hook_resid_post/{}",
                "layer_4_feature_{}",
            )
        ),
        {"columns": ["label"], "index": list(TEXTS), "data": [[t] for t in TEXTS.values()]},
        {
            "id": "run 7",
            "name": "a run",
            "results": [{"id": i, "text": t} for i, t in TEXTS.items()],
        },
        {str(i): {"id": f"x{i}", "description": t} for i, t in TEXTS.items()},
        {"dim": 2304, "features": {str(i): t for i, t in TEXTS.items()}},
        {"id": 3, "explanations": {str(i): t for i, t in TEXTS.items()}},
        {"dim": 9, "explanations": [{"index": i, "label": t} for i, t in TEXTS.items()]},
    ],
    ids=lambda document: json.dumps(document)[:32],
)
def test_json_documents_of_many_shapes_hold_the_same_labels(tmp_path, document):
    assert read(as_json(tmp_path / "x.json", document), layer=4)[0] == TEXTS
    compressed = write(tmp_path / "x.json.gz", gzip.compress(json.dumps(document).encode()))
    assert read(compressed, layer=4)[0] == TEXTS


def test_neuronpedias_api_records_hold_their_explanations_inside(tmp_path):
    records = [
        {
            "modelId": "m",
            "layer": "4-s",
            "index": str(i),
            "frac_nonzero": 0.1,
            "explanations": [
                {"id": f"x{i}", "description": t, "typeName": "np_max-act"},
                {"description": f"{t} again", "explanationModelName": "gpt-4o-mini"},
            ],
        }
        for i, t in TEXTS.items()
    ]
    records.append({"modelId": "m", "layer": "4-s", "index": "5", "explanations": []})
    as_json(tmp_path / "x.json", records)
    write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, records)))
    pq.write_table(pa.Table.from_pylist(records[:3]), tmp_path / "x.parquet")
    as_json(tmp_path / "one.json", records[1])
    for name in ("x.json", "x.jsonl", "x.parquet"):
        left_out = Counter()
        place = LabelPlace(layer=4, source_id="4-s")
        found = list(read_explanations_file(tmp_path / name, left_out, place))
        kinds = [(r.feature, r.text, r.type, r.explainer) for r in found]
        assert kinds == [
            row
            for i, t in TEXTS.items()
            for row in ((i, t, "np_max-act", "x"), (i, f"{t} again", "custom", "gpt-4o-mini"))
        ]
        assert left_out == ({} if "parquet" in name else {"no explanation": 1})
    assert read(tmp_path / "one.json", layer=4)[0] == {3: "three, naïve again"}


@pytest.mark.parametrize(
    "spelling", ["{}", "{}.0", "layers.{}", "blocks.{}.hook_resid_post", "L{}"]
)
def test_a_layer_column_selects_the_rows_of_the_source(tmp_path, spelling):
    text = "layer,feature_id,label\n" + "".join(
        f"{spelling.format(layer)},{i},{t} of {layer}\n"
        for layer in (3, 4)
        for i, t in ((0, "zero"), (1, "one"))
    )
    path = write(tmp_path / "x.csv", text)
    found, left_out = read(path, layer=4)
    assert found == {0: "zero of 4", 1: "one of 4"}
    assert left_out == {"of another layer": 2}
    with pytest.raises(InvalidInputError, match=r"several layers .* of the source is unknown"):
        read(path)


def test_of_neuronpedias_source_ids_only_the_sources_own_counts(tmp_path):
    rows = [{"layer": f"4-{s}", "index": 1, "description": s} for s in ("res-16k", "mlp-16k")]
    path = as_json(tmp_path / "x.json", rows)
    assert read(path, layer=4, source_id="4-mlp-16k")[0] == {1: "mlp-16k"}


def test_layers_are_read_from_hookpoints():
    spelled = {
        "model.layers.12.mlp": 12,
        "transformer.h.3": 3,
        "gpt2-small/5-res-jb": 5,
        "layer_7/width_16k": 7,
        np.float64(2.0): 2,
        float("nan"): None,
        "none": None,
        True: None,
    }
    assert {key: layer_number(key) for key in spelled} == spelled


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.pkl", "x.NPZ"])
def test_arrays_of_texts_are_refused_with_the_way_out(tmp_path, name):
    np.savez(tmp_path / "a.npz", feature=np.arange(2), explanation=np.array(["a", "b"], object))
    (tmp_path / "a.npz").rename(tmp_path / name)
    with pytest.raises(InvalidInputError, match="may run code; write them as CSV, JSON or Parquet"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", b""),
        ("x.json", b"[" * 100_000),
        ("x.json", b'{"1": "a"'),
        ("x.json", b"\xff\xfe\x00"),
        ("x.json", b'{"1": ' + b"9" * 5000 + b"}"),
        ("x.json.gz", gzip.compress(bytes(8 << 20), mtime=0)),
        ("x.csv.gz", gzip.compress(b"feature,label\n" + bytes(8 << 20), mtime=0)),
        ("x.csv.gz", gzip.compress(b"feature,label\n1,a\n", mtime=0)[:-6]),
        ("x.csv", b"PK\x03\x04" + bytes(range(256))),
        ("x.tsv", b'feature\tlabel\n1\t"' + b"a" * 200_000),
        ("x.parquet", b"PAR1"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, name, content):
    with pytest.raises(ArtifactError, match=name) as e:
        read(write(tmp_path / name, content))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("document", ["text", 3, None, [], {}, [[[1]]], {"a": {"b": {"c": 1}}}])
def test_a_document_without_labels_gives_none(tmp_path, document):
    path = as_json(tmp_path / "x.json", document)
    with contextlib.suppress(InvalidInputError):
        assert read(path)[0] == {}


def note_of(path, **columns):
    notes = []
    for _ in read_explanations_file(path, Counter(), None, LabelColumns(**columns), notes):
        pass
    return [note.message for note in notes]


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
