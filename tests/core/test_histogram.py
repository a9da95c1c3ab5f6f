import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef

import reference
from core.cases import from_dense, occurrences, random_windows, window_lists
from sfal import _core
from sfal.errors import InvalidInputError


@given(window_lists(), st.data())
def test_histogram_of_parts_adds_up_to_the_whole(case, data):
    n_features, windows = case
    cut = data.draw(st.integers(0, len(windows)))
    head, tail = _core.Histogram(n_features), _core.Histogram(n_features)
    head.update(occurrences(n_features, windows[:cut]))
    tail.update(occurrences(n_features, windows[cut:]))
    head.merge(tail)
    expected = reference.histogram(windows, n_features)
    np.testing.assert_array_equal(head.histogram(), expected)
    np.testing.assert_array_equal(head.counts(), expected.diagonal())
    assert head.n_windows == len(windows)


def test_merging_with_itself_doubles():
    counted = _core.Histogram(2)
    counted.update(occurrences(2, [{0}, {0, 1}]))
    counted.merge(counted)
    assert counted.histogram().tolist() == [[4, 2], [2, 2]]
    assert counted.n_windows == 4


@pytest.mark.parametrize("dtype", [np.uint32, np.int32])
def test_counts_taken_over_are_neither_copied_nor_written(dtype):
    counts = np.array([[2, 1], [1, 1]], dtype=dtype)
    counts.setflags(write=False)
    kept = _core.Histogram.from_counts(counts, 2)
    kept.update(occurrences(2, [{0, 1}]))
    assert counts.tolist() == [[2, 1], [1, 1]]
    assert kept.histogram().tolist() == [[3, 2], [2, 2]]
    assert kept.n_windows == 3


def test_counts_mapped_at_an_odd_address_are_read():
    # np.savez stores an array at any offset.
    raw = np.zeros(4 * 9 + 1, dtype=np.uint8)
    counts = raw[1:].view(np.int32).reshape(3, 3)
    counts[:] = [[2, 1, 0], [1, 2, 0], [0, 0, 1]]
    assert not counts.flags.aligned
    kept = _core.Histogram.from_counts(counts, 4)
    assert kept.histogram().tolist() == counts.tolist()
    assert _core.functional_neighbours(kept, 1)[0].tolist() == [[1], [0], [0]]
    np.testing.assert_array_equal(_core.phi(counts, 4), reference.phi(counts, 4))


@given(window_lists())
def test_phi_equals_the_loops_to_the_last_bit(case):
    n_features, windows = case
    counts = reference.histogram(windows, n_features)
    phi = _core.phi(counts, len(windows))
    np.testing.assert_array_equal(phi, reference.phi(counts, len(windows)))
    np.testing.assert_array_equal(phi, phi.T)
    assert phi.min() >= -1
    assert phi.max() <= 1


@given(
    st.integers(1, 2**32 - 1).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n), st.floats(0, 1))
    )
)
def test_phi_is_exact_up_to_the_largest_counts(case):
    n, c_i, c_j, share = case
    least, most = max(0, c_i + c_j - n), min(c_i, c_j)
    both = least + round(share * (most - least))
    assume(least <= both <= most)
    counts = np.array([[c_i, both], [both, c_j]], dtype=np.uint32)
    np.testing.assert_array_equal(_core.phi(counts, n), reference.phi(counts, n))


@given(window_lists())
def test_phi_equals_matthews_correlation(case):
    n_features, windows = case
    assume(windows)
    phi = _core.phi(reference.histogram(windows, n_features), len(windows))
    dense = np.array([[f in w for f in range(n_features)] for w in windows])
    for i in range(n_features):
        for j in range(n_features):
            if len(set(dense[:, i])) == len(set(dense[:, j])) == 2:
                expected = matthews_corrcoef(dense[:, i], dense[:, j])
                assert phi[i, j] == pytest.approx(expected, abs=1e-12)
            else:
                assert phi[i, j] == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ((0, 2, 1), r"counts\[0, 2\]"),  # asymmetric
        ((1, 0, 1), r"counts\[0, 1\]"),
        ((3, 3, 8), r"counts\[3, 3\] is 8"),  # more than n
        ((3, 3, -1), r"counts\[3, 3\] is -1"),
    ],
)
@pytest.mark.parametrize("check", [_core.Histogram.from_counts, _core.phi])
def test_impossible_counts_are_refused_with_their_position(change, named, check):
    counts = np.diag([5, 6, 7, 1]).astype(np.int32)
    i, j, value = change
    counts[i, j] = value
    with pytest.raises(InvalidInputError, match=named):
        check(counts, 7)


@pytest.mark.parametrize("value", [-1, 2, 2**31 - 1, -(2**31)])
def test_pairs_counted_more_often_than_their_rarer_feature_are_refused(value):
    counts = np.diag([5, 6, 7, 1]).astype(np.int32)
    counts[1, 3] = counts[3, 1] = value
    with pytest.raises(InvalidInputError, match=rf"counts\[1, 3\] is {value}"):
        _core.Histogram.from_counts(counts, 7)


def test_a_wrong_pair_is_found_anywhere_in_a_large_histogram():
    dense = random_windows(4, 300, 300, 0.3)
    counts = from_dense(dense).histogram()
    for i, j in [(0, 299), (299, 0), (127, 128), (150, 20), (255, 256)]:
        wrong = counts.copy()
        wrong[i, j] += 1
        with pytest.raises(InvalidInputError, match=r"but counts\["):
            _core.Histogram.from_counts(wrong, 300)
    _core.Histogram.from_counts(counts, 300)


@pytest.mark.parametrize("place", [(0, 1), (299, 3), (140, 270), (131, 130)])
@pytest.mark.parametrize(
    "read",
    [
        lambda h: _core.functional_neighbours(h, 5),
        lambda h: _core.functional_neighbours(h, 5, rows=np.array([7])),
        lambda h: h.histogram(),
        lambda h: h.merge(_core.Histogram(300)),
        lambda h: _core.Histogram(300).merge(h),
        lambda h: h.update(_core.Occurrences(300)),
    ],
)
def test_deferred_counts_are_refused_by_the_first_call_that_reads_them(place, read):
    counts = from_dense(random_windows(3, 900, 300, 0.2)).histogram()
    counts[place] += 1
    histogram = _core.Histogram.from_counts(counts, 900, deferred=True)
    for _ in range(2):  # a refusal is not forgotten
        with pytest.raises(InvalidInputError, match=rf"counts\[{min(place)}, {max(place)}\]"):
            read(histogram)
    assert histogram.counts()[place[0]] == counts[place[0], place[0]]


def test_deferred_counts_rank_like_checked_ones():
    counts = from_dense(random_windows(3, 900, 300, 0.2)).histogram()
    checked = _core.Histogram.from_counts(counts, 900)
    deferred = _core.Histogram.from_counts(counts, 900, deferred=True)
    for _ in range(2):
        pairs = (_core.functional_neighbours(h, 50) for h in (checked, deferred))
        for a, b in zip(*pairs, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(deferred.histogram(), counts)


def test_a_diagonal_beyond_the_windows_is_refused_at_once():
    counts = np.array([[5, 0], [0, 1]], dtype=np.int32)
    with pytest.raises(InvalidInputError, match=r"counts\[0, 0\] is 5"):
        _core.Histogram.from_counts(counts, 4, deferred=True)
