"""Embeddings of several sources: models are loaded once, failures stay with their source."""

import gc
import weakref

import pytest

import sfal
import tiny_embedders as models
from sfal.embeddings import driver
from sfal.embeddings.driver import embed_explanations
from sfal.embeddings.settings import EmbedSettings
from sfal.errors import ArtifactError, InvalidInputError, MissingError
from sfal.explanations.settings import DownloadSettings
from sfal.store.embeddings import find_vectors

NAMES = ["lm/0-a-res", "lm/1-b-res", "lm/2-c-res"]


@pytest.fixture
def explained(tmp_path):
    """Return a data folder in which the first and the last of three sources are explained."""
    path = tmp_path / "mine.csv"
    path.write_text("feature,explanation\n3,three\n4,four\n")
    for name in (NAMES[0], NAMES[2]):
        sfal.download_explanations(
            name, DownloadSettings(explanations_file=path), tmp_path / "data"
        )
    return tmp_path / "data"


class Loader:
    """A replacement for SentenceEmbedder that counts loads and may fail."""

    def __init__(self):
        self.loaded = []
        self.alive = weakref.WeakSet()
        self.fails = ()
        self.encode = None

    def __call__(self, ref, device, batch_size):
        gc.collect()
        assert not self.alive, "two models are loaded at the same time"
        self.loaded.append(ref.name)
        if ref.name in self.fails:
            raise ArtifactError(f"{ref.name} cannot be loaded")
        embedder = models.Counting()
        if self.encode is not None:
            embedder.encode = self.encode
        self.alive.add(embedder)
        return embedder


@pytest.fixture
def loader(monkeypatch):
    loader = Loader()
    monkeypatch.setattr(driver, "SentenceEmbedder", loader)
    return loader


SETTINGS = EmbedSettings(embedding_models=("a/one", "a/two"))


def test_each_model_is_loaded_once_and_one_at_a_time(explained, loader):
    seen = []
    results = embed_explanations(NAMES, SETTINGS, explained, on_result=seen.append)
    assert loader.loaded == ["a/one", "a/two"]
    assert seen == results
    assert [(r.embedder, r.source) for r in results] == [
        (embedder, name) for embedder in ("a/one", "a/two") for name in NAMES
    ]
    assert [r.error is None for r in results] == [True, False, True] * 2
    assert isinstance(results[1].error, MissingError)
    assert [r.embedded.n_vectors for r in results if r.embedded] == [2] * 4
    assert len(find_vectors(explained / NAMES[0])) == 2


def test_nothing_is_loaded_if_everything_is_embedded(explained, loader):
    embed_explanations(NAMES, SETTINGS, explained)
    loader.loaded.clear()
    again = embed_explanations((NAMES[0], NAMES[2]), SETTINGS, explained)
    assert all(result.embedded.skipped for result in again)
    assert loader.loaded == []


def test_a_model_that_cannot_be_loaded_is_tried_once(explained, loader):
    loader.fails = ("a/one",)
    results = embed_explanations((NAMES[0], NAMES[2]), SETTINGS, explained)
    assert loader.loaded == ["a/one", "a/two"]
    assert [str(r.error) for r in results[:2]] == ["a/one cannot be loaded"] * 2
    assert [r.error for r in results[2:]] == [None, None]


def test_an_error_does_not_keep_its_model_alive(explained, loader):
    def encode(texts):
        raise ArtifactError("no vectors")

    loader.encode = encode
    results = embed_explanations(NAMES[0], SETTINGS, explained)
    assert [str(r.error) for r in results] == ["no vectors"] * 2  # the loader asserts the rest


def test_contradictory_settings_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="is for one model, but 2 are given"):
        EmbedSettings(embedding_models=("a/b", "a/c"), embedding_name="d")
    with pytest.raises(InvalidInputError, match="batch_size is 0"):
        EmbedSettings(batch_size=0)
    with pytest.raises(InvalidInputError, match="no embedder"):
        embed_explanations("a/b", EmbedSettings(embedding_models=()), tmp_path)


def test_a_single_name_may_be_given_without_a_tuple():
    settings = EmbedSettings(embedding_models="a/one", explainers="gpt-4o-mini")
    assert [ref.name for ref in settings.embedders()] == ["a/one"]
    assert settings.preferences.rank("any", "gpt-4o") is None
