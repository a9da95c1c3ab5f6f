"""`sfal explain`: examples on disk become explanations that are embedded like any other."""

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_embedders as models
from sfal.cli.hints import told
from sfal.cli.main import sfal
from sfal.errors import ArtifactError, InvalidInputError, LockedError
from sfal.explanations import from_examples as stage
from sfal.explanations.from_examples import explain_source
from sfal.explanations.source_explanations import holds_own_explanations
from sfal.io.lock import folder_lock
from sfal.store.embeddings import find_vectors
from sfal.store.examples import Example, write_examples
from sfal.store.explanations import (
    explanations_metadata,
    make_table,
    read_explanations,
    write_explanations,
)
from sfal.store.manifest import Counts, Manifest, Part
from sfal.store.records import SourceRecord
from sfal.store.source_folder import SourceFolder

NAME = "lm/3-mine-res"
TOKENS = {0: ["Paris", "paris", "London"], 2: [",", ","], 5: ["run"]}


def gather(data_dir, name=NAME, tokens=TOKENS, documents=(10, 30)):
    """Write examples of some features, and a manifest with ten counted documents."""
    folder = data_dir / name
    part = Part("part-000000.parquet", "0" * 64, 0, 10, Counts(10, windows=30), "")
    about = SourceRecord(name)
    Manifest(source=about, n_features=8, settings={}, n_docs=10, parts=(part,)).save(folder)
    rows = [
        Example(feature, rank, 1.0, documents[0] + rank, 3, token, "a", "b")
        for feature, words in tokens.items()
        for rank, token in enumerate(words)
    ]
    facts = {"corpus": "pile", "documents": list(documents), "n_features": 8}
    write_examples(folder, rows, facts)
    return folder


def run(data_dir, *words):
    return CliRunner().invoke(sfal, [*map(str, words), "--data-dir", str(data_dir)])


def rows(folder):
    table = read_explanations(folder)
    return {
        row["feature"]: (row["explanation"], row["type"], row["explainer"])
        for row in table.to_pylist()
    }


def test_labels_are_explanations_marked_as_what_they_are(tmp_path):
    folder = gather(tmp_path)
    result = run(tmp_path, "explain", NAME)
    assert result.exit_code == 0, result.output
    assert result.output == (
        f"{NAME}: 3 of 8 features labelled by their top tokens in documents 10 to 29 of pile, "
        "5 never fire there\n"
    )
    assert rows(folder) == {
        0: ("Paris, London", "top-tokens", "sfal"),
        2: ("punctuation ,", "top-tokens", "sfal"),
        5: ("run", "top-tokens", "sfal"),
    }
    told = explanations_metadata(read_explanations(folder))
    assert told["origin"]["examples"]["documents"] == [10, 30]
    assert not [path.name for path in folder.iterdir() if path.is_dir()]


def test_status_says_what_to_do_next_and_then_the_kind(tmp_path):
    folder = gather(tmp_path)
    assert f"next: sfal explain {NAME} --data-dir {tmp_path}\n" in run(tmp_path, "status").output
    run(tmp_path, "explain", NAME)
    assert "of 3 features: top-tokens by sfal" in run(tmp_path, "status").output
    (folder / "explanations.parquet").unlink()
    (folder / "examples.parquet").unlink()
    status = run(tmp_path, "status").output
    assert f"`sfal embeddings all --source {NAME} --explanations FILE" in status
    assert f"or `sfal explain {NAME}" in status


def test_a_second_call_changes_nothing_and_another_number_of_words_changes_the_labels(tmp_path):
    folder = gather(tmp_path)
    explain_source(SourceFolder.open(tmp_path, NAME))
    before = (folder / "explanations.parquet").stat().st_mtime_ns
    assert explain_source(SourceFolder.open(tmp_path, NAME)).unchanged
    assert (folder / "explanations.parquet").stat().st_mtime_ns == before
    assert not explain_source(SourceFolder.open(tmp_path, NAME), 1).unchanged
    assert rows(folder)[0][0] == "Paris"


def test_explanations_of_another_kind_are_replaced_only_by_force(tmp_path):
    folder = gather(tmp_path)
    table = make_table(np.array([1], np.uint32), [("cities", "oai_token-act-pair", "gpt-4o-mini")])
    write_explanations(folder, table, {})
    before = (folder / "explanations.parquet").read_bytes()
    result = run(tmp_path, "explain", NAME)
    assert result.exit_code == 1
    assert isinstance(result.exception, InvalidInputError)
    assert "gpt-4o-mini (oai_token-act-pair)" in str(result.exception)
    assert "--force" in told(result.exception)
    assert (folder / "explanations.parquet").read_bytes() == before
    assert run(tmp_path, "explain", NAME, "--force").exit_code == 0
    assert rows(folder)[0][1:] == ("top-tokens", "sfal")


def test_missing_examples_name_the_command_and_the_other_sources_are_done(tmp_path):
    folder = gather(tmp_path)
    result = run(tmp_path, "explain", "lm/9-none-res", NAME)
    assert result.exit_code == 1
    assert "--examples 2000" in told(result.exception)
    assert 0 in rows(folder)
    assert not (tmp_path / "lm" / "9-none-res").exists()


def test_examples_from_documents_that_were_counted_since_are_refused(tmp_path):
    folder = gather(tmp_path, documents=(9, 30))
    with pytest.raises(ArtifactError, match=r"documents 9 to 29.*up to 9 have been counted"):
        explain_source(SourceFolder.open(tmp_path, NAME))
    assert not (folder / "explanations.parquet").exists()


def test_empty_examples_and_those_without_origin_are_refused(tmp_path):
    gather(tmp_path, tokens={})
    with pytest.raises(ArtifactError, match="no feature fires in documents 10 to 29"):
        explain_source(SourceFolder.open(tmp_path, NAME))
    write_examples(tmp_path / NAME, [], {})
    with pytest.raises(ArtifactError, match="which documents"):
        explain_source(SourceFolder.open(tmp_path, NAME))


def test_a_failure_leaves_the_earlier_labels(tmp_path, monkeypatch):
    folder = gather(tmp_path)
    explain_source(SourceFolder.open(tmp_path, NAME))
    before = sorted((p.name, p.read_bytes()) for p in folder.iterdir())
    monkeypatch.setattr(stage, "make_table", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explain_source(SourceFolder.open(tmp_path, NAME), 1)
    assert sorted((p.name, p.read_bytes()) for p in folder.iterdir()) == before


def test_a_locked_source_is_refused_at_once(tmp_path):
    folder = gather(tmp_path)
    with folder_lock(folder / "export"), folder_lock(folder), pytest.raises(LockedError):
        explain_source(SourceFolder.open(tmp_path, NAME))
    with folder_lock(folder):  # counting may continue at the same time
        explain_source(SourceFolder.open(tmp_path, NAME))


def test_labels_are_embedded_like_any_explanation_and_kept_by_all(tmp_path):
    folder = gather(tmp_path)
    explain_source(SourceFolder.open(tmp_path, NAME))
    model = models.embedder(tmp_path / "embedder")
    for command in ("embed", "all"):
        result = run(tmp_path, "embeddings", command, "--source", NAME, "--embedding-model", model)
        assert result.exit_code == 0, result.output
    assert list(find_vectors(folder)) == [(f"local/{model.name}", "top-tokens_sfal")]
    assert holds_own_explanations(SourceFolder.open(tmp_path, NAME))
    assert rows(folder)[0][1:] == ("top-tokens", "sfal")


def test_the_help_says_what_such_a_score_does_not_show():
    text = " ".join(CliRunner().invoke(sfal, ["explain", "--help"]).output.split())
    assert "same SAE on the same kind of text" in text
    assert "not whether an independent explanation fits" in text
