"""Published embeddings become what our own layout holds, or are refused by name."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from sfal.errors import ArtifactError, CorruptError
from sfal.store.published.embeddings import read_pickled_embeddings

STEM = "oai_token-act-pair_gpt-4o-mini"


@pytest.fixture
def read(tmp_path):
    def read(**columns):
        path = tmp_path / f"{STEM}_embeddings.pkl"
        pd.DataFrame(columns).to_pickle(path)
        return read_pickled_embeddings(path, STEM)

    return read


def test_features_ascend_and_the_metadata_are_those_of_our_files(read):
    (features, vectors, metadata), texts = read(
        index=["7", "2", "4"],
        layer=["3-gemmascope-res-16k"] * 3,
        description=[["a", "b"], None, ["c"]],
        true_description=[None, "two", "four"],
        embedding=[[7.0, 0.5], [2.0, 0.25], [4.0, 0.125]],
    )
    assert features.dtype == np.uint32
    assert features.tolist() == [2, 4, 7]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[2.0, 0.25], [4.0, 0.125], [7.0, 0.5]]
    assert metadata == {
        "source": "3-gemmascope-res-16k",
        "explainer": "gpt-4o-mini",
        "type": "oai_token-act-pair",
    }
    assert texts == {7: "a; b", 2: "two", 4: "four"}


def test_records_that_do_not_name_their_source_have_none(read):
    assert read(index=[0], embedding=[[1.0]]).vectors.metadata["source"] is None
    assert read(index=[0], layer=[3], embedding=[[1.0]]).vectors.metadata["source"] is None


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([-1, 0], "-1 is not the index of a feature"),
        ([0, 1 << 32], "4294967296 is not the index of a feature"),
        ([5, 5], "feature 5 occurs twice"),
    ],
)
def test_indices_that_are_wrong_are_refused(read, index, message):
    with pytest.raises(CorruptError, match=message):
        read(index=index, embedding=[[1.0], [2.0]])


def test_a_large_index_takes_no_memory(read):
    tracemalloc.start()
    features = read(index=[0, (1 << 32) - 1], embedding=[[1.0], [2.0]]).vectors.features
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert features.tolist() == [0, (1 << 32) - 1]
    assert peak < 1 << 24


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"index": [0]}, "no column embedding; its columns are index"),
        ({"vectors": [[1.0]]}, "no column index and no column embedding"),
        ({"index": [], "embedding": []}, "holds no embeddings"),
        ({"index": [0], "embedding": [[]]}, "no dimension"),
        ({"index": [9], "embedding": [[np.inf]]}, "feature 9 is not finite"),
    ],
)
def test_what_is_not_a_set_of_embeddings_is_refused(read, columns, message):
    with pytest.raises(ArtifactError, match=message):
        read(**columns)
