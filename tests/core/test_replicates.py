"""Scores of halves and quarters of the documents, against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_reliability
import reference_trust
from core.cases import from_dense, occurrences, random_windows
from sfal import _core
from sfal.errors import InvalidInputError, MemoryLimitError


@st.composite
def cases(draw):
    """Windows with their groups, rows, candidates, and similarities of labels with many ties."""
    n = draw(st.integers(2, 7))
    windows = draw(st.lists(st.sets(st.integers(0, n - 1)), min_size=1, max_size=48))
    groups = draw(st.lists(st.integers(0, 15), min_size=len(windows), max_size=len(windows)))
    random = draw(st.randoms(use_true_random=False))
    candidates = sorted(draw(st.sets(st.integers(0, n - 1), min_size=2)))
    # The lists of a call are equally long: either all rows are candidates or none is.
    others = [i for i in range(n) if i not in candidates]
    rows = others if others and draw(st.booleans()) else candidates
    levels = [[random.choice([0, 0.25, 0.5, 1]) for _ in range(n)] for _ in range(n)]
    return n, windows, groups, rows, candidates, np.array(levels, dtype=np.float32)


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 8), st.sampled_from([1.1, 2.0]), st.sampled_from(["phi", "jaccard"]))
def test_replicates_are_those_of_plain_loops_with_ties_by_index(case, top_n, base, measure):
    n, windows, groups, rows, candidates, cosine = case
    classes = [reference_trust.classes(cosine[i].tolist(), i, candidates) for i in rows]
    semantic = [reference_reliability.untied(tied) for tied in classes]
    width = min(top_n, len(semantic[0]))
    lists = np.array([[j for (j,) in order][:width] for order in semantic], dtype=np.uint32)
    found = _core.replicates(
        occurrences(n, windows),
        np.array(groups, dtype=np.uint8),
        [lists.reshape(len(rows), width)],
        top_n,
        base,
        measure,
        rows=np.array(rows),
        candidates=np.array(candidates),
    )
    expected = reference_reliability.replicates(
        windows, groups, semantic, rows, candidates, top_n, base, measure, ties=False
    )
    for scores, wanted in zip((found[0][0], found[1][0], found[2]), expected, strict=True):
        np.testing.assert_allclose(scores, wanted, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 8), st.sampled_from([1.1, 2.0]), st.sampled_from(["phi", "jaccard"]))
def test_replicates_are_those_of_plain_loops_with_ties_averaged(case, top_n, base, measure):
    n, windows, groups, _, _, cosine = case
    everything = list(range(n))
    semantic = [reference_trust.classes(cosine[i].tolist(), i, everything) for i in everything]
    ranking = _core.top_ranking(cosine, top_n)
    group_of = np.array(groups, dtype=np.uint8)
    counted = occurrences(n, windows)
    found = _core.replicates(counted, group_of, [ranking, ranking], top_n, base, measure)
    expected = reference_reliability.replicates(
        windows, groups, semantic, everything, everything, top_n, base, measure, ties=True
    )
    for scores, wanted in zip((found[0][0], found[1][1], found[2]), expected, strict=True):
        np.testing.assert_allclose(scores, wanted, atol=1e-12)
    np.testing.assert_array_equal(found[0][0], found[0][1])


@pytest.mark.parametrize("density", [0.005, 0.2])
def test_replicates_are_the_scores_of_selected_windows_to_the_last_bit(density):
    """Also where counts come from increments, for enough windows that a group has several blocks."""
    n, n_windows = 600, 3_000
    counted = from_dense(random_windows(3, n_windows, n, density))
    groups = np.random.default_rng(0).integers(0, 16, n_windows).astype(np.uint8)
    vectors = np.random.default_rng(1).normal(size=(n, 20)).astype(np.float32)
    candidates = np.flatnonzero(counted.counts())[5:]
    rows = candidates[7:]
    ranking = _core.semantic_ranking(vectors, 100, rows, candidates)
    halves, quarters, agreement = _core.replicates(
        counted, groups, [ranking], 100, rows=rows, candidates=candidates
    )
    for split, parts in enumerate(reference_reliability.splits()):
        orders = []
        for found, members in zip(
            (*halves[0, split], *quarters[0, split]), (*parts[0], *parts[1]), strict=True
        ):
            part = counted.select(np.flatnonzero(np.isin(groups, members)))
            order = _core.functional_ranking(part, 100, rows=rows, candidates=candidates)
            counts = part.counts()[rows]
            alive = (counts > 0) & (counts < part.n_windows)
            expected = np.where(alive, _core.ndcg(order, ranking, 100), np.nan)
            np.testing.assert_array_equal(found, expected)
            orders.append((order, alive))
        (a, alive_a), (b, alive_b) = orders[:2]
        both = alive_a & alive_b
        for found, first, second in ((agreement[split, 0], a, b), (agreement[split, 1], b, a)):
            expected = np.where(both, _core.ndcg(first, second, 100), np.nan)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("density", [0.005, 0.2])
def test_replicates_are_the_same_bits_on_any_number_of_threads_and_in_any_blocks(density):
    n = 300
    counted = from_dense(random_windows(7, 2_000, n, density))
    groups = (np.arange(2_000) % 16).astype(np.uint8)
    vectors = np.random.default_rng(1).normal(size=(n, 16)).astype(np.float32)
    whole = _core.replicates(counted, groups, [_core.semantic_ranking(vectors, 50)], 50)
    for rows in (np.arange(n), np.arange(13, 150)):
        ranking = _core.semantic_ranking(vectors, 50, rows)
        for n_threads in (1, 5):
            found = _core.replicates(counted, groups, [ranking], 50, rows=rows, n_threads=n_threads)
            for scores, expected in zip(found, whole, strict=True):
                np.testing.assert_array_equal(scores, expected[..., rows])


def test_a_feature_that_is_dead_or_always_on_in_a_part_has_no_score_there():
    windows = [{0, 1, 2} if group % 8 == 0 else {0, 2} for group in range(16)] * 3
    windows[5] = {1}
    lists = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.uint32)
    groups = np.array([*range(16)] * 3, dtype=np.uint8)
    halves, quarters, agreement = _core.replicates(occurrences(3, windows), groups, [lists])
    # Feature 0 misses one window, of group 5: it is always on in the half without it.
    with_it = np.array(
        [[5 in half for half in parts[0]] for parts in reference_reliability.splits()]
    )
    np.testing.assert_array_equal(np.isnan(halves[0, :, :, 0]), ~with_it)
    assert np.isnan(agreement[:, :, 0]).all()
    assert np.isnan(quarters[0, :, :, 1]).any()


def test_what_does_not_fit_together_is_refused():
    counted = occurrences(3, [{0}, {1}, {2}])
    groups = np.zeros(3, dtype=np.uint8)
    lists = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.uint32)
    ranking = _core.semantic_ranking(np.eye(3, dtype=np.float32))
    for arguments, options, message in (
        ((counted, groups[:2], [lists]), {}, "groups has 2, but n_windows has 3"),
        ((counted, groups + np.uint8(16), [lists]), {}, "groups is 16 at position 0"),
        ((counted, groups.astype(np.int64), [lists]), {}, "groups is an int64 array"),
        ((counted, groups, [lists[:2]]), {}, "number of rows has 2, but rows has 3"),
        ((counted, groups, [lists, ranking]), {}, "must be all arrays or all rankings"),
        ((counted, groups, [np.zeros(3)]), {}, "semantic is a float64 array"),
        ((counted, groups, [lists]), {"rows": np.array([0, 1, 3])}, "rows is 3 at position 2"),
        ((counted, groups, [lists]), {"candidates": np.array([2, 1])}, "strictly increasing"),
        ((counted, groups, [lists]), {"measure": "fi"}, "measure is"),
        ((counted, groups, [lists]), {"base": 1.0}, "base is 1"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            _core.replicates(*arguments, **options)
    with pytest.raises(MemoryLimitError):
        _core.replicates(counted, groups, [lists], memory_limit=1000)


def test_no_lists_and_no_rows_give_empty_arrays():
    counted, groups = occurrences(3, [{0}, {1}, {0, 2}]), np.arange(3, dtype=np.uint8)
    halves, quarters, agreement = _core.replicates(counted, groups, [])
    assert halves.shape == quarters.shape == (0, 8, 2, 3)
    assert agreement.shape == (8, 2, 3)
    none = np.zeros(0, dtype=np.int64)
    ranking = _core.semantic_ranking(np.eye(3, dtype=np.float32), rows=none)
    found = _core.replicates(counted, groups, [ranking], rows=none)
    assert [scores.shape for scores in found] == [(1, 8, 2, 0), (1, 8, 2, 0), (8, 2, 0)]
