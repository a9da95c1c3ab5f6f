"""Columns as people name and write them: read, or said to be unread, never passed over."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collect.imported.test_import import stored
from sfal.collect.imported import delimited
from sfal.collect.imported.driver import import_firings
from sfal.collect.imported.settings import ImportSettings
from sfal.errors import InvalidInputError
from sfal.explanations.user_files.columns import column_of
from sfal.sources.feature_names import FEATURE_NAMES

NAME = "lm/3-theirs"


def imported(tmp_path, path, **settings):
    settings = {"window_size": 4, "n_features": 40, "n_docs": 1, "document_length": 8, **settings}
    return import_firings(path, NAME, ImportSettings(**settings), tmp_path / "data")


def write(path, table):
    """Write columns as Parquet, CSV or npz, as the file's name says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table(table), path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: np.array(values) for name, values in table.items()})
    else:
        rows = [list(table), *zip(*table.values(), strict=True)]
        path.write_text("\n".join(",".join(map(str, row)) for row in rows), encoding="utf-8")
    return path


PLAIN = {"document": [0, 0], "position": [0, 5], "feature": [3, 4]}


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz"])
@pytest.mark.parametrize("name", ["magnitude", "z", "score", "logit"])
def test_numbers_under_an_unknown_name_are_said_to_be_unread(tmp_path, kind, name):
    path = write(tmp_path / f"f.{kind}", {**PLAIN, name: [0.5, 0.0]})
    result = imported(tmp_path, path)
    [note] = result.notes
    assert f"every row counts as firing; not read: {name}" in str(note)
    assert f"activation={name}" in note.hint
    assert stored(result.folder) == {(0, 0): [3], (0, 1): [4]}
    named = imported(tmp_path, path, columns={"activation": name}, run="named")
    assert named.notes == ()
    assert stored(named.folder) == {(0, 0): [3], (0, 1): []}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_text_called_value_is_no_activation(tmp_path, kind):
    path = write(tmp_path / f"f.{kind}", {**PLAIN, "value": ["the", "cat"], "text": ["a", "b"]})
    [note] = imported(tmp_path, path).notes
    assert str(note).count("value") == 2
    assert "text" not in str(note)


def test_an_activation_is_taken_beside_other_numbers_without_a_note(tmp_path):
    path = write(tmp_path / "f.csv", {**PLAIN, "act": [0, 1], "score": [1, 2], "token_id": [7, 8]})
    result = imported(tmp_path, path)
    assert result.notes == ()
    assert stored(result.folder) == {(0, 0): [], (0, 1): [4]}


def test_numbers_of_rows_and_ids_of_tokens_are_no_activations(tmp_path):
    path = write(tmp_path / "f.csv", {"": [0, 1], **PLAIN, "token_id": [7, 8], "index": [0, 1]})
    assert imported(tmp_path, path).notes == ()


@pytest.mark.parametrize("values", [["0.5", "0"], ["1e-3", "-2"], [True, False], ["True", "false"]])
@pytest.mark.parametrize("name", ["activation", "value"])
def test_numbers_as_text_and_truth_values_are_converted(tmp_path, values, name):
    kinds = ["parquet"] + ["npz"] * isinstance(values[0], bool)
    for kind in kinds:
        path = write(tmp_path / f"f.{kind}", {**PLAIN, name: values})
        result = imported(tmp_path, path, run=kind)
        assert result.notes == ()
        assert stored(result.folder) == {(0, 0): [3], (0, 1): []}
    path = write(tmp_path / "g.csv", {**PLAIN, name: values})
    assert stored(imported(tmp_path, path).folder) == {(0, 0): [3], (0, 1): []}


def test_whole_numbers_as_text_are_converted(tmp_path):
    table = {"document": ["0", "0"], "position": ["0", " 5"], "feature": ["3.0", "4"]}
    path = write(tmp_path / "f.parquet", table)
    assert stored(imported(tmp_path, path).folder) == {(0, 0): [3], (0, 1): [4]}


@pytest.mark.parametrize(
    ("column", "value"), [("activation", "much"), ("feature", "x"), ("position", "1,000")]
)
def test_a_text_that_is_not_a_number_is_refused_with_its_row(tmp_path, column, value):
    table = {**PLAIN, "activation": [1, 2]}
    table[column] = [str(table[column][0]), value]
    with pytest.raises(InvalidInputError, match=rf"row 1 has {column} '{value}', which is not"):
        imported(tmp_path, write(tmp_path / "f.parquet", table))


def test_decimals_and_categories_are_numbers(tmp_path):
    table = {
        **{name: pa.array(values).dictionary_encode() for name, values in PLAIN.items()},
        "act": pa.array([0.5, 0]).cast(pa.decimal128(6, 3)),
    }
    pq.write_table(pa.table(table), tmp_path / "f.parquet")
    assert stored(imported(tmp_path, tmp_path / "f.parquet").folder) == {(0, 0): [3], (0, 1): []}


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets_are_read(tmp_path, separator, encoding):
    rows = ["Document;Position;Feature;Activation", "0;0;3;0,5", "0;5;4;0,0", "0;6;5;1.234"]
    text = "\r\n".join(rows).replace(";", separator)
    (tmp_path / "f.csv").write_bytes(text.encode(encoding))
    with gzip.open(tmp_path / "g.csv.gz", "wb") as file:
        file.write(text.encode(encoding))
    for name in ("f.csv", "g.csv.gz"):
        found = stored(imported(tmp_path, tmp_path / name, run=name[0]).folder)
        assert found == {(0, 0): [3], (0, 1): [5]}


def test_quoted_decimal_commas_are_read(tmp_path):
    text = 'document,position,feature,activation\n0,0,3,"0,5"\n0,5,4,"0,0"\n'
    (tmp_path / "f.csv").write_text(text, encoding="utf-8")
    assert stored(imported(tmp_path, tmp_path / "f.csv").folder) == {(0, 0): [3], (0, 1): []}


def test_activations_may_begin_with_whole_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 800)
    lines = ["document,position,feature,activation", *["0,0,3,1"] * 9999, "0,5,4,0.25"]
    (tmp_path / "f.csv").write_text("\n".join(lines), encoding="utf-8")
    assert stored(imported(tmp_path, tmp_path / "f.csv").folder) == {(0, 0): [3], (0, 1): [4]}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_without_rows_is_refused_as_such(tmp_path, kind):
    path = write(tmp_path / f"f.{kind}", {name: np.zeros(0, int) for name in PLAIN})
    with pytest.raises(InvalidInputError, match="has no rows, only names of columns"):
        imported(tmp_path, path)
    assert not (tmp_path / "data" / "lm").exists()


@pytest.mark.parametrize(
    ("document", "position", "feature"),
    [
        ("doc_idx", "pos", "latent_idx"),
        ("sample_idx", "token_index", "neuron"),
        ("DocId", "tokenIdx", "featureIndex"),
        ("sample", "seq_pos", "neuron_id"),
        ("prompt_id", "tok_pos", "latent"),
        ("sequence_idx", "token", "Feature ID"),
    ],
)
def test_usual_names_are_known_however_they_are_spelled(tmp_path, document, position, feature):
    table = dict(zip((document, position, feature), PLAIN.values(), strict=True))
    path = write(tmp_path / "f.parquet", table)
    result = imported(tmp_path, path)
    assert result.notes == ()
    assert stored(result.folder) == {(0, 0): [3], (0, 1): [4]}


def test_names_of_features_are_those_of_label_files():
    assert {column_of(name) for name in FEATURE_NAMES} == {"feature"}


def test_a_column_of_text_is_no_rival_of_one_of_numbers(tmp_path):
    path = write(tmp_path / "f.csv", {**PLAIN, "sample": ["a b", "c"], "token": ["x", "y"]})
    assert stored(imported(tmp_path, path).folder) == {(0, 0): [3], (0, 1): [4]}
    path = write(tmp_path / "g.csv", {**PLAIN, "doc_id": [5, 5]})
    with pytest.raises(InvalidInputError, match="document and doc_id, and either could be"):
        imported(tmp_path, path)


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"data": [1.0], "indices": [0], "indptr": [0, 1], "shape": [1, 9], "format": b"csr"},
         "a sparse matrix of scipy"),
        ({"acts": np.zeros((4, 8, 40))}, r"acts of shape \(4, 8, 40\)"),
        ({"arr_0": np.zeros((4, 8))}, r"arr_0 of shape \(4, 8\)"),
    ],
)  # fmt: skip
def test_a_matrix_is_refused_with_the_ways_out(tmp_path, arrays, what):
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(InvalidInputError, match=what) as caught:
        imported(tmp_path, tmp_path / "m.npz")
    assert "sfal.count_features()" in str(caught.value)
    assert "document, position, feature" in str(caught.value)


def test_a_plain_import_gives_one_note_at_most(tmp_path):
    path = write(tmp_path / "f.csv", PLAIN)
    settings = ImportSettings(window_size=4)
    [note] = import_firings(path, NAME, settings, tmp_path / "data").notes
    for setting in ("n_features", "document_length", "n_docs"):
        assert f"${setting}" in note.hint


def test_files_of_several_layers_are_said_to_be_taken_as_one_sae(tmp_path):
    folder = tmp_path / "firings"
    folder.mkdir()
    for name in ("layer_3.csv", "layer_12.csv"):
        write(folder / name, PLAIN)
    [note] = imported(tmp_path, folder).notes
    assert "layers 3 and 12" in str(note)
    (folder / "layer_12.csv").rename(folder / "layer_3-b.csv")
    again = imported(tmp_path, folder, run="again")
    assert again.notes == ()
