"""``sfal cooc import`` and what comes after it, without a model of the language."""

import numpy as np
import pytest
from click.testing import CliRunner

import sfal
from collect.imported import cases
from sfal.cli.main import sfal as command
from sfal.store.manifest import Manifest

NAME = "lm/3-theirs"


def run(*words):
    return CliRunner().invoke(command, [*map(str, words)])


@pytest.fixture
def path(tmp_path):
    return cases.parquet(tmp_path / "f.parquet", cases.firings(1, 20, 40))


def test_firings_are_imported_labelled_and_scored(tmp_path, path):
    data = tmp_path / "data"
    options = "--k", 4, "--features", 40, "--n-docs", 20, "--document-length", 60
    done = run("cooc", "import", path, "--source", NAME, *options, "--data-dir", data)
    assert done.exit_code == 0, done.output
    assert "20 documents" in done.output
    assert f"sfal embeddings all --source {NAME} --explanations FILE" in done.output
    assert "Note" not in done.output
    again = run("cooc", "import", path, "--source", NAME, *options, "--data-dir", data)
    assert "imported before" in again.output
    status = run("status", data)
    assert f"next: sfal embeddings all --source {NAME} --explanations FILE" in status.output
    assert run("verify", data).exit_code == 0
    occurrences = sfal.read_occurrences(data / NAME)
    assert occurrences.n_windows == 20 * 15
    assert occurrences.n_features == 40


def test_notes_and_errors_speak_of_options(tmp_path, path):
    done = run("cooc", "import", path, "--source", NAME, "--k", 4, "--data-dir", tmp_path / "data")
    assert done.exit_code == 0, done.output
    for flag in ("--features", "--document-length", "--n-docs"):
        assert flag in done.output
    columns = "document=x"
    done = run(
        "cooc", "import", path, "--source", "lm/4-x", "--columns", columns, "--data-dir", tmp_path
    )
    assert "its columns are document, position, feature, activation" in str(done.exception)


def test_a_name_that_neuronpedia_knows_is_recorded_as_such(tmp_path, path):
    for name, known in (("gemma-2-2b/0-gemmascope-res-16k", True), (NAME, False)):
        settings = sfal.ImportSettings(window_size=4, n_features=40)
        result = sfal.import_firings(path, name, settings, tmp_path / "data")
        found = Manifest.load(result.folder).source.neuronpedia_id
        assert found == (name if known else None)
    settings = sfal.ImportSettings(window_size=4, n_features=40, neuronpedia_id="m/3-s")
    result = sfal.import_firings([path], "lm/9-x", settings, tmp_path / "data")
    assert result.manifest.source.neuronpedia_id == "m/3-s"


def test_imported_firings_are_counted_like_the_same_ones_counted_by_hand(tmp_path):
    rows = cases.firings(4, 12, 10, length=20)
    path = cases.parquet(tmp_path / "f.parquet", rows)
    settings = sfal.ImportSettings(window_size=5, n_features=10, n_docs=12, document_length=20)
    result = sfal.import_firings(path, NAME, settings, tmp_path / "data")
    fires = np.zeros((12 * 20, 10), np.float32)
    for document, position, feature, activation in rows:
        if activation > 0:
            fires[20 * document + position, feature] = 1
    counted = sfal.count_features(fires, window_size=5, document_lengths=[20] * 12)
    found = sfal.read_occurrences(result.folder)
    assert np.array_equal(found.histogram(), counted.histogram())
