"""Standard errors, ceilings and corrected scores of features, from replicates."""

import numpy as np
import pytest

from sfal.errors import InvalidInputError
from sfal.scoring.reliability.features import feature_reliability
from stats.replicate_cases import Replicates, noisy, replicates


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


def test_shapes_are_checked():
    right = np.zeros((8, 2, 3))
    with pytest.raises(InvalidInputError, match=r"quarters has shape \(7, 2, 3\)"):
        feature_reliability(np.zeros(3), Replicates(right, right[:7], right))
    with pytest.raises(InvalidInputError, match=r"halves has shape \(8, 2, 3\), not \(8, 2, 4\)"):
        feature_reliability(np.zeros(4), Replicates(right, right, right))
