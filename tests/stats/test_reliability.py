"""How sure the median of a source is, from replicates."""

import numpy as np
import pytest

from sfal.errors import InvalidInputError
from sfal.stats.reliability import source_reliability
from stats.replicate_cases import noisy, replicates, split


def test_the_median_of_a_source():
    rng = np.random.default_rng(3)
    medians, errors = [], []
    for _ in range(60):
        truth = np.linspace(0, 1, 101)
        shared = 0.05 * 4 * rng.standard_normal((16, 1))  # moves the whole source
        groups = truth + shared + 0.4 * rng.standard_normal((16, 101))
        halves, quarters = split(groups)
        found = source_reliability(groups.mean(axis=0), replicates(halves, quarters))
        medians.append(found.median)
        errors.append(found.se)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(medians), rel=0.3)


def test_reliability_curve_and_clusters_of_a_source():
    rng = np.random.default_rng(4)
    _, sfal, halves, quarters = noisy(rng, 2000, noise=0.1)
    clusters = np.arange(2000) // 10
    found = source_reliability(sfal, replicates(halves, quarters), clusters, 200)
    # True variance .04, error variance of a half .02, of all .01.
    assert found.split_half == pytest.approx(0.04 / 0.06, abs=0.03)
    assert found.reliability == pytest.approx(0.04 / 0.05, abs=0.03)
    assert found.curve == pytest.approx((0.4, 0.4, 0.4), abs=0.03)
    assert found.curve[2] == found.median == pytest.approx(np.median(sfal))
    assert not found.still_rising
    assert found.se_features == pytest.approx(1.2533 * sfal.std() / np.sqrt(2000), rel=0.25)
    assert found.n_features == 2000
    assert np.isnan(source_reliability(sfal, replicates(halves, quarters)).se_features)


def test_features_that_move_together_make_the_median_less_sure():
    rng = np.random.default_rng(5)
    clusters = np.arange(1000) // 20
    sfal = rng.normal(0.4, 0.1, 50)[clusters] + rng.normal(0, 0.05, 1000)
    halves = np.broadcast_to(sfal, (8, 2, 1000)) + rng.normal(0, 0.1, (8, 2, 1000))
    given = replicates(halves, halves)
    alone = source_reliability(sfal, given, np.arange(1000), 300).se_features
    assert source_reliability(sfal, given, clusters, 300).se_features > 2 * alone


def test_a_median_that_still_rises_is_told():
    sfal = np.full(9, 0.4)
    halves = np.broadcast_to(0.37, (8, 2, 9))
    assert source_reliability(sfal, replicates(halves, halves)).still_rising
    halves = np.broadcast_to(0.39, (8, 2, 9))
    assert not source_reliability(sfal, replicates(halves, halves)).still_rising


@pytest.mark.parametrize("sfal", [-0.001, 0.001])
def test_a_median_at_chance_does_not_rise_for_a_change_that_is_noise(sfal):
    noise = np.resize([-0.01, 0.01], (8, 1, 9))
    halves = np.concatenate([noise, -noise], axis=1)
    found = source_reliability(np.full(9, sfal), replicates(halves - 0.0012, halves - 0.0012))
    assert found.curve[1] < found.median - 0.05 * abs(found.median)
    assert found.median - found.curve[1] < found.se
    assert not found.still_rising


@pytest.mark.parametrize(("error", "rises"), [(0.01, True), (0.03, False)])
def test_a_rise_within_two_standard_errors_is_not_told(error, rises):
    noise = np.resize([-error, error], (8, 1, 9))
    halves = 0.3 + np.concatenate([noise, -noise], axis=1)
    found = source_reliability(np.full(9, 0.35), replicates(halves, halves))
    assert found.curve[2] - found.curve[1] == pytest.approx(0.05)
    assert found.se == pytest.approx(error * np.sqrt(2))  # below 0.05 in both cases
    assert found.still_rising is rises


def test_a_source_without_scores():
    halves = np.full((8, 2, 3), np.nan)
    found = source_reliability(np.full(3, np.nan), replicates(halves, halves))
    assert found.n_features == 0
    assert np.isnan(found.median)
    assert not found.still_rising


def test_shapes_are_checked():
    right = np.zeros((8, 2, 3))
    with pytest.raises(InvalidInputError, match=r"halves has shape \(8, 2, 3\), not \(8, 2, 4\)"):
        source_reliability(np.zeros(4), replicates(right, right))
