import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from core.cases import from_dense, occurrences, random_windows, window_lists
from sfal import _core


@st.composite
def subsets(draw, n_features):
    """Draw (top_n, rows, candidates); the latter two may be None."""
    feature = st.integers(0, n_features - 1)
    rows = draw(st.none() | st.lists(feature, max_size=12))
    candidates = draw(st.none() | st.lists(feature, max_size=12))
    return draw(st.integers(1, n_features + 2)), rows, candidates


def as_arrays(rows, candidates):
    return (
        None if rows is None else np.array(rows, dtype=np.int64),
        None if candidates is None else np.array(candidates, dtype=np.uint32),
    )


@given(window_lists(), st.data())
def test_functional_neighbours_equal_the_loops(case, data):
    n_features, windows = case
    top_n, rows, candidates = data.draw(subsets(n_features))
    counts = reference.histogram(windows, n_features)
    phi = reference.phi(counts, len(windows))
    expected = reference.neighbours(phi, top_n, rows, candidates)
    arrays = as_arrays(rows, candidates)
    counted = occurrences(n_features, windows)
    for source in (counted, _core.Histogram.from_counts(counts, len(windows))):
        indices, values = _core.functional_neighbours(source, top_n, "phi", *arrays)
        assert indices.tolist() == expected
        assert (indices.dtype, values.dtype) == (np.uint32, np.float32)
        for row, found, value in zip(rows or range(n_features), indices, values, strict=False):
            np.testing.assert_array_equal(value, phi[row, found].astype(np.float32))


@st.composite
def exact_embeddings(draw):
    """Draw vectors of four ±1 or zeros, whose norms and cosines are exact in float32."""
    n_features, dim = draw(st.integers(1, 9)), draw(st.integers(4, 40))
    vectors = np.zeros((n_features, dim), dtype=np.float32)
    for vector in vectors:
        if draw(st.booleans()):
            places = draw(st.permutations(range(dim)))[:4]
            vector[places] = draw(st.lists(st.sampled_from([-1, 1]), min_size=4, max_size=4))
            vector *= draw(st.sampled_from([1e-30, 0.25, 1, 2.0**60]))
    return vectors


@given(exact_embeddings(), st.data())
def test_semantic_neighbours_equal_the_loops_with_all_their_ties(vectors, data):
    top_n, rows, candidates = data.draw(subsets(len(vectors)))
    # Cosines are multiples of 1/4 up to rounding of the scale.
    cosine = np.round(reference.cosine(vectors) * 4) / 4
    indices, values = _core.semantic_neighbours(vectors, top_n, *as_arrays(rows, candidates))
    assert indices.tolist() == reference.neighbours(cosine, top_n, rows, candidates)
    for row, found, value in zip(rows or range(len(vectors)), indices, values, strict=False):
        np.testing.assert_allclose(value, cosine[row, found], atol=1e-6)


def test_semantic_neighbours_of_real_vectors_have_the_cosines_of_numpy():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 77)).astype(np.float32) * rng.uniform(0.1, 9, (300, 1)).astype(
        np.float32
    )
    indices, values = _core.semantic_neighbours(vectors, 50)
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.testing.assert_allclose(values, np.take_along_axis(cosine, indices, 1), atol=2e-6)
    np.fill_diagonal(cosine, -2)
    best = -np.sort(-cosine, axis=1)[:, :50]
    np.testing.assert_allclose(values, best, atol=2e-6)


def test_equal_vectors_tie_exactly_at_any_position():
    rng = np.random.default_rng(1)
    few = rng.normal(size=(5, 1024)).astype(np.float32)
    vectors = np.ascontiguousarray(np.tile(few, (101, 1)))  # row i equals row i + 5, i + 10, …
    indices, values = _core.semantic_neighbours(vectors, 504)
    for row, (found, value) in enumerate(zip(indices, values, strict=True)):
        for kind in range(5):
            own = value[found % 5 == kind]
            assert len(set(own.tolist())) == 1, (row, kind)
            assert (np.diff(found[found % 5 == kind].astype(int)) > 0).all()


@pytest.mark.parametrize("n_features", [1, 5, 131, 700])
def test_a_block_of_rows_has_the_bits_of_the_whole(n_features):
    counted = from_dense(random_windows(5, 1_000, n_features, 0.1))
    vectors = np.random.default_rng(2).normal(size=(n_features, 100)).astype(np.float32)
    rows = np.random.default_rng(3).permutation(n_features)[: n_features // 2 + 1]
    for rank, source in (
        (_core.functional_neighbours, counted),
        (_core.semantic_neighbours, vectors),
        (_core.functional_neighbours, _core.Histogram.from_counts(counted.histogram(), 1_000)),
    ):
        whole, part = rank(source, 99), rank(source, 99, rows=rows)
        everything = rank(source, 99, candidates=np.arange(n_features))
        for a, b, c in zip(whole, part, everything, strict=True):
            np.testing.assert_array_equal(a[rows], b)
            np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize("density", [0.001, 0.02, 0.3])
def test_functional_neighbours_of_many_features_equal_a_stable_sort_of_phi(density):
    counted = from_dense(random_windows(6, 5_000, 400, density))
    phi = _core.phi(counted.histogram(), 5_000)
    np.fill_diagonal(phi, -2)
    expected = np.argsort(-phi, axis=1, kind="stable")[:, :399]
    for top_n in (1, 100, 399, 1023):
        indices, values = _core.functional_neighbours(counted, top_n)
        np.testing.assert_array_equal(indices, expected[:, :top_n])
        np.testing.assert_array_equal(
            values, np.take_along_axis(phi, expected, 1)[:, :top_n].astype(np.float32)
        )


@pytest.mark.parametrize("measure", ["phi", "abs_phi"])
def test_counts_rank_like_the_windows_they_were_counted_in(measure):
    # So many candidates that a sample gives a threshold; so few windows that many pairs tie.
    rng = np.random.default_rng(8)
    windows = random_windows(8, 300, 2_300, 0.05)
    windows[:, 7], windows[:, 1_900] = True, False
    counted = from_dense(windows)
    counts = _core.Histogram.from_counts(counted.histogram(), 300)
    rows, candidates = rng.permutation(2_300)[:700], np.flatnonzero(rng.random(2_300) < 0.95)
    for chosen in ({}, {"rows": rows, "candidates": candidates}):
        one, other = (
            _core.functional_ranking(s, 100, measure, **chosen) for s in (counted, counts)
        )
        np.testing.assert_array_equal(one.indices(), other.indices())
        for a, b in zip(one.ties(), other.ties(), strict=True):
            np.testing.assert_array_equal(a, b)
        lists = (_core.functional_neighbours(s, 100, measure, **chosen) for s in (counted, counts))
        for a, b in zip(*lists, strict=True):
            np.testing.assert_array_equal(a, b)


def similarities(dtype):
    few = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5])
    wide = st.floats(width=32, allow_nan=False, allow_infinity=False)
    return st.integers(1, 8).flatmap(
        lambda n: st.lists(
            st.lists(few | wide, min_size=n, max_size=n), min_size=n, max_size=n
        ).map(lambda rows: np.array(rows, dtype=dtype).reshape(n, n))
    )


@given(st.sampled_from([np.float32, np.float64]).flatmap(similarities), st.integers(1, 9))
def test_top_neighbours_equal_the_loops(similarity, top_n):
    np.fill_diagonal(similarity, np.nan)  # never read
    expected = reference.neighbours(similarity, top_n)
    indices, values = _core.top_neighbours(similarity, top_n)
    assert indices.tolist() == expected
    np.testing.assert_array_equal(
        values, np.take_along_axis(similarity, indices.astype(int), 1).astype(np.float32)
    )
    start = len(similarity) // 2
    block = _core.top_neighbours(np.ascontiguousarray(similarity[start:]), top_n, row_start=start)
    assert block[0].tolist() == expected[start:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("levels", [3, 40, 100_000])
def test_top_neighbours_of_long_rows_equal_a_stable_sort(dtype, levels):
    rng = np.random.default_rng(levels)
    similarity = (rng.integers(-levels, levels, (40, 3_001)) / 7).astype(dtype)
    masked = similarity.copy()
    masked[np.arange(40), np.arange(40) + 5] = -np.inf
    order = np.argsort(-masked, axis=1, kind="stable")
    for top_n in (1, 10, 1023, 2_999, 3_000, 5_000):
        indices, values = _core.top_neighbours(similarity, top_n, row_start=5)
        np.testing.assert_array_equal(indices, order[:, : min(top_n, 3_000)])
        np.testing.assert_array_equal(
            values, np.take_along_axis(similarity, indices.astype(int), 1).astype(np.float32)
        )
