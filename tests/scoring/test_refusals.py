"""What cannot be scored is refused by name."""

import numpy as np
import pandas as pd
import pytest

from scoring.definitions import expected_ndcg
from scoring.published_cases import histogram, write_npz, write_pickle, write_source
from sfal.errors import InvalidInputError, MissingError, SfalError
from sfal.scoring.driver import score_selection
from sfal.scoring.score import score_source
from sfal.scoring.selection import Selection, select_sources
from sfal.scoring.settings import ScoreSettings

ALL = Selection()


def refusal(tmp_path, selection=ALL, settings=None):
    with pytest.raises(SfalError) as caught:
        score_selection(tmp_path, selection, settings)
    return str(caught.value)


def test_counts_that_contradict_the_number_of_windows_are_refused_by_name(tmp_path):
    folder, fired, _ = write_source(tmp_path)
    write_npz(folder, histogram(fired), 17)
    message = refusal(tmp_path)
    assert "cooccurrences.npz" in message
    assert "17" in message


@pytest.mark.parametrize(("i", "j", "value"), [(2, 3, 39), (3, 2, -1), (2, 3, 0), (4, 4, 41)])
def test_impossible_counts_are_refused_by_name(tmp_path, i, j, value):
    folder, fired, _ = write_source(tmp_path)
    counts = histogram(fired)
    counts[i, j] = value
    write_npz(folder, counts, 40)
    assert "cooccurrences.npz" in refusal(tmp_path)


def test_two_histograms_are_an_error_that_names_both(tmp_path):
    folder, _, _ = write_source(tmp_path)
    (npz,) = folder.glob("*.npz")
    (folder / "another_cooccurrences_topk.npz").write_bytes(npz.read_bytes())
    message = refusal(tmp_path)
    assert npz.name in message
    assert "another_cooccurrences_topk.npz" in message


def test_a_histogram_without_windows_is_scored_with_the_setting(tmp_path):
    folder, fired, vectors = write_source(tmp_path)
    write_npz(folder, histogram(fired), None)
    assert refusal(tmp_path).endswith("does not state how many windows it counts; give n_windows")
    (scores,) = score_selection(tmp_path, ALL, ScoreSettings(n_windows=40)).scores
    np.testing.assert_allclose(
        scores.embeddings[0].ndcg, expected_ndcg(fired, vectors, 1023), rtol=1e-9
    )


def test_embeddings_of_a_wider_sae_are_refused(tmp_path):
    folder, _, vectors = write_source(tmp_path)
    write_pickle(folder, [*range(11), 900], vectors)
    assert "feature 900, the counts have 12 features" in refusal(tmp_path)


def test_explanations_of_another_source_are_refused(tmp_path):
    folder, _, vectors = write_source(tmp_path)
    write_pickle(folder, range(12), vectors, layer=9)
    message = refusal(tmp_path)
    assert "another source, 9-gemmascope-res-16k" in message


def test_explanations_of_several_sources_are_refused(tmp_path):
    folder, _, vectors = write_source(tmp_path)
    ids = ["0-gemmascope-res-16k"] * 11 + ["9-gemmascope-res-16k"]
    path = write_pickle(folder, range(12), vectors)
    frame = pd.read_pickle(path)
    frame["layer"] = ids
    frame.to_pickle(path)
    assert "several sources, 0-gemmascope-res-16k, 9-gemmascope-res-16k" in refusal(tmp_path)


def test_embeddings_in_any_order_are_those_of_their_features(tmp_path):
    folder, fired, vectors = write_source(tmp_path, missing=(3, 11))
    features = [i for i in range(12) if i not in (3, 11)][::-1]
    write_pickle(folder, features, vectors[features])
    (scores,) = score_selection(tmp_path, ALL).scores
    np.testing.assert_allclose(
        scores.embeddings[0].ndcg, expected_ndcg(fired, vectors, 1023), rtol=1e-9
    )
    assert scores.explanations[4] == "sense of 4"


def test_vectors_that_are_not_finite_are_refused_with_the_feature(tmp_path):
    folder, _, vectors = write_source(tmp_path)
    vectors[7, 2] = np.nan
    write_pickle(folder, range(12), vectors)
    assert "feature 7 is not finite" in refusal(tmp_path)


def test_a_feature_that_occurs_twice_is_refused(tmp_path):
    folder, _, vectors = write_source(tmp_path)
    write_pickle(folder, [0, 1, 2, 2, *range(4, 12)], vectors)
    assert "feature 2 occurs twice" in refusal(tmp_path)


@pytest.mark.parametrize("field", [{"top_n": 0}, {"n_windows": 0}, {"top_n": -5}])
def test_settings_below_1_are_refused(field):
    with pytest.raises(InvalidInputError, match="at least 1"):
        ScoreSettings(**field)


def test_a_source_whose_files_vanish_is_an_error_not_a_crash(tmp_path):
    folder, _, _ = write_source(tmp_path)
    (source,) = select_sources(tmp_path, ALL).sources
    for path in folder.rglob("*.pkl"):
        path.unlink()
    with pytest.raises(MissingError, match="cannot read"):
        score_source(source)
