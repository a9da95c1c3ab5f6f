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

from explanations.label_files import TEXTS, as_json, read, write
from sfal.errors import ArtifactError, InvalidInputError
from sfal.explanations.user_files.layers import layer_number
from sfal.explanations.user_files.reader import LabelPlace, read_explanations_file

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
