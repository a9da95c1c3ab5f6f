"""Scores by other measures, metrics and windows are correlated with the usual ones."""

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr

from scoring.labelled_case import NAME, topical, write_labelled
from scoring.published_cases import histogram, write_npz
from sfal import score_features
from sfal._core import Occurrences
from sfal.cli.main import sfal
from sfal.errors import CorruptError, MissingError
from sfal.scoring.selection import Selection, select_sources
from sfal.scoring.sensitivity import METRICS, _coarsen, source_sensitivity
from sfal.scoring.tables.sensitivity_table import read_sensitivity
from sfal.store.layout import SENSITIVITY


def sensitivity(data_dir, measures=("phi", "jaccard")):
    (source,) = select_sources(data_dir, Selection()).sources
    return source_sensitivity(source, measures)


def test_the_usual_choice_agrees_with_itself_and_others_as_spearman_says(tmp_path):
    write_labelled(tmp_path)
    found = sensitivity(tmp_path)
    fired, _, _ = topical()
    usual, other, *longer = found.choices
    assert (usual.measure, usual.factor, usual.n_windows) == ("phi", 1, fired.shape[1])
    assert usual.correlations["ndcg"] == pytest.approx(1)
    from sfal.scoring.inputs import read_embeddings

    (source,) = select_sources(tmp_path, Selection()).sources
    matrix = read_embeddings(source, source.embeddings[0], len(fired)).matrix
    counted = Occurrences(len(fired))
    windows, features = np.nonzero(fired.T)
    indptr = np.searchsorted(windows, np.arange(fired.shape[1] + 1)).astype(np.int64)
    counted.extend(indptr, features.astype(np.uint32))
    scores = [score_features(counted, matrix, measure=m).to_pandas() for m in ("phi", "jaccard")]
    for metric in METRICS:
        expected = spearmanr(scores[0]["ndcg"], scores[1][metric], nan_policy="omit").statistic
        assert other.correlations[metric] == pytest.approx(expected)
    # Every document has one window, so there are no longer ones.
    assert [choice.n_windows for choice in longer] == [0] * 4
    assert all(np.isnan(value) for value in longer[0].correlations.values())


def test_windows_of_one_document_are_joined_and_what_is_left_is_dropped():
    occurrences = Occurrences(7)
    occurrences.extend(np.arange(8), np.arange(7, dtype=np.uint32))
    documents = np.array([4, 4, 4, 9, 1, 1, 1], dtype=np.uint64)
    joined = _coarsen(occurrences, documents, 2)
    assert joined.n_windows == 2
    indptr, indices = joined.rows(0, 2)
    assert [w.tolist() for w in np.split(indices, indptr[1:-1])] == [[0, 1], [4, 5]]


def test_a_histogram_is_compared_at_its_own_windows_with_a_note(tmp_path):
    folder = write_labelled(tmp_path)
    fired, _, _ = topical()
    (folder / "manifest.json").unlink()
    write_npz(folder, histogram(fired), fired.shape[1])
    found = sensitivity(tmp_path)
    assert [choice.factor for choice in found.choices] == [1, 1]
    assert "cannot be made coarser" in str(found.notes[-1])


def test_the_command_shows_one_table(tmp_path):
    write_labelled(tmp_path)
    words = ["sensitivity", NAME, "--measures", "phi", "lift", "--data-dir", str(tmp_path)]
    result = CliRunner().invoke(sfal, [*words, "--output", str(tmp_path / "s.csv")])
    assert result.exit_code == 0, result.output
    assert result.stdout.count("lift") == 3
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 1 + 6 * len(METRICS)
    rows, facts = read_sensitivity(tmp_path / NAME)
    assert len(rows) == 6 * len(METRICS)
    assert facts["stem"] == "oai_token-act-pair_gpt-4o-mini"
    wrong = CliRunner().invoke(sfal, [*words[:3], "dice", *words[5:]])
    assert "same order as jaccard" in str(wrong.exception)


@pytest.mark.parametrize("content", [b"", b"PAR1 not a table PAR1"])
def test_a_damaged_table_is_refused(tmp_path, content):
    (tmp_path / SENSITIVITY).write_bytes(content)
    with pytest.raises(CorruptError, match="cannot be read"):
        read_sensitivity(tmp_path)


def test_a_table_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingError):
        read_sensitivity(tmp_path)
