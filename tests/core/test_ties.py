"""Ties: averages over all orders of neighbours that tie, against every such order."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
import reference_trust
from sfal import _core


@st.composite
def similarities(draw, most=6):
    """Symmetric similarities with many ties."""
    n = draw(st.integers(2, most))
    levels = st.sampled_from([-0.5, 0.0, 0.25, 0.25 + 1e-9, 1.0])
    out = np.zeros((n, n))
    for i, j in itertools.combinations(range(n), 2):
        out[i, j] = out[j, i] = draw(levels)
    return out


def tie_classes(similarity, i):
    return reference_trust.classes(similarity[i], i, range(len(similarity)))


def mean_over_orders(functional, semantic, score):
    pairs = itertools.product(reference_trust.orders(functional), reference_trust.orders(semantic))
    return np.mean([score(f, s) for f, s in pairs])


@given(similarities(5), similarities(5), st.integers(1, 6), st.sampled_from([1.1, 2.0]))
def test_scores_are_means_over_all_orders(phi, cosine, top_n, base):
    n = min(len(phi), len(cosine))
    phi, cosine = phi[:n, :n], cosine[:n, :n].astype(np.float32)
    rankings = _core.top_ranking(phi.copy(), top_n), _core.top_ranking(cosine.copy(), top_n)
    found = (
        _core.ndcg(*rankings, top_n, base),
        _core.overlap(*rankings, min(top_n, 3)),
        _core.rank_biased_overlap(*rankings, top_n, 0.8),
    )
    for i in range(n):
        tied = tie_classes(phi, i), tie_classes(cosine, i)
        expected = (
            mean_over_orders(
                *tied, lambda f, s: reference.ndcg([f[:top_n]], [s[:top_n]], top_n, base)[0]
            ),
            mean_over_orders(*tied, lambda f, s: reference_trust.overlap(f, s, min(top_n, 3))),
            mean_over_orders(*tied, lambda f, s: reference_trust.rbo(f, s, top_n, 0.8)),
        )
        np.testing.assert_allclose([values[i] for values in found], expected, atol=1e-12)
        oracle = reference_trust.ndcg_ties(*tied, top_n, base)
        assert found[0][i] == pytest.approx(oracle, abs=1e-12)


def test_two_neighbours_that_tie_by_hand():
    phi = np.array([[0, 3, 2, 2, 1]], dtype=float)  # a > b = c > d
    cosine = np.array([[0, 3, 1, 4, 2]], dtype=np.float32)  # c, a, d, b
    rankings = _core.top_ranking(phi, 3), _core.top_ranking(cosine, 3)
    assert _core.ndcg(*rankings, 3)[0] == pytest.approx(0.773462, abs=5e-7)
    orders = {(1, 2, 3): 0.731263, (1, 3, 2): 0.815660}
    for order, score in orders.items():
        lists = np.array([order], dtype=np.uint32), rankings[1].indices()
        assert _core.ndcg(*lists, 3)[0] == pytest.approx(score, abs=5e-7)


def test_equal_labels_score_as_chance():
    phi = np.random.default_rng(0).random((40, 40))
    rankings = _core.top_ranking(phi, 10), _core.semantic_ranking(np.ones((40, 3), np.float32), 10)
    np.testing.assert_allclose(_core.ndcg(*rankings, 10), _core.chance(39, 10), rtol=1e-12)


def test_without_ties_the_scores_are_those_of_the_lists():
    rng = np.random.default_rng(1)
    phi, cosine = rng.random((50, 50)), rng.random((50, 50), dtype=np.float32)
    rankings = _core.top_ranking(phi, 20), _core.top_ranking(cosine, 20)
    lists = [ranking.indices() for ranking in rankings]
    np.testing.assert_array_equal(_core.ndcg(*rankings, 20), _core.ndcg(*lists, 20))
    for metric in (_core.overlap, _core.rank_biased_overlap):
        np.testing.assert_array_equal(metric(*rankings), metric(*lists))


def windows(rng, n_features, n_windows, rates):
    fired = rng.random((n_windows, n_features)) < rates
    indptr = np.concatenate([[0], fired.sum(axis=1).cumsum()])
    occurrences = _core.Occurrences(n_features)
    occurrences.extend(indptr, np.nonzero(fired)[1].astype(np.uint32))
    return occurrences


@pytest.mark.parametrize(
    ("n_features", "rates", "n_windows"),
    [
        (300, 0.2, 90),  # dense
        (1_200, np.linspace(0, 0.02, 1_200), 700),  # rare, counted by increments
        (5_000, np.linspace(0, 0.004, 5_000), 2_000),  # rare, with a sampled threshold
    ],
)
@pytest.mark.parametrize("chosen", [None, "few", "every other"])
def test_rankings_keep_the_whole_class_that_the_list_cuts(n_features, rates, n_windows, chosen):
    rng = np.random.default_rng(2)
    occurrences = windows(rng, n_features, n_windows, rates)
    rows = candidates = np.arange(n_features)
    given_rows = given_candidates = None
    if chosen == "few":
        given_rows = rows = rng.permutation(n_features)[:40]
    elif chosen == "every other":
        given_rows = given_candidates = rows = candidates = np.arange(0, n_features, 2)
    counts = occurrences.histogram()
    phi = _core.phi(counts, n_windows)
    sources = occurrences, _core.Histogram.from_counts(counts, n_windows)
    for source in sources:
        ranking = _core.functional_ranking(source, 30, "phi", given_rows, given_candidates)
        lists, _ = _core.functional_neighbours(source, 30, "phi", given_rows, given_candidates)
        np.testing.assert_array_equal(ranking.indices(), lists)
        starts, indptr, beyond = ranking.ties()
        for r in rng.permutation(len(rows))[:60]:
            others = candidates[candidates != rows[r]]
            values = phi[rows[r], others]
            order = np.lexsort((others, -values))
            np.testing.assert_array_equal(lists[r], others[order[:30]])
            expected = [np.sum(values > value) for value in values[order[:30]]]
            np.testing.assert_array_equal(starts[r], expected)
            tied = others[values == values[order[29]]]
            missing = np.setdiff1d(tied, lists[r])
            np.testing.assert_array_equal(beyond[indptr[r] : indptr[r + 1]], missing)


@pytest.mark.parametrize("chosen", [False, True])
def test_semantic_rankings_keep_the_whole_class_that_the_list_cuts(chosen):
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((40, 8), dtype=np.float32)[rng.integers(0, 40, 900)]
    features = np.arange(0, 900, 3) if chosen else None
    ranking = _core.semantic_ranking(vectors, 20, features, features)
    lists, cosines = _core.semantic_neighbours(vectors, 899, features, features)
    rows = np.arange(900) if features is None else features
    np.testing.assert_array_equal(ranking.indices(), lists[:, :20])
    starts, indptr, beyond = ranking.ties()
    for r in range(len(rows)):
        last = cosines[r, 19]
        missing = np.sort(lists[r, 20:][cosines[r, 20:] == last])
        np.testing.assert_array_equal(beyond[indptr[r] : indptr[r + 1]], missing)
        np.testing.assert_array_equal(
            starts[r], [np.sum(cosines[r] > value) for value in cosines[r, :20]]
        )


def test_rankings_are_the_same_on_any_number_of_threads():
    occurrences = windows(np.random.default_rng(4), 700, 100, 0.1)
    rankings = [_core.functional_ranking(occurrences, 25, n_threads=n) for n in (1, 2, 3)]
    for ranking in rankings[1:]:
        np.testing.assert_array_equal(ranking.indices(), rankings[0].indices())
        for found, expected in zip(ranking.ties(), rankings[0].ties(), strict=True):
            np.testing.assert_array_equal(found, expected)
