"""Explanations in memory become the vectors that the stage writes to disk."""

import numpy as np
import pytest

import sfal
from sfal.embeddings.embedders import SentenceEmbedder, resolve_embedder
from sfal.errors import InvalidInputError
from tiny_embedders import embedder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(embedder(tmp_path_factory.mktemp("embedder")))


def test_each_text_has_its_vector_and_a_missing_one_the_zero_vector(model):
    texts = ["names of cities", None, "numbers", "", "names of cities"]
    vectors = sfal.embed_texts(texts, model, device="cpu")
    assert vectors.dtype == np.float32
    alone = SentenceEmbedder(resolve_embedder(model), "cpu").encode(["names of cities", "numbers"])
    np.testing.assert_allclose(vectors[[0, 2]], alone, atol=1e-6)
    assert (vectors[0] == vectors[4]).all()
    assert not vectors[[1, 3]].any()


def test_features_without_a_text_are_unexplained(model):
    vectors = sfal.embed_texts(["cities", None, "numbers"], model, device="cpu")
    occurrences = sfal.count_features(np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]]), window_size=1)
    table = sfal.score_features(occurrences, vectors)
    assert table["status"].to_pylist() == ["scored", "unexplained", "scored"]


@pytest.mark.parametrize("texts", [[], [None, ""]])
def test_texts_that_are_all_empty_are_refused(texts, model):
    with pytest.raises(InvalidInputError, match="texts is empty"):
        sfal.embed_texts(texts, model)


def test_a_folder_without_a_model_is_named_with_its_purpose():
    with pytest.raises(InvalidInputError, match=r"^embedding model \./nofolder: there is no model"):
        sfal.embed_texts(["cities"], "./nofolder")
