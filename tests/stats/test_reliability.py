"""Standard errors, ceilings and corrected scores from replicates."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from sfal.errors import InvalidInputError
from sfal.stats.reliability import feature_reliability, source_reliability
from sfal.stats.replicates import Replicates

SIGNS = hadamard(16)


def split(groups):
    """Means of both halves for eight splits of 16 groups, and of two disjoint quarters."""
    halves, quarters = [], []
    for i in range(1, 9):
        a, other = SIGNS[i] > 0, SIGNS[i + 1 if i < 8 else 1] > 0
        halves.append([groups[a].mean(axis=0), groups[~a].mean(axis=0)])
        quarters.append([groups[a & other].mean(axis=0), groups[a & ~other].mean(axis=0)])
    return np.array(halves), np.array(quarters)


def replicates(halves, quarters, agreement=0.5):
    return Replicates(halves, quarters, np.full_like(halves, agreement))


def noisy(rng, n_features, noise=0.1):
    truth = rng.normal(0.4, 0.2, n_features)
    groups = truth + noise * 4 * rng.standard_normal((16, n_features))
    return truth, groups.mean(axis=0), *split(groups)


def test_standard_errors_of_means_are_those_of_all_the_text():
    rng = np.random.default_rng(0)
    truth, sfal, halves, quarters = noisy(rng, 4000)
    found = feature_reliability(sfal, replicates(halves, quarters))
    assert np.sqrt(np.mean(found.se**2)) == pytest.approx(0.1, rel=0.03)
    covered = (found.low <= truth) & (truth <= found.high)
    assert 0.91 <= covered.mean() <= 0.98


def test_errors_that_do_not_shrink_with_the_root_of_the_text():
    """The rate is measured: here a quarter errs four times as much as a half."""
    rng = np.random.default_rng(1)
    halves, quarters = rng.standard_normal((2, 8, 2, 3000))
    found = feature_reliability(np.zeros(3000), replicates(halves, 4 * quarters))
    assert np.sqrt(np.mean(found.se**2)) == pytest.approx(1 / 4, rel=0.03)


def test_formulas_by_hand():
    halves = np.zeros((8, 2, 1))
    halves[:, 0] = 0.2
    quarters = np.zeros((8, 2, 1))
    quarters[:, 0] = 0.4
    found = feature_reliability(np.array([0.3]), replicates(halves, quarters, 0.6))
    se2 = 0.2 / np.sqrt(2)
    assert found.se[0] == pytest.approx(se2 / 2)
    assert found.low[0] == pytest.approx(0.3 - 1.96 * se2 / 2)
    assert found.high[0] == pytest.approx(0.3 + 1.96 * se2 / 2)
    assert found.ceiling[0] == pytest.approx(2 * 0.6 / 1.6)
    assert found.sfal_corrected[0] == pytest.approx(0.3 / np.sqrt(0.75))


@pytest.mark.parametrize(("n_lost", "known"), [(0, True), (2, True), (3, False), (8, False)])
def test_fewer_than_six_splits_say_nothing(n_lost, known):
    rng = np.random.default_rng(2)
    _, sfal, halves, quarters = noisy(rng, 50)
    agreement = np.full_like(halves, 0.5)
    halves[:n_lost, 1, 7] = np.nan
    agreement[:n_lost, 0, 7] = np.nan
    found = feature_reliability(sfal, Replicates(halves, quarters, agreement))
    for values in (found.se, found.low, found.high, found.ceiling, found.sfal_corrected):
        assert np.isnan(values[7]) is np.bool_(not known)
        assert not np.isnan(np.delete(values, 7)).any()


@pytest.mark.parametrize("agreement", [-1.0, -0.3, 0.0, 0.02])
def test_a_feature_that_does_not_agree_with_itself_is_not_corrected(agreement):
    halves = np.zeros((8, 2, 1))
    found = feature_reliability(np.array([0.3]), replicates(halves, halves, agreement))
    assert np.isnan(found.sfal_corrected[0])


def test_unscored_features_stay_so():
    halves = np.zeros((8, 2, 2))
    found = feature_reliability(np.array([np.nan, 0.1]), replicates(halves, halves))
    for values in (found.se, found.low, found.high, found.sfal_corrected):
        assert np.isnan(values[0])


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


def test_a_source_without_scores():
    halves = np.full((8, 2, 3), np.nan)
    found = source_reliability(np.full(3, np.nan), replicates(halves, halves))
    assert found.n_features == 0
    assert np.isnan(found.median)
    assert not found.still_rising


def test_shapes_are_checked():
    right = np.zeros((8, 2, 3))
    with pytest.raises(InvalidInputError, match=r"quarters has shape \(7, 2, 3\)"):
        Replicates(right, right[:7], right)
    with pytest.raises(InvalidInputError, match="the replicates are of 3 features"):
        feature_reliability(np.zeros(4), Replicates(right, right, right))
