"""Reading scores and replicates back, whole or damaged."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfal.errors import CorruptError, MissingError
from sfal.store.replicates import read_replicates, write_replicates
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
    assert read_replicates(tmp_path) == ()


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


@pytest.mark.parametrize("read", [read_scores, read_replicates])
def test_damaged_files(tmp_path, read):
    write(tmp_path)
    write_replicates(tmp_path, [np.zeros((8, 2, 3))] * 2)
    for name in ("scores.parquet", "replicates.parquet"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptError, match="cannot be read") as e:
        read(tmp_path)
    assert "\n" not in str(e.value)


def test_replicates_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    sets = list(rng.random((2, 8, 2, 7)))
    sets[1][3, 0, 2] = np.nan
    write_replicates(tmp_path, sets)
    found = read_replicates(tmp_path)
    assert len(found) == 2
    for one, other in zip(sets, found, strict=True):
        np.testing.assert_array_equal(one, other)
    content = (tmp_path / "replicates.parquet").read_bytes()
    write_replicates(tmp_path, sets)
    assert (tmp_path / "replicates.parquet").read_bytes() == content


def test_replicates_of_another_layout(tmp_path):
    pq.write_table(pa.table({"feature": [1], "halves": [[1.0]]}), tmp_path / "replicates.parquet")
    with pytest.raises(CorruptError, match="no column feature"):
        read_replicates(tmp_path)
