"""Scores say how sure they are where windows are known by document, and why not elsewhere."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import sfal
from scoring.builders import write_our_source, write_our_vectors
from scoring.labelled_case import NAME, topical, write_labelled
from scoring.published_cases import histogram, write_npz
from sfal.cli.main import sfal as command_line
from sfal.errors import InvalidInputError
from sfal.scoring.feature import view_feature
from sfal.scoring.reliability.features import feature_reliability
from sfal.scoring.reliability.replicate_tables import read_replicates
from sfal.scoring.selection import Selection, select_sources

COLUMNS = ("se", "low", "high", "ceiling", "sfal_corrected")


def numbers(table, name):
    return table[name].to_pandas().to_numpy()


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("scored")
    folder = write_labelled(data_dir)
    return data_dir, folder, sfal.score(data_dir)


def test_every_scored_feature_has_an_interval_around_its_score(scored):
    _, _, table = scored
    score, low, high, se = (numbers(table, name) for name in ("sfal", "low", "high", "se"))
    scored_ones = np.array(table["status"].to_pylist()) == "scored"
    assert scored_ones.sum() == 79  # a leaked label does not count
    assert (se[scored_ones] > 0).all()
    assert np.isnan(se[~scored_ones]).all()
    np.testing.assert_allclose(high - score, 1.96 * se)
    np.testing.assert_allclose(score - low, 1.96 * se)
    ceiling, corrected = numbers(table, "ceiling"), numbers(table, "sfal_corrected")
    known = ceiling >= 0.05
    np.testing.assert_allclose(corrected[known], (score / np.sqrt(ceiling))[known])


def test_arrays_with_documents_give_the_same_bits_as_the_data_on_disk(scored):
    data_dir, _, table = scored
    fired, _, _ = topical()
    (source,) = select_sources(data_dir, Selection()).sources
    from sfal.scoring.inputs import read_embeddings

    matrix = read_embeddings(source, source.embeddings[0], len(fired)).matrix
    counted = sfal.count_features(fired.T, 1)
    found = sfal.score_features(counted, matrix, documents=np.arange(fired.shape[1]))
    for name in COLUMNS:
        np.testing.assert_array_equal(numbers(found, name), numbers(table, name), err_msg=name)
    assert sfal.score_features(counted, matrix)["se"].null_count == len(fired)


def test_replicates_are_kept_beside_the_scores_and_give_the_same_errors(scored):
    _, folder, table = scored
    ((kept,), facts) = read_replicates(folder)
    assert facts["source"] == NAME
    assert kept.halves.shape == (8, 2, 80)
    spread = np.sqrt(((kept.halves[:, 0] - kept.halves[:, 1]) ** 2).mean(axis=0) / 2)
    shrinkage = (numbers(table, "se") / spread)[~np.isnan(spread)]
    np.testing.assert_allclose(shrinkage, shrinkage[0])


def test_sets_of_embeddings_have_the_errors_that_they_have_alone(tmp_path):
    folder = write_labelled(tmp_path)
    other = np.random.default_rng(1).standard_normal((80, 5)).astype(np.float32)
    other[7] = 0
    features = [i for i in range(80) if i != 7]
    write_our_vectors(folder, features, other[features], None, embedder="local/other")
    table = sfal.score(tmp_path)
    for name in ("local/other", "Qwen/Qwen3-Embedding-0.6B"):
        alone = sfal.score(tmp_path, embeddings=[name])
        together = table.filter(np.array(table["embedding"].to_pylist()) == name)
        assert together.equals(alone)
    sfal.score(tmp_path)
    assert len(read_replicates(folder)[0]) == 2


def test_without_reliability_the_columns_are_empty_and_no_replicates_stay(tmp_path):
    folder = write_labelled(tmp_path)
    sfal.score(tmp_path)
    table = sfal.score(tmp_path, reliability=False)
    assert all(table[name].null_count == len(table) for name in COLUMNS)
    assert not (folder / "replicates.parquet").exists()
    assert pq.read_table(folder / "scores.parquet")["se"].null_count == 80


def test_a_sentence_says_why_there_are_no_standard_errors(tmp_path):
    folder, fired, _ = write_our_source(tmp_path)
    words = ["score", "--data-dir", str(tmp_path), "--output", str(tmp_path / "o.csv")]
    few = CliRunner().invoke(command_line, words).stdout
    assert "no standard errors: 40 documents have windows" in few
    (source,) = select_sources(tmp_path, Selection()).sources
    assert "40 documents" in view_feature(source, 4).no_reliability
    (folder / "manifest.json").unlink()
    write_npz(folder, histogram(fired), 40)
    assert "no standard errors: a histogram" in CliRunner().invoke(command_line, words).stdout
    left_out = CliRunner().invoke(command_line, [*words, "--no-reliability"]).stdout
    assert "no standard errors: it was left out" in left_out


def test_the_summary_and_the_feature_show_how_sure_scores_are(scored):
    data_dir, _, table = scored
    words = ["score", "--data-dir", str(data_dir), "--output", str(data_dir / "o.csv")]
    assert " ± 0." in CliRunner().invoke(command_line, words).stdout
    shown = CliRunner().invoke(command_line, ["feature", NAME, "5", "--data-dir", str(data_dir)])
    low, high = (numbers(table, name)[5] for name in ("low", "high"))
    assert f"95 % interval {low:.3f} to {high:.3f}" in shown.stdout
    (source,) = select_sources(data_dir, Selection()).sources
    sure = view_feature(source, 5).reliability
    assert (sure.low, sure.high) == (low, high)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (np.zeros(5, int), r"documents has shape \(5,\)"),
        (np.zeros(600), "dtype float64"),
        (np.full(600, -1), "from 0"),
        (np.arange(600) % 10, "10 documents have windows"),
    ],
)
def test_documents_that_do_not_fit_are_refused(documents, message):
    fired, _, vectors = topical()
    with pytest.raises(InvalidInputError, match=message):
        sfal.score_features(sfal.count_features(fired.T, 1), vectors, documents=documents)


def test_feature_reliability_is_what_the_columns_hold(scored):
    data_dir, _, table = scored
    from sfal.scoring.score import score_source

    (source,) = select_sources(data_dir, Selection()).sources
    (one,) = score_source(source).embeddings
    found = feature_reliability(one.sfal, one.replicates)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), numbers(table, name))
