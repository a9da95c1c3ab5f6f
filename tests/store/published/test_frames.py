"""Pickled frames of every pandas and protocol are read as pandas reads them."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sfal.errors import ArtifactError
from sfal.store.published.frames import read_frame

DATA = Path(__file__).parents[2] / "data" / "frames"
FEATURES = [4, 0, 7, 2, 1, 9]
MEMBERS = [
    (archive.name, member)
    for archive in sorted(DATA.glob("*.zip"))
    for member in zipfile.ZipFile(archive).namelist()
]


@pytest.mark.parametrize(("archive", "member"), MEMBERS)
def test_frames_of_every_pandas_and_protocol_are_read(tmp_path, archive, member):
    path = tmp_path / member
    path.write_bytes(zipfile.ZipFile(DATA / archive).read(member))
    frame = read_frame(path)
    features = frame.integers("index")
    vectors = frame.vectors("embedding")
    assert frame.n_rows == 6
    assert sorted(features) == sorted(FEATURES)
    expected = np.arange(30, dtype=np.float32).reshape(6, 5) / 8 - 1
    rows = [FEATURES.index(i) for i in features]
    np.testing.assert_array_equal(vectors, expected[rows])
    texts = [f"explanation {i}, naïve – 語" for i in features]
    assert frame.values("true_description") == texts
    assert frame.values("description") == [[text] for text in texts]
    assert frame.values("authorId") == [None] * 6
    umap = [0.5, None, -1.25, 3.0, 2.0, 1.0]
    assert frame.values("umap_x") == [umap[row] for row in rows]
    ids = [None if "string-" in member and i == 0 else f"x{i}" for i in features]
    assert frame.values("id") == ids


def test_there_are_frames_of_the_oldest_and_the_newest_pandas():
    assert {archive for archive, _ in MEMBERS} >= {"pandas-1.5.3.zip", "pandas-3.1.1.zip"}
    assert len(MEMBERS) >= 100


@pytest.mark.parametrize("width", [0, 1, 2, 7, 999, 1000, 1001, 1024, 2000, 8193])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_runs_of_floats_of_any_length_are_read_completely(tmp_path, width, protocol):
    rng = np.random.default_rng(width)
    vectors = rng.standard_normal((9, width))
    path = tmp_path / "frame.pkl"
    path.write_bytes(pickle.dumps(pd.DataFrame({"embedding": vectors.tolist()}), protocol))
    np.testing.assert_array_equal(read_frame(path).vectors("embedding"), vectors.astype(np.float32))


def test_whole_numbers_are_read_from_text_and_from_floats(tmp_path):
    path = tmp_path / "frame.pkl"
    pd.DataFrame({"a": ["3", "14"], "b": [3.0, 14.0], "c": [True, False]}).to_pickle(path)
    frame = read_frame(path)
    assert frame.integers("a").tolist() == frame.integers("b").tolist() == [3, 14]
    with pytest.raises(ArtifactError, match="whole number"):
        frame.integers("c")


def test_a_missing_column_is_named_with_the_existing_ones(tmp_path):
    path = tmp_path / "frame.pkl"
    pd.DataFrame({"a": [1]}).to_pickle(path)
    with pytest.raises(ArtifactError, match=r"frame\.pkl: column 'b': not there; .* are a"):
        read_frame(path).values("b")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot read .*gone\.pkl"):
        read_frame(tmp_path / "gone.pkl")
