"""Correlations, their intervals, and tests of their differences, against published examples."""

import numpy as np
import pytest
import scipy.stats

from sfal.stats import correlations as c
from sfal.stats.correlation_tests import steiger_z, williams_t, zou_interval


@pytest.mark.parametrize(
    ("interval", "value", "wanted"),
    [
        (c.fisher_interval, 0.66, (0.533, 0.758)),
        (c.bonett_wright_interval, 0.63, (0.480, 0.744)),
        (c.fieller_interval, 0.47, (0.361, 0.566)),
    ],
)
def test_intervals_of_the_specification(interval, value, wanted):
    assert interval(value, 100) == pytest.approx(wanted, abs=5e-4)


def test_williams_t_of_the_specification():
    test = williams_t(0.4, 0.5, 0.1, 103)
    assert test.statistic == pytest.approx(-0.891280, abs=1e-6)
    assert test.p == pytest.approx(0.374919, abs=1e-6)


def test_steiger_z_of_his_paper():
    """Page 247 of the paper prints -0.89."""
    assert steiger_z(0.4, 0.5, 0.1, 103).statistic == pytest.approx(-0.89, abs=5e-3)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((0.66, 0.47, 0.4, 100), (0.026, 0.363)),
        ((0.396, 0.179, 0.088, 66), (-0.093, 0.517)),  # Zou's own example
    ],
)
def test_zou_interval(given, wanted):
    assert zou_interval(*given) == pytest.approx(wanted, abs=6e-4)


def test_tests_change_sign_with_the_order_of_the_metrics():
    for test in (williams_t, steiger_z):
        one, other = test(0.3, 0.6, 0.2, 50), test(0.6, 0.3, 0.2, 50)
        assert one.statistic == pytest.approx(-other.statistic)
        assert one.p == pytest.approx(other.p)
    low, high = zou_interval(0.3, 0.6, 0.2, 50)
    assert zou_interval(0.6, 0.3, 0.2, 50) == pytest.approx((-high, -low))


def test_values_are_those_of_scipy():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, 80).astype(float)
    y = x + rng.normal(size=80).round(1)
    assert c.pearson(x, y).value == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
    assert c.spearman(x, y).value == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert c.kendall(x, y).value == pytest.approx(scipy.stats.kendalltau(x, y).statistic)


@pytest.mark.parametrize("of", [c.pearson, c.spearman, c.kendall])
def test_a_constant_has_no_correlation_and_few_pairs_have_no_interval(of):
    x = np.array([1.0, 2.0, 3.0])
    assert np.isnan(of(x, np.full(3, 0.1)).value)
    found = of(x, np.array([1.0, 3.0, 2.0]))
    assert not np.isnan(found.value)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_tiny_and_huge_values_correlate_as_others_do():
    x, y = np.array([1.0, 2.0, 4.0, 3.0]), np.array([2.0, 1.0, 5.0, 4.0])
    for scale in (1e-200, 1e200):
        assert c.pearson(x * scale, y).value == pytest.approx(c.pearson(x, y).value)


def test_perfect_correlation_is_its_own_interval():
    x = np.arange(10.0)
    assert c.pearson(x, 2 * x) == c.Correlation(1.0, 1.0, 1.0)
    assert np.isnan(steiger_z(1.0, 0.5, 0.5, 20).p)
    assert all(np.isnan(zou_interval(1.0, 0.5, 0.5, 20)))


@pytest.mark.parametrize(
    ("of", "transform"), [(c.pearson, lambda z: z), (c.spearman, np.exp), (c.kendall, np.exp)]
)
def test_intervals_cover_the_truth(of, transform):
    """Of normal variables with r = .5: rho = 6/pi asin(r/2), tau = 2/pi asin(r)."""
    r = 0.5
    truth = {
        c.pearson: r,
        c.spearman: 6 / np.pi * np.arcsin(r / 2),
        c.kendall: 2 / np.pi * np.arcsin(r),
    }[of]
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        x, noise = rng.standard_normal((2, 60))
        y = r * x + np.sqrt(1 - r**2) * noise
        found = of(x, transform(y))
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.98
