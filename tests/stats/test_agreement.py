"""Krippendorff's alpha against the examples of its author."""

import numpy as np
import pytest

from sfal.stats.agreement import LEVELS, krippendorff_alpha

_ = np.nan
FOUR_OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
)
"""The example of Krippendorff (2011) with missing data: one unit has a single value."""


def by_coincidences(ratings, level):
    """Alpha as the paper computes it, from the matrix of coincidences."""
    values = np.unique(ratings[~np.isnan(ratings)])
    o = np.zeros((len(values), len(values)))
    for unit in ratings.T:
        rated = [np.searchsorted(values, x) for x in unit if not np.isnan(x)]
        for i, a in enumerate(rated):
            for j, b in enumerate(rated):
                if i != j:
                    o[a, b] += 1 / (len(rated) - 1)
    n_c = o.sum(axis=0)
    delta = np.zeros_like(o)
    for a in range(len(values)):
        for b in range(len(values)):
            low, high = sorted((a, b))
            delta[a, b] = {
                "nominal": float(a != b),
                "ordinal": (n_c[low : high + 1].sum() - (n_c[a] + n_c[b]) / 2) ** 2,
                "interval": (values[a] - values[b]) ** 2,
            }[level]
    return 1 - (n_c.sum() - 1) * (o * delta).sum() / (np.outer(n_c, n_c) * delta).sum()


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_the_authors_example(level, alpha):
    found = krippendorff_alpha(FOUR_OBSERVERS, level, n_resamples=50)
    assert found.value == pytest.approx(alpha, abs=5e-4)
    assert found.n_units == 11
    assert found.per_unit == pytest.approx(40 / 11)


@pytest.mark.parametrize("level", LEVELS)
def test_equal_to_the_matrix_of_coincidences(level):
    rng = np.random.default_rng(3)
    for _round in range(20):
        ratings = rng.integers(0, 5, (4, 15)).astype(float) ** 2
        ratings[rng.random(ratings.shape) < 0.3] = np.nan
        found = krippendorff_alpha(ratings, level, n_resamples=1)
        assert found.value == pytest.approx(by_coincidences(ratings, level))


def test_the_interval_covers_the_value_and_repeats():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(200)
    ratings = truth + rng.standard_normal((3, 200))
    found = krippendorff_alpha(ratings, "interval", n_resamples=300)
    assert found.low < found.value < found.high
    assert found.low < 0.5 < found.high  # reliability of one rater: 1 / (1 + 1)
    assert found == krippendorff_alpha(ratings, "interval", n_resamples=300)


def test_the_ceiling_is_the_correlation_of_a_rater_with_the_truth():
    """One rater correlates with the truth by sqrt(.5)."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(4000)
    ratings = truth + rng.standard_normal((3, 4000))
    found = krippendorff_alpha(ratings, "interval", n_resamples=2)
    assert found.ceiling == pytest.approx(np.corrcoef(truth, ratings[0])[0, 1], abs=0.02)


def test_no_agreement_has_no_ceiling():
    opposed = np.array([[0.0, 1, 0, 1], [1, 0, 1, 0]])
    found = krippendorff_alpha(opposed, "nominal", n_resamples=10)
    assert found.value < 0
    assert np.isnan(found.ceiling)


@pytest.mark.parametrize("ratings", [[[1.0, 2.0]], [[1.0, _], [_, 2.0]], [[3.0, 3.0], [3.0, 3.0]]])
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_to_compare_has_no_alpha(ratings, level):
    assert np.isnan(krippendorff_alpha(np.array(ratings), level, n_resamples=10).value)
