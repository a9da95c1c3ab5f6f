"""The law of chance: values worked out from all orders, and from long sampling runs."""

import numpy as np
import pytest

import reference_trust
from sfal import _core
from sfal.errors import InvalidInputError


def survival(law, score):
    return np.interp(score, *law)


def score_at(law, p):
    grid, falling = law
    return grid[np.searchsorted(-falling, -p, side="left")]


@pytest.mark.parametrize(
    ("n_features", "scores", "rare", "p"),
    [
        (16_384, [0.0513, 0.0732, 0.1217, 0.2228, 0.2620], 0.2925, 8.3e-7),
        (32_768, [0.0335, 0.0515, 0.0885, 0.1877, 0.2394], 0.2642, 9.4e-7),
    ],
)
def test_the_law_of_wide_saes(n_features, scores, rare, p):
    law = _core.chance_law(n_features - 1)
    grid, falling = law
    assert (grid[0], falling[0]) == (0, 1)
    assert np.all(np.diff(grid) > 0)
    assert np.all(np.diff(falling) <= 0)
    assert falling.min() == 1e-9
    for level, score in zip([0.05, 1e-2, 1e-3], scores[:3], strict=True):
        assert score_at(law, level) == pytest.approx(score, abs=1.5e-4)
    for level, score in zip([1e-4, 1e-5], scores[3:], strict=True):
        assert survival(law, score) == pytest.approx(level, rel=0.05)
    assert survival(law, rare) == pytest.approx(p, rel=0.05)


@pytest.mark.parametrize(
    ("n", "top_n", "scores"),
    [(5, 3, {0.913032: 6 / 120}), (7, 4, {0.9: 1 / 42, 0.5: 131 / 280}), (8, 20, {}), (1, 3, {})],
)
def test_few_candidates_are_enumerated(n, top_n, scores):
    law = _core.chance_law(n, top_n)
    orders = np.array(reference_trust.random_scores(n, top_n))
    for score, p in scores.items():
        assert survival(law, score) == pytest.approx(p, abs=1e-9)
    for score in np.linspace(0.01, 0.999, 50):
        assert survival(law, score) == pytest.approx(max(1e-9, np.mean(orders >= score)), abs=1e-7)


def test_moments_of_few_candidates():
    five = reference_trust.random_scores(5, 3)
    assert np.mean(five) == pytest.approx(0.532011143898)
    assert np.std(five) == pytest.approx(0.239088341792)
    grid, falling = _core.chance_law(5, 3)
    assert np.trapezoid(falling, grid) == pytest.approx(np.mean(five), abs=1e-6)
    grid, falling = _core.chance_law(7, 4)
    assert np.trapezoid(falling, grid) == pytest.approx(0.492572211789, abs=1e-6)


@pytest.mark.parametrize(("n", "top_n", "base"), [(60, 20, 1.1), (700, 1023, 1.1), (50, 50, 1.001)])
def test_some_candidates_are_sampled(n, top_n, base):
    rng = np.random.default_rng(0)
    ranks = np.arange(min(n, top_n))
    gains, discounts = base ** (top_n - ranks) - 1, 1 / np.log2(ranks + 2)
    discount_at = np.r_[discounts, np.zeros(n - len(ranks))]
    orders = rng.permuted(np.tile(discount_at, (20_000, 1)), axis=1)[:, : len(ranks)]
    drawn = orders @ gains / (gains @ discounts)
    law = _core.chance_law(n, top_n, base)
    for score in np.quantile(drawn, [0.1, 0.5, 0.9, 0.99]):
        p = np.mean(drawn >= score)
        assert survival(law, score) == pytest.approx(
            p, abs=4 * np.sqrt(p * (1 - p) / 20_000) + 1e-3
        )


def test_the_law_is_the_same_on_any_number_of_threads():
    laws = [_core.chance_law(400, 50, n_threads=n) for n in (1, 2, 3)]
    for law in laws[1:]:
        np.testing.assert_array_equal(law, laws[0])


@pytest.mark.parametrize("wrong", [{"top_n": 0}, {"base": 1.0}, {"n_candidates": -1}])
def test_impossible_laws_are_refused(wrong):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        _core.chance_law(**{"n_candidates": 5, **wrong})
