"""`sfal status`: what lies on disk, what is missing, and the command that makes it."""

import numpy as np
from click.testing import CliRunner

from sfal.cli import sfal
from sfal.store.explanations import make_table, write_explanations
from sfal.store.inventory import inventory
from sfal.store.manifest import Counts, Manifest, Part
from sfal.store.npz import write_histogram
from sfal.store.vectors import write_vectors

NAME = "gemma-2-2b/0-gemmascope-res-16k"


def manifest(n_docs=10, counted=10):
    part = Part("part-000000.parquet", "0" * 64, 0, counted, Counts(counted, windows=30), "")
    return Manifest(source={}, n_features=4, settings={}, n_docs=n_docs, parts=(part,))


def stages(data_dir):
    (source,) = inventory(data_dir)
    return {stage.name: (stage.found, stage.missing) for stage in source.stages}


def test_every_missing_stage_names_the_command_that_makes_it(tmp_path):
    manifest().save(tmp_path / NAME)
    found = stages(tmp_path)
    assert found["counts"] == ("30 windows of 10 documents", "")
    assert found["explanations"] == ("", f"sfal embeddings download --source {NAME}")
    assert found["embeddings"] == ("", f"sfal embeddings embed --source {NAME}")
    assert found["scores"] == ("", f"sfal score --source {NAME}")


def test_a_run_that_was_stopped_says_how_far_it_came(tmp_path):
    manifest(n_docs=100).save(tmp_path / NAME)
    found, missing = stages(tmp_path)["counts"]
    assert found == "30 windows of 10 documents, of 100"
    assert "goes on" in missing


def test_a_source_with_everything_lacks_nothing(tmp_path):
    folder = tmp_path / NAME
    folder.mkdir(parents=True)
    write_histogram(folder / "x_cooccurrences.npz", np.eye(4, dtype=np.uint32), 5)
    features = np.arange(2, dtype=np.uint32)
    write_explanations(folder, make_table(features, [("a", "t", "e"), ("b", "t", "e")]), {})
    path = folder / "org" / "model" / "t_e_embeddings.parquet"
    write_vectors(path, features, np.eye(2, dtype=np.float32), {})
    (folder / "scores.parquet").touch()
    (source,) = inventory(tmp_path)
    assert source.complete
    assert stages(tmp_path)["embeddings"][0] == "org/model (t_e)"
    assert stages(tmp_path)["explanations"][0] == "of 2 features: t by e"


def test_damage_is_shown_and_the_other_sources_too(tmp_path):
    manifest().save(tmp_path / NAME)
    broken = tmp_path / "gemma-2-2b" / "5-broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    (broken / "explanations.parquet").write_text("no parquet")
    result = CliRunner().invoke(sfal, ["status", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "sfal verify" in result.output
    assert NAME in result.output
    assert "gemma-2-2b/5-broken" in result.output


def test_counts_of_further_runs_are_named(tmp_path):
    manifest().save(tmp_path / NAME / "runs" / "k64")
    assert stages(tmp_path)["counts, run k64"] == ("30 windows of 10 documents", "")
    assert "counts" not in stages(tmp_path)


def test_an_empty_tree_says_how_to_begin(tmp_path):
    result = CliRunner().invoke(sfal, ["status", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "sfal cooc gemma" in result.output
