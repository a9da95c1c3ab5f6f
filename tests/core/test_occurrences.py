import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import reference
from core.cases import dense_csr, from_dense, occurrences, random_windows, read_back, window_lists
from sfal import _core

U32 = np.uint32


def test_three_windows_counted_by_hand():
    # {0, 1}, {0, 1}, {2}: 0 and 1 always together, 2 alone.
    counted = occurrences(3, [{0, 1}, {0, 1}, {2}])
    assert counted.histogram().tolist() == [[2, 2, 0], [2, 2, 0], [0, 0, 1]]
    assert counted.counts().tolist() == [2, 2, 1]
    assert (counted.n_windows, counted.n_features) == (3, 3)
    assert counted.histogram().dtype == U32
    assert counted.counts().dtype == np.uint64


@given(window_lists())
def test_histogram_equals_the_loops(case):
    n_features, windows = case
    counted = occurrences(n_features, windows)
    expected = reference.histogram(windows, n_features)
    np.testing.assert_array_equal(counted.histogram(), expected)
    np.testing.assert_array_equal(counted.counts(), expected.diagonal())


@given(window_lists(), st.data())
def test_rows_return_the_appended_windows(case, data):
    n_features, windows = case
    counted = occurrences(n_features, windows)
    start = data.draw(st.integers(0, len(windows)))
    stop = data.draw(st.integers(start, len(windows)))
    indptr, indices = counted.rows(start, stop)
    expected = reference.to_csr(windows[start:stop])
    np.testing.assert_array_equal(indptr, expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    assert (indptr.dtype, indices.dtype) == (np.int64, U32)


@given(window_lists(), st.data())
def test_appending_in_batches_and_merging_sets_equal_one_batch(case, data):
    n_features, windows = case
    cut = data.draw(st.integers(0, len(windows)))
    batches = _core.Occurrences(n_features)
    for batch in (windows[:cut], windows[cut:]):
        batches.extend(*reference.to_csr(batch))
    merged = occurrences(n_features, windows[:cut])
    merged.merge(occurrences(n_features, windows[cut:]))
    assert read_back(batches) == read_back(merged) == [set(w) for w in windows]


@given(window_lists(), st.data())
def test_coarsening_is_the_or_of_each_run(case, data):
    n_features, windows = case
    counted = occurrences(n_features, windows)
    if not windows:
        assert counted.coarsen(np.zeros(0, dtype=np.int64)).n_windows == 0
        return
    inner = data.draw(st.sets(st.integers(1, len(windows)))) - {len(windows)}
    starts = [0, *sorted(inner)]
    joined = counted.coarsen(np.array(starts, dtype=np.int64))
    assert read_back(joined) == reference.coarsen(windows, starts)


@given(window_lists(), st.data())
def test_selecting_takes_windows_in_the_order_given_with_repeats(case, data):
    n_features, windows = case
    numbers = st.lists(st.integers(0, len(windows) - 1)) if windows else st.just([])
    chosen = data.draw(numbers)
    selected = occurrences(n_features, windows).select(np.array(chosen, dtype=np.int64))
    assert read_back(selected) == [set(windows[w]) for w in chosen]


@given(window_lists(), st.randoms())
def test_counts_do_not_depend_on_window_order(case, random):
    n_features, windows = case
    expected = occurrences(n_features, windows).histogram()
    random.shuffle(windows)
    np.testing.assert_array_equal(occurrences(n_features, windows).histogram(), expected)


def test_merging_with_itself_doubles():
    counted = occurrences(3, [{0, 1}, {2}, set()])
    counted.merge(counted)
    assert read_back(counted) == [{0, 1}, {2}, set()] * 2


@pytest.mark.parametrize("density", [0.002, 0.05, 0.5])
@pytest.mark.parametrize("n_windows", [511, 512, 16_384, 16_385, 40_000])
def test_histogram_over_several_blocks_equals_scipy(density, n_windows):
    dense = random_windows(1, n_windows, 131, density)
    counted = _core.Occurrences(131)
    indptr, indices = dense_csr(dense)
    for start in range(0, n_windows, 7_000):  # batches that cross the bounds of blocks
        stop = min(start + 7_000, n_windows)
        counted.extend(
            indptr[start : stop + 1] - indptr[start], indices[indptr[start] : indptr[stop]]
        )
    sparse = scipy.sparse.csr_array(dense.astype(np.int64))
    np.testing.assert_array_equal(counted.histogram(), (sparse.T @ sparse).toarray())


def test_operations_over_several_blocks_equal_numpy():
    dense = random_windows(2, 36_000, 21, 0.2)
    counted = from_dense(dense)
    indptr, indices = counted.rows(16_000, 33_000)
    expected = dense_csr(dense[16_000:33_000])
    np.testing.assert_array_equal(indptr, expected[0])
    np.testing.assert_array_equal(indices, expected[1])

    windows = np.random.default_rng(3).integers(0, 36_000, 20_000)
    selected = dense_csr(dense[windows])
    for got, want in zip(counted.select(windows).rows(0, 20_000), selected, strict=True):
        np.testing.assert_array_equal(got, want)

    starts = np.unique(np.concatenate([[0], windows]))
    joined = dense_csr(np.maximum.reduceat(dense, starts))
    for got, want in zip(counted.coarsen(starts).rows(0, len(starts)), joined, strict=True):
        np.testing.assert_array_equal(got, want)

    head, tail = from_dense(dense[:17_777]), from_dense(dense[17_777:])
    head.merge(tail)
    whole = dense_csr(dense)
    for got, want in zip(head.rows(0, 36_000), whole, strict=True):
        np.testing.assert_array_equal(got, want)


def test_counts_of_no_windows_are_zero():
    counted = _core.Occurrences(4)
    assert not counted.histogram().any()
    assert not counted.counts().any()
    assert counted.rows(0, 0)[0].tolist() == [0]
