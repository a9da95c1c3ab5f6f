"""Which sources on disk a command means."""

import re
import shutil

import numpy as np
import pytest

from scoring.published_cases import histogram, write_npz, write_pickle, write_source
from sfal.cli.hints import told
from sfal.errors import ArtifactError, InvalidInputError, MissingError, SfalError
from sfal.scoring.selection import Selection, select_sources
from sfal.store.embeddings import write_vectors
from sfal.store.manifest import Manifest
from sfal.store.records import SourceRecord

RNG = np.random.default_rng(0)


def our_source(data_dir, name, *, counts=True, embeddings=True):
    folder = data_dir / name
    folder.mkdir(parents=True)
    fired = RNG.random((12, 40)) < 0.4
    if counts:
        write_npz(folder, histogram(fired), 40)
    if embeddings:
        write_vectors(
            folder / "Qwen/Qwen3-Embedding-0.6B/oai_token-act-pair_gpt-4o-mini_embeddings.parquet",
            np.arange(12, dtype=np.uint32),
            RNG.standard_normal((12, 5)).astype(np.float32),
            {"source": name, "explainer": "gpt-4o-mini", "type": "oai_token-act-pair"},
        )
    return folder


def names(data_dir, **selection):
    return [s.name for s in select_sources(data_dir, Selection(**selection)).sources]


def test_everything_on_disk_is_found_by_layer(tmp_path):
    for layer in (17, 0, 8):
        write_source(tmp_path, layer=layer)
    prefix = "gemmascope-res-16k"
    expected = [f"{prefix}/{layer}-{prefix}" for layer in (0, 8, 17)]
    assert names(tmp_path) == names(tmp_path, model="gemma") == expected
    assert names(tmp_path, model="gemma", layers=(8,)) == expected[1:2]
    assert names(tmp_path, sources=(expected[2],)) == expected[2:]


@pytest.mark.parametrize("model", ["gemma", "gemma-2-2b", "google/gemma-2-2b"])
def test_a_model_is_known_by_its_family_its_id_and_its_hub_id(tmp_path, model):
    our_source(tmp_path, "gemma-2-2b/0-gemmascope-res-16k")
    our_source(tmp_path, "llama3.1-8b/0-llamascope-res-32k")
    assert names(tmp_path, model=model) == ["gemma-2-2b/0-gemmascope-res-16k"]


@pytest.mark.parametrize("model", ["llama", "llama3.1-8b", "meta-llama/Llama-3.1-8B"])
def test_llama_is_known_by_its_neuronpedia_id(tmp_path, model):
    our_source(tmp_path, "llama3.1-8b/0-llamascope-res-32k")
    our_source(tmp_path, "gemma-2-2b/0-gemmascope-res-16k")
    assert names(tmp_path, model=model) == ["llama3.1-8b/0-llamascope-res-32k"]


def test_a_family_that_stands_for_several_models_asks_for_one(tmp_path):
    our_source(tmp_path, "gemma-2-2b/0-gemmascope-res-16k")
    our_source(tmp_path, "gemma-2-9b/0-gemmascope-res-16k")
    with pytest.raises(InvalidInputError, match="gemma-2-2b and gemma-2-9b"):
        names(tmp_path, model="gemma")
    assert names(tmp_path, model="gemma-2-9b") == ["gemma-2-9b/0-gemmascope-res-16k"]
    assert len(names(tmp_path)) == 2


def test_our_tree_goes_before_the_published_one(tmp_path):
    write_source(tmp_path, layer=0)
    write_source(tmp_path, layer=8)
    assert names(tmp_path, model="gemma-2-9b", layers=(0,)) == [
        "gemmascope-res-16k/0-gemmascope-res-16k"
    ]
    our_source(tmp_path, "gemma-2-9b/0-gemmascope-res-16k")
    expected = [
        "gemma-2-9b/0-gemmascope-res-16k",
        "gemmascope-res-16k/8-gemmascope-res-16k",
    ]
    assert names(tmp_path, model="gemma") == expected


def test_our_embeddings_go_before_published_ones_of_the_same_name(tmp_path):
    folder = our_source(tmp_path, "gemma-2-9b/0-gemmascope-res-16k")
    write_pickle(folder, range(12), RNG.standard_normal((12, 4)))
    write_pickle(folder, range(12), RNG.standard_normal((12, 4)), embedder="local/mine")
    (source,) = select_sources(tmp_path, Selection()).sources
    assert [file.path.suffix for file in source.embeddings] == [".parquet", ".pkl"]


def test_embedders_and_explainers_are_filters(tmp_path):
    folder, _, vectors = write_source(tmp_path)
    write_pickle(folder, range(12), vectors, embedder="local/mine")
    write_pickle(folder, range(12), vectors, stem="oai_token-act-pair_gpt-5-mini")

    def found(**selection):
        (source,) = select_sources(tmp_path, Selection(**selection)).sources
        return [(file.embedder, file.stem.split("_")[-1]) for file in source.embeddings]

    assert len(found()) == 3
    assert found(embeddings=("local/mine",)) == [("local/mine", "gpt-4o-mini")]
    assert found(embeddings=("Qwen3-Embedding-0.6B",), explainers=("gpt-5-mini",)) == [
        ("Qwen/Qwen3-Embedding-0.6B", "gpt-5-mini")
    ]
    with pytest.raises(ArtifactError, match=r"no embeddings nobody; there are Qwen.* local/mine"):
        found(embeddings=("nobody",))
    with pytest.raises(ArtifactError, match=r"no embeddings gpt-9; there are"):
        found(explainers=("gpt-9",))


def test_a_layer_that_is_not_there_is_refused_and_the_others_are_done(tmp_path):
    write_source(tmp_path, layer=0)
    selected = select_sources(tmp_path, Selection(model="gemma", layers=(0, 5)))
    assert [source.layer for source in selected.sources] == [0]
    (message,) = selected.refused
    assert "layer 5 of gemma, there are layers 0; `sfal cooc gemma` with --layers 5" in told(
        message
    )
    with pytest.raises(ArtifactError, match="layer 5"):
        names(tmp_path, model="gemma", layers=(5,))


def test_sources_that_are_not_complete_are_left_out_unless_asked_for(tmp_path):
    our_source(tmp_path, "gemma-2-2b/0-gemmascope-res-16k")
    our_source(tmp_path, "gemma-2-2b/5-gemmascope-res-16k", counts=False)
    our_source(tmp_path, "gemma-2-2b/9-gemmascope-res-16k", embeddings=False)
    selected = select_sources(tmp_path, Selection(model="gemma"))
    assert len(selected.sources) == 1
    assert not selected.refused
    first, second = map(told, selected.skipped)
    assert "no counts yet for gemma-2-2b/5-gemmascope-res-16k; `sfal cooc`" in first + second
    assert "no embeddings yet for gemma-2-2b/9-gemmascope-res-16k" in first + second
    selected = select_sources(tmp_path, Selection(model="gemma", layers=(0, 5, 9)))
    assert len(selected.sources) == 1
    assert len(selected.refused) == 2


@pytest.mark.parametrize("selection", [{}, {"model": "gemma"}, {"sources": ("a/b",)}])
def test_no_data_at_all_says_how_to_make_some(tmp_path, selection):
    for data_dir in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ArtifactError, match="no data yet"):
            names(data_dir, **selection)


def test_another_model_names_those_that_are_there(tmp_path):
    our_source(tmp_path, "gemma-2-2b/0-gemmascope-res-16k")
    with pytest.raises(
        ArtifactError, match=r"no data yet for llama .*there is data for gemma-2-2b"
    ):
        names(tmp_path, model="llama")


@pytest.mark.parametrize("name", ["../outside", "/etc", "a/../../b", "a\0b", ""])
def test_names_that_leave_the_data_folder_are_refused(tmp_path, name):
    with pytest.raises(InvalidInputError, match="source"):
        names(tmp_path, sources=(name,))


@pytest.mark.parametrize(
    ("name", "error"),
    [("gemma-2-2b/5-other", ArtifactError), ("./data/gemma-2-2b/5-other", InvalidInputError)],
)
def test_a_name_or_path_that_is_no_source_is_answered_with_those_there_are(tmp_path, name, error):
    there = [f"gemma-2-2b/{layer}-gemmascope-res-16k" for layer in range(10)]
    for one in there:
        our_source(tmp_path, one)
    expected = rf"there are {', '.join(there[:8])}, … in .*another data folder \(--data-dir\)\?"
    with pytest.raises(error) as refused:
        names(tmp_path, sources=(name,))
    assert re.search(expected, told(refused.value))


@pytest.mark.parametrize(
    ("source", "way"),
    [
        ("gemma-2-2b/0-gemmascope-res-16k", "`sfal cooc gemma` with --model ID and --layers 7"),
        ("llama3.1-8b/0-llamascope-res-32k", "`sfal cooc llama` with --model ID and --layers 7"),
        ("gpt2-small/0-res-jb", "`sfal cooc sae`, given the SAE of that layer"),
    ],
)
def test_a_layer_that_is_missing_is_counted_by_the_command_of_its_model(tmp_path, source, way):
    our_source(tmp_path, source)
    with pytest.raises(ArtifactError) as refused:
        names(tmp_path, layers=(7,))
    assert f"there are layers 0; {way}" in told(refused.value)


def test_a_further_run_has_its_own_counts_and_the_sources_embeddings(tmp_path):
    folder = our_source(tmp_path, "gemma-2-2b/0-gemmascope-res-16k", counts=False)
    with pytest.raises(ArtifactError, match="no counts yet"):
        names(tmp_path)
    write_npz(folder / "runs" / "k512", histogram(RNG.random((12, 40)) < 0.4), 40)
    with pytest.raises(ArtifactError, match="further runs with run: k512"):
        names(tmp_path)
    (source,) = select_sources(tmp_path, Selection(run="k512")).sources
    assert source.run_folder == folder / "runs" / "k512"
    assert source.folder == folder


def test_linked_folders_of_embeddings_are_found(tmp_path):
    folder, _, _ = write_source(tmp_path)
    elsewhere = tmp_path / "elsewhere" / "deep" / "er" / "est"
    elsewhere.parent.mkdir(parents=True)
    shutil.move(folder / "Qwen", elsewhere)
    (folder / "Qwen").symlink_to(elsewhere)
    (source,) = select_sources(tmp_path, Selection(model="gemma")).sources
    assert [file.embedder for file in source.embeddings] == ["Qwen/Qwen3-Embedding-0.6B"]


def test_the_layer_comes_from_the_manifest_or_the_name(tmp_path):
    folder = our_source(tmp_path, "tiny/mysae")
    (source,) = select_sources(tmp_path, Selection()).sources
    assert source.layer is None
    record = SourceRecord("tiny/mysae", model="tiny-lm", layer=3)
    Manifest(record, n_features=12, settings={}, n_docs=1).save(folder)
    (source,) = select_sources(tmp_path, Selection(model="tiny-lm")).sources
    assert source.layer == 3


def test_several_things_that_are_missing_are_all_named(tmp_path):
    our_source(tmp_path, "gemma-2-2b/0-gemmascope-res-16k")
    with pytest.raises(SfalError) as refused:
        names(tmp_path, sources=("a/b", "c/d"))
    assert "no data yet for a/b" in str(refused.value)
    assert "no data yet for c/d" in str(refused.value)
    with pytest.raises(MissingError, match="no data yet for a/b"):
        names(tmp_path, sources=("a/b",))
