"""Reading scores back, whole or damaged."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.errors import CorruptError, MissingError
from sfal.store.scores import read_scores

COLUMNS = {
    "feature": pa.array([0, 1, 2, 0, 1, 2], pa.uint32()),
    "embedding": ["a/b"] * 6,
    "explainer": ["gpt"] * 6,
    "sfal": [0.1, None, 0.3, 0.4, 0.5, None],
    "status": ["scored"] * 6,
}


def write(folder, **changes):
    table = pa.table({**COLUMNS, **changes})
    stems = b'{"embeddings": [{"stem": "x_gpt"}, {"stem": "y_gpt"}]}'
    pq.write_table(table.replace_schema_metadata({b"sfal": stems}), folder / "scores.parquet")


def test_sets_of_the_same_names_are_told_apart_by_their_explanations(tmp_path):
    write(tmp_path)
    first, second = read_scores(tmp_path)
    assert (first.name, second.name) == ("a/b (x_gpt)", "a/b (y_gpt)")
    assert second.table["sfal"].to_pylist() == [0.4, 0.5, None]
    assert second.table["feature"].to_pylist() == [0, 1, 2]


def test_no_scores_yet(tmp_path):
    with pytest.raises(MissingError, match=r"no scores yet in .*; sfal.score\(\) makes them"):
        read_scores(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"feature": pa.array([0, 1, 2, 0, 1, None], pa.uint32())}, "missing values"),
        ({"feature": pa.array([0, 1, 2, 0, 1, 2], pa.int64())}, r"no column feature \(uint32\)"),
        ({"embedding": [1] * 6}, r"no column embedding \(string\)"),
        ({"status": ["scored"] * 5 + [None]}, "missing values"),
    ],
)
def test_scores_of_another_layout(tmp_path, changes, said):
    write(tmp_path, **changes)
    with pytest.raises(CorruptError, match=said):
        read_scores(tmp_path)


def test_a_file_cut_short(tmp_path):
    write(tmp_path)
    path = tmp_path / "scores.parquet"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(CorruptError, match="cannot be read") as e:
        read_scores(tmp_path)
    assert "\n" not in str(e.value)
