"""Planted errors are found, and nothing is found where nothing is."""

from dataclasses import replace

import numpy as np
import pytest

import sfal
from sfal import _core
from sfal.errors import InvalidInputError
from sfal.stats.controls import controls
from sfal.stats.nulls import exchange_pairs, label_numbers, permute_occurrences


def occurrences(fired):
    found = _core.Occurrences(len(fired))
    windows, features = np.nonzero(fired.T)
    indptr = np.searchsorted(windows, np.arange(fired.shape[1] + 1)).astype(np.int64)
    found.extend(indptr, features.astype(np.uint32))
    return found


def topics(n_features=300, n_windows=1500, n_topics=15, seed=0):
    """Features that fire on topics, and labels that name these."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, n_topics, n_features)
    told = rng.random((n_topics, n_windows)) < 0.1
    fired = rng.random((n_features, n_windows)) < np.where(told[topic], 0.4, 0.02)
    vectors = np.eye(n_topics)[topic] + 0.1 * rng.standard_normal((n_features, n_topics))
    return fired, vectors.astype(np.float32)


def test_exchanged_labels_are_found_and_meaningless_data_are_at_chance():
    fired, vectors = topics()
    fired[3], fired[4], vectors[5] = False, True, 0
    found = sfal.controls(occurrences(fired), vectors, top_n=100, share=0.1)
    planted = found.planted
    assert planted.n == 297
    assert planted.n_wrong == 30
    assert planted.auc > 0.9
    assert planted.in_ten_best > 0.3  # of 20 labels that name the same topic
    assert planted.low_p_right > 0.6
    assert planted.low_p_wrong < 0.15
    assert found.median > 0.4
    assert found.at_chance
    assert abs(found.permuted_occurrences) < 0.03
    assert abs(found.random_labels) < 0.03


def test_controls_repeat_and_depend_on_the_seed():
    fired, vectors = topics(60, 300)
    given = occurrences(fired)
    assert controls(given, vectors, top_n=20) == controls(given, vectors, top_n=20)
    assert controls(given, vectors, top_n=20, seed=1) != controls(given, vectors, top_n=20)


def test_a_signal_in_meaningless_data_would_be_told():
    fired, vectors = topics(60, 300)
    found = controls(occurrences(fired), vectors, top_n=20)
    assert found.at_chance
    assert not replace(found, random_labels=found.chance + found.tolerance).at_chance


def test_a_histogram_has_no_windows_to_permute():
    fired, vectors = topics(40, 200)
    counts = occurrences(fired).histogram()
    found = controls(_core.Histogram.from_counts(counts, 200), vectors, top_n=20)
    assert np.isnan(found.permuted_occurrences)
    assert found.at_chance
    assert found.table(labels="x").to_pylist()[0]["labels"] == "x"


def test_blocks_of_rows_change_nothing(monkeypatch):
    fired, vectors = topics(60, 300)
    whole = controls(occurrences(fired), vectors, top_n=20)
    monkeypatch.setattr("sfal.stats.rankings._BLOCK_BYTES", 16 * 20 * 7)
    assert controls(occurrences(fired), vectors, top_n=20) == whole


def test_all_labels_equal_have_no_wrong_ones():
    fired, _ = topics(40, 200)
    found = controls(occurrences(fired), np.ones((40, 3)), top_n=20)
    assert found.planted.n_wrong == 0
    assert np.isnan(found.planted.auc)
    assert found.median == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_pairs_are_exchanged(n, share):
    order = exchange_pairs(n, share, seed=3)
    np.testing.assert_array_equal(order[order], np.arange(n))
    assert (order != np.arange(n)).sum() == 2 * min(n // 2, max(1, round(share * n / 2)))


@pytest.mark.parametrize("n_windows", [1, 8, 77])
def test_permuted_occurrences_keep_counts_and_nothing_else(n_windows, monkeypatch):
    monkeypatch.setattr("sfal.stats.nulls._BLOCK_BYTES", 8 * 30 * 3)  # several blocks
    rng = np.random.default_rng(0)
    given = occurrences(np.repeat(rng.random((1, n_windows)) < 0.5, 30, axis=0))
    permuted = permute_occurrences(given)
    assert permuted.n_windows == n_windows
    np.testing.assert_array_equal(permuted.counts(), given.counts())
    if n_windows == 77:
        assert (permuted.histogram() != given.histogram()).sum() > 700


def test_equal_vectors_have_equal_numbers():
    vectors = np.array([[1, 0.0], [2, 0], [1, -0.0], [2, 1]], np.float32)
    assert label_numbers(vectors).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"share": 0.0}, "share is 0.0"),
        ({"embeddings": np.ones((3, 2))}, r"embeddings has shape \(3, 2\)"),
        ({"explained": [True]}, r"explained has shape \(1,\)"),
        ({"explained": np.arange(40) < 3}, "3 features fire in some windows"),
        ({"embeddings": np.full((40, 2), np.nan)}, "NaN|nan|finite"),
    ],
)
def test_what_cannot_be_controlled_is_refused(change, said):
    fired, vectors = topics(40, 200)
    with pytest.raises(InvalidInputError, match=said):
        controls(occurrences(fired), **{"embeddings": vectors, "top_n": 20, **change})
