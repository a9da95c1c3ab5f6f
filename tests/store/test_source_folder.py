"""A source on disk: what its folder, its name and its manifests say."""

from pathlib import Path

import numpy as np
import pytest

from sfal.errors import ArtifactError, InvalidInputError, MissingError
from sfal.store.embeddings import write_vectors
from sfal.store.explanations import make_table, write_explanations
from sfal.store.manifest import Manifest
from sfal.store.records import SourceRecord
from sfal.store.source_folder import SourceFolder

NAME = "my-model/3-sae-res"


def save_manifest(folder, record, n_features=64):
    Manifest(record, n_features, {"window_size": 4}, n_docs=10).save(folder)


def test_a_source_that_is_not_on_disk_is_known_by_its_name(tmp_path):
    source = SourceFolder.open(tmp_path, NAME)
    assert (source.name, source.root, source.path) == (NAME, tmp_path, tmp_path / NAME)
    assert (source.model, source.layer, source.layout) == ("my-model", 3, "ours")
    assert source.neuronpedia_id == NAME
    assert (source.manifest, source.n_features, source.runs) == (None, None, ())
    assert not source.has_counts
    assert not source.has_explanations
    assert source.embeddings == {}
    assert source.scores is None
    with pytest.raises(MissingError, match="no explanations yet"):
        source.explanations()
    with pytest.raises(MissingError, match="does not exist"):
        source.occurrences()


@pytest.mark.parametrize("name", ["../my-model", "/etc", "a/../../b", ""])
def test_a_name_that_leaves_the_data_tree_is_refused(tmp_path, name):
    with pytest.raises(InvalidInputError):
        SourceFolder.open(tmp_path, name)


def test_a_manifest_says_more_than_the_name(tmp_path):
    save_manifest(tmp_path / NAME, SourceRecord(NAME, model="org/My-Model", layer=7))
    source = SourceFolder.open(tmp_path, NAME)
    assert (source.neuronpedia_id, source.n_features, source.layer) == (None, 64, 7)
    assert source.model == "my-model"
    assert {"my-model", "org/My-Model"} <= source.model_names


def test_a_manifest_that_cannot_be_read_is_left_to_those_who_need_it(tmp_path):
    source = SourceFolder.open(tmp_path, NAME)
    source.path.mkdir(parents=True)
    (source.path / "manifest.json").write_text("{")
    assert (source.n_features, source.neuronpedia_id, source.layer) == (None, NAME, 3)
    assert source.has_counts
    with pytest.raises(ArtifactError):
        assert source.manifest


def test_a_source_counted_in_further_runs_only_is_known_by_their_manifests(tmp_path):
    save_manifest(tmp_path / NAME / "runs" / "k64", SourceRecord(NAME, layer=7), n_features=8)
    source = SourceFolder.open(tmp_path, NAME)
    assert [run.path.name for run in source.runs] == ["k64"]
    assert (source.n_features, source.layer, source.neuronpedia_id) == (8, 7, None)
    assert not source.has_counts
    assert source.run("k64").has_counts
    assert source.run(None) is source
    with pytest.raises(InvalidInputError, match="run"):
        source.run("../k64")


def test_sources_on_disk_are_those_with_data(tmp_path):
    for name in (
        "m/0-a/manifest.json",
        "m/1-b/explanations.parquet",
        "m/2-c/export/listing.json",
        "m/3-d/x_cooccurrences.npz",
        "m/4-e/runs/r/manifest.json",
        "m/5-f/other.txt",
        "own/manifest.json",
        ".hidden/0-a/manifest.json",
        "gemmascope-res-16k/0-gemmascope-res-16k/x_cooccurrences.npz",
        "m/0-a/Qwen/Qwen3/mixed_embeddings.parquet",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {source.name: source.layout for source in SourceFolder.all(tmp_path)}
    assert sorted(name for name, layout in found.items() if layout == "ours") == [
        "m/0-a",
        "m/1-b",
        "m/2-c",
        "m/3-d",
        "m/4-e",
        "own",
    ]
    published = [name for name, layout in found.items() if layout == "published"]
    assert published == ["gemmascope-res-16k/0-gemmascope-res-16k"]
    assert list(SourceFolder.all(tmp_path / "nothing")) == []


def test_a_published_source_is_of_the_model_in_its_file_name_and_not_on_neuronpedia(tmp_path):
    name = "gemmascope-res-16k/17-gemmascope-res-16k"
    source = SourceFolder.open(tmp_path, name)
    assert (source.model, source.layer, source.neuronpedia_id) == ("gemma-2-9b", 17, None)
    source.path.mkdir(parents=True)
    (source.path / "pile_google_gemma-2-2b_x_cooccurrences.npz").touch()
    assert source.model == "gemma-2-2b"
    assert "gemma" in source.model_names


def test_two_histograms_are_ambiguous(tmp_path):
    source = SourceFolder.open(tmp_path, NAME)
    source.path.mkdir(parents=True)
    assert source.histogram is None
    one = source.path / "a_cooccurrences.npz"
    one.touch()
    assert source.histogram == one
    (source.path / "b_cooccurrences.npz").touch()
    with pytest.raises(ArtifactError, match="holds 2 histograms"):
        assert source.histogram


def test_explanations_and_embeddings_are_found(tmp_path):
    source = SourceFolder.open(tmp_path, NAME)
    features = np.arange(2, dtype=np.uint32)
    write_explanations(source.path, make_table(features, [("a", "t", "e"), ("b", "t", "e")]), {})
    path = source.path / "org" / "model" / "t_e_embeddings.parquet"
    write_vectors(path, features, np.eye(2, dtype=np.float32), {})
    assert source.has_explanations
    assert len(source.explanations()) == 2
    assert source.embeddings == {("org/model", "t_e"): path}


@pytest.mark.parametrize("name", [NAME, "mine", "a/b/c"])
def test_a_folder_says_to_which_source_it_belongs(tmp_path, name):
    save_manifest(tmp_path / name, SourceRecord(name))
    save_manifest(tmp_path / name / "runs" / "k64", SourceRecord(name))
    for folder in (tmp_path / name, tmp_path / name / "runs" / "k64"):
        source = SourceFolder.containing(folder)
        assert source == SourceFolder.open(tmp_path, name)
    assert SourceFolder.containing(tmp_path) is None
    assert SourceFolder.containing(Path(tmp_path / "nothing")) is None
