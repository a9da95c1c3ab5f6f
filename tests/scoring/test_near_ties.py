"""Cosines that single precision cannot tell apart."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sfal import _core
from sfal.scoring.near_ties import MARGIN, in_true_order


def true_order(vectors, top_n):
    """Rank by cosines that are computed in double precision, by plain loops; ties by index."""
    lists = []
    for i, one in enumerate(vectors.astype(np.float64)):
        found = []
        for j, other in enumerate(vectors.astype(np.float64)):
            lengths = np.sqrt((one @ one) * (other @ other))
            if i != j:
                found.append((-round(float(one @ other / lengths) if lengths else 0.0, 13), j))
        lists.append([j for _, j in sorted(found)[:top_n]])
    return lists


@given(
    st.integers(0, 2**32 - 1),
    st.integers(3, 40),
    st.sampled_from([1e-5, 1e-4, 1e-3, 1e-1]),
    st.integers(1, 40),
)
def test_lists_are_those_of_double_precision(seed, n, spread, top_n):
    rng = np.random.default_rng(seed)
    center = rng.standard_normal(48)
    # Most vectors nearly tie, some are equal, and one is zero.
    vectors = (center + spread * rng.standard_normal((n, 48))).astype(np.float32)
    vectors[rng.integers(n)] = vectors[0]
    vectors[rng.integers(n)] = 0
    lists, cosines = _core.semantic_neighbours(vectors, n)
    found = in_true_order(vectors, np.arange(n), lists, cosines)[:, :top_n]
    assert found.tolist() == true_order(vectors, top_n)


def test_a_neighbour_beyond_the_last_one_that_counts_can_take_its_place():
    rng = np.random.default_rng(3)
    vectors = (1 + 1e-7 * rng.standard_normal((30, 64))).astype(np.float32)
    lists, cosines = _core.semantic_neighbours(vectors, 8 + MARGIN)
    found = in_true_order(vectors, np.arange(30), lists, cosines)[:, :8]
    assert not np.array_equal(found, lists[:, :8])
