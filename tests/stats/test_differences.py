"""Hodges–Lehmann differences, cluster bootstrap, clusters and letters."""

import numpy as np
import pytest

from sfal.stats.bootstrap import resample, weighted_median
from sfal.stats.clusters import label_clusters
from sfal.stats.comparison import compact_letters
from sfal.stats.differences import Shift, hodges_lehmann, shift


def all_means(values):
    i, j = np.triu_indices(len(values))
    return np.median((values[i] + values[j]) / 2)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 11, 80])
def test_hodges_lehmann_is_the_median_of_all_means(n):
    rng = np.random.default_rng(n)
    for values in (rng.standard_normal(n), rng.integers(-2, 3, n) / 8, rng.standard_cauchy(n)):
        assert hodges_lehmann(values) == pytest.approx(all_means(values), rel=1e-12, abs=1e-12)


def test_hodges_lehmann_of_nothing():
    assert np.isnan(hodges_lehmann(np.array([])))


def test_resamples_of_the_histogram_are_those_of_the_values():
    rng = np.random.default_rng(0)
    values, clusters = rng.normal(0.03, 0.2, 60), np.arange(60) // 3
    found = shift(values, clusters, 300, seed=5)
    exact = resample(clusters, lambda w: all_means(np.repeat(values, w.astype(int))), 300, seed=5)
    assert found.value == all_means(values)
    assert found.se == pytest.approx(np.std(exact, ddof=1), rel=0.01)
    assert (found.low, found.high) == pytest.approx(np.quantile(exact, [0.025, 0.975]), abs=1e-3)


def test_features_that_move_together_widen_the_interval():
    rng = np.random.default_rng(1)
    clusters = np.arange(400) // 20
    values = rng.standard_normal(20)[clusters] + 0.3 * rng.standard_normal(400)
    together, alone = shift(values, clusters, 400), shift(values, None, 400)
    assert together.value == alone.value
    assert together.se > 3 * alone.se


def test_intervals_cover_a_shift_of_clustered_features():
    rng = np.random.default_rng(2)
    clusters = np.arange(300) // 5
    covered = 0
    for _ in range(60):
        values = 0.1 + 0.5 * rng.standard_normal(60)[clusters] + 0.3 * rng.standard_normal(300)
        found = shift(values, clusters, 150)
        covered += found.low <= 0.1 <= found.high
    assert covered / 60 >= 0.88


def test_equal_differences_and_a_single_cluster():
    assert shift(np.full(5, 0.25)) == Shift(0.25, 0.25, 0.25, 0.0)
    assert np.isnan(shift(np.array([0.1, 0.2]), np.zeros(2, int)).se)


def test_weighted_median_is_that_of_repeated_values():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, weights = np.sort(rng.standard_normal(9)), rng.integers(0, 4, 9)
        if weights.any():
            wanted = np.median(np.repeat(values, weights))
            assert weighted_median(values, weights.astype(float)) == pytest.approx(wanted)


def test_label_clusters_find_directions_whatever_the_lengths():
    rng = np.random.default_rng(0)
    which = rng.integers(0, 3, 90)
    vectors = np.eye(8, dtype=np.float32)[which] + 0.05 * rng.standard_normal((90, 8))
    vectors *= rng.uniform(0.1, 9, (90, 1))
    vectors[[4, 50]] = 0
    found = label_clusters(vectors.astype(np.float32), 20)
    assert found.min() == 0
    assert set(found) == set(range(found.max() + 1))
    labelled = np.setdiff1d(np.arange(90), [4, 50])
    for cluster in set(found[labelled]):
        assert len(set(which[labelled][found[labelled] == cluster])) == 1
    assert found[4] == found[50]
    assert (found == found[4]).sum() == 2
    np.testing.assert_array_equal(found, label_clusters(vectors.astype(np.float32), 20))


def test_labels_that_are_all_missing_or_equal_form_one_cluster():
    assert set(label_clusters(np.zeros((5, 2), np.float32))) == {0}
    assert set(label_clusters(np.ones((9, 2), np.float32))) == {0}


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ([], ["a", "a", "a", "a"]),
        ([(0, 3)], ["a", "ab", "ab", "b"]),
        ([(0, 2), (0, 3), (1, 3)], ["a", "ab", "bc", "c"]),
        ([(i, j) for i in range(4) for j in range(i)], ["a", "b", "c", "d"]),
    ],
)
def test_letters(pairs, wanted):
    assert compact_letters(differ(4, pairs)) == wanted


def differ(n, pairs):
    matrix = np.zeros((n, n), bool)
    for i, j in pairs:
        matrix[i, j] = matrix[j, i] = True
    return matrix


def test_letters_of_piephos_third_example_and_of_random_tests():
    """Two share a letter if and only if they are not told apart."""
    rng = np.random.default_rng(0)
    cases = [differ(8, [(0, 6), (0, 7), (1, 3), (1, 4), (2, 4)])]
    cases += [
        differ(7, [p for p in np.ndindex(7, 7) if p[0] < p[1] and rng.random() < 0.4])
        for _ in range(40)
    ]
    for matrix in cases:
        letters = compact_letters(matrix)
        assert all(letters)
        for i, j in np.ndindex(matrix.shape):
            if i != j:
                assert bool(set(letters[i]) & set(letters[j])) is not bool(matrix[i, j])
