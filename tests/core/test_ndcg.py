import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

import reference
from sfal import _core


def lists(n_rows, width):
    features = st.integers(0, 12) | st.integers(0, 2**32 - 1)
    row = st.lists(features, min_size=width, max_size=width, unique=True)
    return st.lists(row, min_size=n_rows, max_size=n_rows).map(
        lambda rows: np.array(rows, dtype=np.uint32).reshape(n_rows, width)
    )


@st.composite
def pairs_of_lists(draw):
    n_rows = draw(st.integers(0, 4))
    return [draw(lists(n_rows, draw(st.integers(0, 8)))) for _ in range(2)]


@given(pairs_of_lists(), st.integers(1, 10), st.sampled_from([1.1, 2.0, 1.5]))
def test_ndcg_of_lists_equals_the_loops(pair, top_n, base):
    functional, semantic = pair
    scores = _core.ndcg(functional, semantic, top_n, base)
    expected = reference.ndcg(functional.tolist(), semantic.tolist(), top_n, base)
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    assert scores.dtype == np.float64


@given(st.integers(1, 8), st.integers(1, 9), st.randoms())
def test_ndcg_of_similarities_is_that_of_their_lists(n, top_n, random):
    def draw():
        values = [random.choice([0.0, 0.5, random.random()]) for _ in range(n * n)]
        return np.array(values).reshape(n, n)

    phi, cosine = draw(), draw().astype(np.float32)
    expected = reference.ndcg(
        reference.neighbours(phi, top_n), reference.neighbours(cosine, top_n), top_n
    )
    np.testing.assert_allclose(_core.ndcg(phi, cosine, top_n), expected, rtol=1e-12)


def test_two_neighbours_swapped_by_hand():
    # top_n 2, base 2: gains 3 and 1; DCG of the swapped list 1 + 3/log2(3), ideal 3 + 1/log2(3).
    swapped = _core.ndcg(
        np.array([[2, 1]], dtype=np.uint32), np.array([[1, 2]], dtype=np.uint32), 2, 2.0
    )
    assert swapped[0] == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_equal_lists_score_one_and_disjoint_lists_zero():
    ranked = np.random.default_rng(0).permuted(np.tile(np.arange(5_000), (3, 1)), axis=1)
    ranked = ranked[:, :1023].astype(np.uint32)
    np.testing.assert_allclose(_core.ndcg(ranked, ranked), 1, rtol=1e-15)
    np.testing.assert_array_equal(_core.ndcg(ranked + np.uint32(5_000), ranked), 0)


def test_a_repeated_feature_has_the_gain_of_its_first_rank():
    semantic = np.array([[7, 3, 7]], dtype=np.uint32)
    functional = np.array([[7, 3, 9]], dtype=np.uint32)
    expected = reference.ndcg(functional.tolist(), semantic.tolist(), 3)
    np.testing.assert_allclose(_core.ndcg(functional, semantic, 3), expected, rtol=1e-14)


def test_an_empty_semantic_list_has_no_score():
    empty = np.zeros((2, 0), dtype=np.uint32)
    assert np.isnan(_core.ndcg(empty, empty)).all()
    assert np.isnan(_core.ndcg(np.ones((1, 1)), np.ones((1, 1)))).all()
    assert len(_core.ndcg(np.zeros((0, 5), dtype=np.uint32), np.zeros((0, 3), np.uint32))) == 0


def test_ndcg_equals_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    n, top_n = 60, 25
    phi, cosine = rng.random((n, n)), rng.random((n, n))
    scores = _core.ndcg(phi, cosine, top_n)
    semantic = reference.neighbours(cosine, top_n)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        gains = [
            1.1 ** (top_n - semantic[i].index(j)) - 1 if j in semantic[i] else 0 for j in others
        ]
        expected = ndcg_score([gains], [phi[i, others]], k=top_n)
        assert scores[i] == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 400), st.integers(1, 200), st.sampled_from([1.1, 1.01, 3.0]))
def test_chance_equals_the_loops(n_candidates, top_n, base):
    expected = reference.chance(n_candidates, top_n, base)
    assert _core.chance(n_candidates, top_n, base) == pytest.approx(expected, rel=1e-12)


def test_chance_is_the_mean_score_of_random_orders():
    rng = np.random.default_rng(3)
    orders = np.argsort(rng.random((20_000, 40)), axis=1).astype(np.uint32)
    semantic = np.tile(np.arange(10, dtype=np.uint32), (20_000, 1))
    scores = _core.ndcg(orders, semantic, 10)
    assert scores.mean() == pytest.approx(_core.chance(40, 10), abs=4 * scores.std() / 141)


def test_chance_of_the_published_widths():
    assert round(_core.chance(16_383), 3) == 0.019
    assert round(_core.chance(32_767), 4) == 0.0096
    assert math.isnan(_core.chance(0))
