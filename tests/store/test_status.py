"""`sfal status`: what is on disk, what is missing, and the command that makes it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sfal.cli.hints import told, told_hint, use_data_dir
from sfal.cli.main import sfal
from sfal.store.embeddings import write_vectors
from sfal.store.examples import hint_to_divide
from sfal.store.explanations import make_table, write_explanations
from sfal.store.manifest import Counts, Manifest, Part
from sfal.store.published.histogram import write_histogram
from sfal.store.records import SourceRecord
from sfal.store.status import inventory

NAME = "gemma-2-2b/0-gemmascope-res-16k"


SOURCE = SourceRecord(NAME, neuronpedia_id=NAME)


def manifest(n_docs=10, counted=10):
    part = Part("part-000000.parquet", "0" * 64, 0, counted, Counts(counted, windows=30), "")
    return Manifest(source=SOURCE, n_features=4, settings={}, n_docs=n_docs, parts=(part,))


def stages(data_dir):
    (source,) = inventory(data_dir)
    use_data_dir(data_dir)
    return {stage.name: (stage.found, told_hint(stage.hint)) for stage in source.stages}


def test_every_missing_stage_names_the_command_that_makes_it(tmp_path):
    manifest().save(tmp_path / NAME)
    found = stages(tmp_path)
    assert found["counts"] == ("30 windows of 10 documents", "")
    given = f"{NAME} --data-dir {tmp_path}"
    assert found["explanations"] == ("", f"sfal embeddings download --source {given}")
    assert found["embeddings"] == ("", f"sfal embeddings embed --source {given}")
    assert found["scores"] == ("", f"sfal score --source {given}")


def test_a_source_without_counts_is_not_to_be_scored(tmp_path):
    folder = tmp_path / NAME
    folder.mkdir(parents=True)
    write_explanations(folder, make_table(np.arange(1, dtype=np.uint32), [("a", "t", "e")]), {})
    found = stages(tmp_path)
    assert found["counts"] == ("", "`sfal cooc` for its model")
    assert found["scores"] == ("", "")


def test_commands_say_the_data_folder_where_they_would_not_find_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SFAL_DATA", raising=False)
    for data_dir, words in [
        ("sfal-data", ""),
        ("my data", " --data-dir 'my data'"),
    ]:
        manifest().save(Path(data_dir) / NAME)
        assert stages(Path(data_dir))["scores"][1] == f"sfal score --source {NAME}{words}"
    monkeypatch.setenv("SFAL_DATA", "my data")
    assert stages(Path("my data"))["scores"][1] == f"sfal score --source {NAME}"
    assert stages(Path("sfal-data"))["scores"][1].endswith(" --data-dir sfal-data")


def test_a_source_that_neuronpedia_does_not_know_waits_for_labels(tmp_path):
    replace(manifest(), source=SourceRecord(NAME)).save(tmp_path / NAME)
    given = f"--data-dir {tmp_path}"
    assert stages(tmp_path)["explanations"] == (
        "",
        f"`sfal embeddings all --source {NAME} --explanations FILE {given}` for your own labels, or "
        f"`sfal explain {NAME} {given}` for SFAL's",
    )


def test_a_corpus_that_is_counted_to_its_end_is_to_be_divided(tmp_path):
    before = replace(manifest(n_docs=100), source=SourceRecord(NAME))
    before.save(tmp_path / NAME)
    arguments = ["explain", NAME, "--data-dir", str(tmp_path)]
    explained = CliRunner().invoke(sfal, arguments)
    assert "with --examples 2000" in told(explained.exception)
    replace(before, corpus_ended_at=10).save(tmp_path / NAME)
    said = (
        "all 10 documents of its corpus are counted: count again into another --data-dir with "
        "--n-docs 7 --examples 3, or take a longer --corpus"
    )
    explained = CliRunner().invoke(sfal, arguments)
    assert said in told(explained.exception)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (1, "take a longer --corpus"),
        (2, "--n-docs 1 --examples 1,"),
        (20, "--n-docs 14 --examples 6,"),
        (9000, "--n-docs 7000 --examples 2000,"),
    ],
)
def test_a_short_corpus_is_divided_by_its_length(n, words):
    assert words in told_hint(hint_to_divide(n))


def test_a_stopped_run_says_how_many_documents_it_has_counted(tmp_path):
    manifest(n_docs=100).save(tmp_path / NAME)
    found, missing = stages(tmp_path)["counts"]
    assert found == "30 windows of 10 documents, of 100"
    assert missing == "the same `sfal cooc` continues it"


def test_a_run_whose_documents_are_all_too_short_has_no_windows_yet(tmp_path):
    part = Part("part-000000.parquet", "0" * 64, 0, 2, Counts(2, windows=0), "")
    Manifest(SOURCE, n_features=4, settings={}, n_docs=2, parts=(part,)).save(tmp_path / NAME)
    found, missing = stages(tmp_path)["counts"]
    assert found == "no window yet: none of 2 documents is long enough"
    assert "smaller --k" in missing


def test_nothing_is_missing_from_a_complete_source(tmp_path):
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


def test_all_sets_of_labels_are_listed(tmp_path):
    folder = tmp_path / NAME
    features = np.arange(2, dtype=np.uint32)
    manifest().save(folder)
    write_explanations(folder, make_table(features, [("a", "t", "e"), ("b", "t", "e")]), {})
    for stem in ("t_e", "t_first-word"):
        path = folder / "org" / "model" / f"{stem}_embeddings.parquet"
        write_vectors(path, features, np.eye(2, dtype=np.float32), {})
    found = stages(tmp_path)["explanations"][0]
    assert found == "of 2 features: t by e; also embedded: t_first-word"


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


@pytest.mark.parametrize("name", [NAME, "mine", "a/b/c"])
def test_inside_a_source_its_own_status_is_shown(tmp_path, monkeypatch, name):
    root = tmp_path / "data"
    replace(manifest(), source=SourceRecord(name)).save(root / name)
    manifest().save(root / name / "runs" / "k64")
    manifest().save(root / "other" / "source")
    shown = []
    for here in (root / name, root / name / "runs" / "k64"):
        monkeypatch.chdir(here)
        shown.append(CliRunner().invoke(sfal, ["status", "."]).output)
    assert shown[0].splitlines()[0] == name
    assert f"sfal score --source {name} --data-dir {root}\n" in shown[0]
    assert "other" not in shown[0]
    assert shown[0] == shown[1]


def test_inside_a_source_without_a_manifest_its_name_is_the_last_two_parts(tmp_path, monkeypatch):
    folder = tmp_path / "data" / NAME
    folder.mkdir(parents=True)
    write_explanations(folder, make_table(np.arange(1, dtype=np.uint32), [("a", "t", "e")]), {})
    monkeypatch.chdir(folder)
    assert CliRunner().invoke(sfal, ["status", "."]).output.splitlines()[0] == NAME


def test_an_empty_tree_says_how_to_begin(tmp_path):
    result = CliRunner().invoke(sfal, ["status", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "sfal cooc gemma" in result.output
