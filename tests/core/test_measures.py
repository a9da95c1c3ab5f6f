"""Measures of association against their formulas."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference_trust
from sfal import _core
from sfal.errors import InvalidInputError

MEASURES = ["phi", "abs_phi", "llr", "npmi", "odds", "lift", "cole", "jaccard", "cosine"]


def value(name, n, c_i, c_j, a):
    """What the kernel makes of one pair, to float32."""
    counts = np.array([[c_i, a], [a, c_j]], dtype=np.uint32)
    ranked = _core.functional_neighbours(_core.Histogram.from_counts(counts, n), 1, name)[1]
    assert ranked[0, 0] == ranked[1, 0]
    return ranked[0, 0]


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        (
            20,
            {
                "phi": 0.229416,
                "jaccard": 0.153846,
                "cosine": 0.282843,
                "lift": 4,
                "npmi": 0.354368,
                "odds": 1.983509,
                "cole": 0.333333,
                "llr": 33.889459,
            },
        ),
        (
            1,
            {"phi": -0.061178, "npmi": -0.23299, "odds": -1.349666, "cole": -0.8, "llr": -5.311438},
        ),
    ],
)
def test_values_by_hand(a, expected):
    for name, number in expected.items():
        assert value(name, 1000, 100, 50, a) == pytest.approx(number, rel=2e-6, abs=1e-6)
        assert reference_trust.measure(name, 1000, 100, 50, a) == pytest.approx(
            number, rel=2e-6, abs=1e-6
        )


@given(st.data())
def test_measures_equal_their_formulas(data):
    n = data.draw(st.integers(1, 3000) | st.integers(10**6, 2**32 - 1))
    c_i, c_j = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    independent = round(c_i * c_j / n)
    least, most = max(0, c_i + c_j - n), min(c_i, c_j)
    a = data.draw(st.integers(least, most) | st.just(min(max(independent, least), most)))
    for name in MEASURES:
        expected = reference_trust.measure(name, n, c_i, c_j, a)
        # The plain sum of the log-likelihood ratio cancels.
        slack = 1e-15 * n * math.log(n + 1) if name == "llr" else 1e-10
        assert value(name, n, c_i, c_j, a) == pytest.approx(expected, rel=1e-6, abs=slack), name


@pytest.mark.parametrize("name", MEASURES)
def test_features_that_never_or_always_occur(name):
    assert value(name, 100, 0, 7, 0) == (-1 if name == "npmi" else 0)
    assert value(name, 100, 100, 7, 7) == 0
    assert value(name, 100, 100, 100, 100) == 0


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(("n_features", "rate"), [(150, 0.2), (6_000, 0.003)])
def test_bits_counts_and_blocks_rank_alike(name, n_features, rate):
    rng = np.random.default_rng(0)
    fired = rng.random((900, n_features)) < rng.random(n_features) * 2 * rate
    occurrences = _core.Occurrences(n_features)
    indptr = np.concatenate([[0], fired.sum(axis=1).cumsum()])
    occurrences.extend(indptr, np.nonzero(fired)[1].astype(np.uint32))
    lists = _core.functional_neighbours(occurrences, 20, name)
    counts = _core.Histogram.from_counts(occurrences.histogram(), 900)
    for found, expected in zip(_core.functional_neighbours(counts, 20, name), lists, strict=True):
        np.testing.assert_array_equal(found, expected)
    rows = rng.permutation(n_features)[:50]
    for found, expected in zip(
        _core.functional_neighbours(occurrences, 20, name, rows), lists, strict=True
    ):
        np.testing.assert_array_equal(found, expected[rows])
    pairs = occurrences.histogram()
    for row in rows[:5]:
        own = [
            reference_trust.measure(
                name, 900, *map(int, (pairs[row, row], pairs[j, j], pairs[row, j]))
            )
            if j != row
            else -np.inf
            for j in range(n_features)
        ]
        best = np.sort(own)[::-1][:20]
        np.testing.assert_allclose(lists[1][row], best, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dice", "dice: same order as jaccard"),
        ("Ochiai", "same as cosine"),
        ("PMI", "same order as lift"),
        ("Yule Q", "nearly the same order as odds"),
        ("x", "one of phi, abs_phi"),
    ],
)
def test_unknown_measures_are_answered_with_what_ranks_alike(name, message):
    with pytest.raises(InvalidInputError, match=message):
        _core.functional_neighbours(_core.Occurrences(3), 2, name)
