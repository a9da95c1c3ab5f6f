"""Labels of which the embedder knows no word, and vectors that are not finite for other reasons."""

from dataclasses import replace

import numpy as np
import pytest

import sfal
import tiny_embedders as models
from embeddings.fixtures import embed
from explanations.fixtures import QUICK, source
from sfal.demo import DATA
from sfal.embeddings.driver import embed_explanations
from sfal.embeddings.settings import EmbedSettings
from sfal.embeddings.unknown_words import unknown_note
from sfal.errors import InvalidInputError
from sfal.explanations.source_explanations import choose_explanations
from sfal.scoring.inputs import read_embeddings
from sfal.scoring.selection import EmbeddingsFile, SourceInput
from sfal.store.embeddings import find_vectors, read_vectors

UNKNOWN = {2: "produ", 5: "produ produ"}
LABELS = {i: UNKNOWN.get(i, f"word {i}") for i in range(8)}


class Words(models.Counting):
    """A table of word vectors; `blank` is its vector of a text without a known word."""

    def __init__(self, blank=np.nan, empty=None):
        super().__init__()
        self._blank = blank
        self._empty = blank if empty is None else empty

    def encode(self, texts):
        vectors = super().encode(texts)
        for row, text in zip(vectors, texts, strict=True):
            if text in UNKNOWN.values():
                row[:] = self._blank
            elif not text:
                row[:] = self._empty
        return vectors


@pytest.fixture
def labelled(tmp_path):
    """Return a data folder with eight labels, two of which are no words."""
    path = tmp_path / "mine.csv"
    rows = "".join(f"{i},{label}\n" for i, label in LABELS.items())
    path.write_text(f"feature,explanation\n{rows}")
    choose_explanations(source(tmp_path), replace(QUICK, explanations_file=path))
    return tmp_path


@pytest.mark.parametrize("blank", [np.nan, 0.0])
def test_a_label_without_a_known_word_is_left_out_and_named(labelled, blank):
    summary = embed(labelled, Words(blank))
    assert (summary.n_vectors, summary.n_missing) == (6, 2)
    found = read_vectors(summary.path)
    assert found.features.tolist() == [i for i in LABELS if i not in UNKNOWN]
    np.testing.assert_array_equal(
        found.vectors, models.Counting().encode([LABELS[i] for i in found.features.tolist()])
    )
    (note,) = summary.notes
    assert note.message.endswith(
        ": 2 labels have no vector, because the embedder knows none of their words: "
        "2 'produ', 5 'produ produ'"
    )
    assert embed(labelled, Words(blank)).skipped


def test_its_feature_is_unexplained_where_scores_are_computed(labelled):
    summary = embed(labelled, Words())
    folder = source(labelled)
    file = EmbeddingsFile(summary.embedder, summary.path.stem, summary.path)
    scored = SourceInput(folder.name, "lm", 0, folder.path, folder.path, (file,))
    read = read_embeddings(scored, file, 8, "drop")
    assert np.flatnonzero(~read.explained).tolist() == list(UNKNOWN)


@pytest.mark.parametrize(
    "embedder",
    [Words(np.inf), Words(np.nan, empty=1.0), Words(np.array([1.0, np.nan, 1.0]), empty=np.nan)],
    ids=["overflow", "a model that has a vector of no word", "single numbers"],
)
def test_a_vector_that_is_not_finite_for_another_reason_is_refused(labelled, embedder):
    with pytest.raises(InvalidInputError, match=r"feature 2 'produ' is not finite.*precision"):
        embed(labelled, embedder)
    assert find_vectors(source(labelled).path) == {}


def test_a_model_that_fails_without_a_word_is_not_excused(labelled):
    class Fails(Words):
        def encode(self, texts):
            if "" in texts:
                raise IndexError
            return super().encode(texts)

    with pytest.raises(InvalidInputError, match="'produ' is not finite"):
        embed(labelled, Fails())


def test_vectors_on_disk_stay_if_the_new_ones_are_refused(labelled):
    path = embed(labelled, Words()).path
    before = path.read_bytes()
    other = labelled / "other.csv"
    other.write_text("feature,explanation\n1,produ\n2,produ produ\n3,word\n")
    choose_explanations(source(labelled), replace(QUICK, explanations_file=other))
    with pytest.raises(InvalidInputError, match="feature 1 'produ' is not finite"):
        embed(labelled, Words())
    assert path.read_bytes() == before


def test_labels_that_are_all_unknown_are_refused(labelled):
    class Zeros(models.Counting):
        def encode(self, texts):
            return super().encode(texts) * np.float32(0)

    with pytest.raises(InvalidInputError, match="all 8 labels are zero or NaN"):
        embed(labelled, Zeros())


def test_the_demos_word_vectors_leave_a_cut_word_out(labelled):
    settings = EmbedSettings(embedding_models=(str(DATA / "embedder"),), device="cpu")
    (result,) = embed_explanations(source(labelled).name, settings, source(labelled).root)
    assert result.error is None
    assert result.embedded.n_missing == 2
    assert "2 'produ', 5 'produ produ'" in result.embedded.notes[0].message
    vectors = sfal.embed_texts(["a city", "produ"], str(DATA / "embedder"), device="cpu")
    assert vectors[0].any()
    assert not vectors[1].any()


def test_a_handful_of_labels_is_named():
    one = unknown_note("lm/0-a-res", np.array([7], np.uint32), ["produ"])
    assert "1 label has no vector, because the embedder knows none of its words: 7" in one.message
    labels = [f"word{i}" for i in range(9)]
    many = unknown_note("lm/0-a-res", np.arange(9, dtype=np.uint32), labels)
    assert many.message.endswith("4 'word4' and 4 more")
