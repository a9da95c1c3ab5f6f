"""Arguments that the core refuses: with a class of ``sfal.errors``, and changing nothing."""

import contextlib
import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.cases import occurrences, read_back
from sfal import _core
from sfal.errors import InvalidInputError, MemoryLimitError, SfalError

I64, U32 = np.int64, np.uint32
SMALL = [{0, 1}, {2}, {0, 2}]
LISTS = np.array([[1, 2]], dtype=U32)


@pytest.mark.parametrize(
    ("indptr", "indices", "named"),
    [
        ([], [], "indptr is empty"),
        ([1, 1], [], r"indptr\[0\] is 1"),
        ([0, 2, 1], [0, 1], "indptr is 1 after 2 at window 1"),
        ([0, 1], [0, 1], r"indptr\[-1\] is 1"),
        ([0, 9], [0], r"indptr\[-1\] is 9"),
        ([0, -1], [], "after 0 at window 0"),
        ([0, 2**62], [0], r"indptr\[-1\]"),
        ([0, 1, 2], [0, 3], "window 1 has feature 3, but there are only 3"),
        ([0, 2], [1, 0], "window 0 has feature 0 right after 1"),
        ([0, 1, 3], [0, 2, 2], "window 1 has feature 2 right after 2"),
        ([0, 1], [2**32 - 1], "feature 4294967295"),
    ],
)
def test_a_refused_batch_is_named_and_not_appended(indptr, indices, named):
    counted = occurrences(3, SMALL)
    with pytest.raises(InvalidInputError, match=named):
        counted.extend(np.array(indptr, dtype=I64), np.array(indices, dtype=U32))
    assert read_back(counted) == SMALL


@given(
    hnp.arrays(
        I64, st.integers(0, 6), elements=st.integers(-3, 8) | st.integers(-(2**63), 2**63 - 1)
    ),
    hnp.arrays(U32, st.integers(0, 6), elements=st.integers(0, 5) | st.integers(0, 2**32 - 1)),
)
def test_hostile_batches_are_appended_whole_or_refused(indptr, indices):
    counted = occurrences(3, SMALL)
    try:
        counted.extend(indptr, indices)
    except InvalidInputError:
        assert read_back(counted) == SMALL
    else:
        assert counted.n_windows == 3 + len(indptr) - 1
        np.testing.assert_array_equal(counted.rows(3, counted.n_windows)[1], indices)


arrays = hnp.arrays(
    st.sampled_from(
        [np.float32, np.float64, U32, np.int32, I64, np.int8, np.float16, object, ">i4"]
    ),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.integers(0, 5),
)
anything = (
    arrays
    | arrays.map(np.transpose)
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.none()
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=3)
)
CALLS = [
    _core.Occurrences,
    _core.Histogram,
    lambda a, *rest: occurrences(3, SMALL).extend(a, *rest[:1]),
    lambda a, *_: occurrences(3, SMALL).merge(a),
    lambda a, *_: occurrences(3, SMALL).coarsen(a),
    lambda a, *_: occurrences(3, SMALL).select(a),
    lambda a, *_: occurrences(3, SMALL).histogram(a),
    lambda a, *rest: occurrences(3, SMALL).rows(a, *rest[:1]),
    _core.Histogram.from_counts,
    _core.phi,
    _core.functional_neighbours,
    lambda a, *rest: _core.functional_neighbours(occurrences(3, SMALL), 2, "phi", a, *rest[:1]),
    lambda a, *_: _core.functional_neighbours(occurrences(3, SMALL), a),
    _core.semantic_neighbours,
    _core.top_neighbours,
    _core.ndcg,
    _core.chance,
]


@pytest.mark.parametrize("call", range(len(CALLS)))
@given(args=st.lists(anything, min_size=1, max_size=4))
def test_hostile_arguments_are_answered_or_refused_by_name(call, args):
    # A panic would be a BaseException, and anything else a bug.
    with contextlib.suppress(SfalError, TypeError):
        CALLS[call](*args)


@pytest.mark.parametrize("top_n", [0, -1, -(2**63), 2**63, 2**64, -(2**70), 10**50, 1.5, "3", None])
def test_a_top_n_that_is_not_a_positive_number_is_refused(top_n):
    with pytest.raises(InvalidInputError, match="top_n"):
        _core.functional_neighbours(occurrences(3, SMALL), top_n)
    with pytest.raises(InvalidInputError, match="top_n"):
        _core.chance(5, top_n)
    with pytest.raises(InvalidInputError, match="top_n"):
        _core.ndcg(LISTS, LISTS, top_n)


def test_a_huge_top_n_is_cut_to_the_candidates():
    indices, _ = _core.functional_neighbours(occurrences(3, SMALL), 2**62)
    assert indices.shape == (3, 2)
    assert _core.ndcg(LISTS, LISTS, 7_000)[0] == pytest.approx(1)
    with pytest.raises(InvalidInputError, match="finite"):
        _core.ndcg(LISTS, LISTS, 8_000)  # 1.1^8000 > 1.8e308
    with pytest.raises(InvalidInputError, match="finite"):
        _core.chance(5, 2**62)


@pytest.mark.parametrize("base", [1.0, 0.5, -2.0, 0.0, float("nan"), float("inf")])
def test_a_base_whose_gains_do_not_fall_is_refused(base):
    with pytest.raises(InvalidInputError, match="base"):
        _core.ndcg(LISTS, LISTS, 3, base)
    with pytest.raises(InvalidInputError, match="base"):
        _core.chance(5, 3, base)


@pytest.mark.parametrize("n_features", [0, -1, 2**32 + 1, 2**64, 1.0])
def test_a_number_of_features_out_of_range_is_refused(n_features):
    for kind in (_core.Occurrences, _core.Histogram):
        with pytest.raises(InvalidInputError, match="n_features"):
            kind(n_features)


@pytest.mark.parametrize("n_windows", [-1, 2**32, 2**64, 0])
def test_a_number_of_windows_that_contradicts_the_counts_is_refused(n_windows):
    counts = np.ones((2, 2), dtype=U32)
    for check in (_core.phi, _core.Histogram.from_counts):
        with pytest.raises(InvalidInputError):
            check(counts, n_windows)


@pytest.mark.parametrize("name", ["rows", "candidates"])
@pytest.mark.parametrize(
    "features", [np.array([3]), np.array([-1]), np.array([2**32]), np.array([0.0]), [0], 5]
)
def test_rows_and_candidates_that_are_not_features_are_refused(name, features):
    vectors = np.eye(3, dtype=np.float32)
    with pytest.raises(InvalidInputError, match=name):
        _core.functional_neighbours(occurrences(3, SMALL), 2, **{name: features})
    with pytest.raises(InvalidInputError, match=name):
        _core.semantic_neighbours(vectors, 2, **{name: features})


def test_strided_features_are_read_in_their_order():
    rows = np.arange(3)[::-1]
    indices, _ = _core.functional_neighbours(occurrences(3, SMALL), 2, rows=rows)
    np.testing.assert_array_equal(
        indices, _core.functional_neighbours(occurrences(3, SMALL), 2)[0][::-1]
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_is_refused_with_its_place(value, dtype):
    similarity = np.zeros((40, 50), dtype=dtype)
    similarity[31, 41] = value
    with pytest.raises(InvalidInputError, match=r"\[31, 41\]"):
        _core.top_neighbours(similarity, 3)
    _core.top_neighbours(similarity, 3, row_start=10)  # now it is on the diagonal
    square = np.zeros((50, 50), dtype=dtype)
    square[31, 41] = value
    with pytest.raises(InvalidInputError, match=r"\[31, 41\]"):
        _core.ndcg(square, np.zeros((50, 50)), 3)
    with pytest.raises(InvalidInputError, match=r"embeddings\[31, 41\]"):
        _core.semantic_neighbours(similarity.astype(np.float32), 3)


@pytest.mark.parametrize("row_start", [-1, 1, 2**63, 2**64])
def test_rows_beyond_the_last_feature_are_refused(row_start):
    with pytest.raises(InvalidInputError, match="row_start"):
        _core.top_neighbours(np.zeros((3, 3)), 1, row_start)


def test_arrays_of_another_layout_are_refused_and_not_copied():
    square = np.ones((4, 4), dtype=np.float32)
    for wrong in (square[:, ::2], np.ones((4, 3), dtype=np.float32).T):
        with pytest.raises(InvalidInputError, match="contiguous"):
            _core.semantic_neighbours(wrong, 2)
        with pytest.raises(InvalidInputError, match="contiguous"):
            _core.top_neighbours(wrong, 1)
    with pytest.raises(InvalidInputError, match="contiguous"):
        _core.Histogram.from_counts(np.ones((4, 8), dtype=U32)[:, ::2], 4)
    with pytest.raises(InvalidInputError, match="contiguous"):
        occurrences(3, SMALL).select(np.arange(3)[::-1])


def test_lists_of_another_integer_type_are_refused_with_the_expected_dtype():
    signed = LISTS.astype(np.int64)
    for pair, name in (((signed, signed), "functional"), ((LISTS, signed), "semantic")):
        expected = rf"{name} is an int64 array .* 2-D array, of float.* or uint32 ranked lists"
        with pytest.raises(InvalidInputError, match=expected):
            _core.ndcg(*pair)
    with pytest.raises(InvalidInputError, match="functional is a uint16 array"):
        _core.ndcg(LISTS.astype(np.uint16), LISTS)
    with pytest.raises(InvalidInputError, match="similarity is an object array"):
        _core.top_neighbours(np.array([[None]]))


def test_lists_and_similarities_are_not_mixed():
    for pair in ((LISTS, np.zeros((1, 1))), (np.zeros((1, 1)), LISTS)):
        with pytest.raises(
            InvalidInputError, match="both of the same kind, uint32 ranked lists or"
        ):
            _core.ndcg(*pair)
    with pytest.raises(InvalidInputError, match="square"):
        _core.ndcg(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(InvalidInputError, match="rows"):
        _core.ndcg(LISTS, np.vstack([LISTS, LISTS]))


def test_dense_results_beyond_the_memory_limit_are_refused_with_bytes_and_an_alternative():
    counted = occurrences(3, SMALL)
    calls = [
        lambda limit: counted.histogram(memory_limit=limit),
        lambda limit: _core.Histogram(3, memory_limit=limit),
        lambda limit: _core.Histogram(3).histogram(memory_limit=limit),
    ]
    for call in calls:
        call(36)
        with pytest.raises(MemoryLimitError, match=r"36 bytes .* limit is 35 bytes .*: rank"):
            call(35)
    with pytest.raises(MemoryLimitError, match="72 bytes"):
        _core.phi(np.zeros((3, 3), dtype=U32), 1, memory_limit=71)
    with pytest.raises(MemoryLimitError, match="neighbour lists would take 48 bytes"):
        _core.functional_neighbours(counted, 2, memory_limit=47)


def test_dense_results_beyond_the_available_memory_are_refused_by_default():
    for call in (
        lambda: _core.Histogram(2**32),
        lambda: _core.Occurrences(2**24).histogram(),
        lambda: _core.Histogram(2**22),
    ):
        with pytest.raises(MemoryLimitError, match="bytes"):
            call()
    wide = _core.Occurrences(2**32)
    with pytest.raises(MemoryLimitError):
        wide.extend(np.array([0, 0], dtype=I64), np.array([], dtype=U32))
    assert wide.n_windows == 0


def test_sets_of_different_widths_do_not_mix():
    with pytest.raises(InvalidInputError, match="n_features"):
        occurrences(3, SMALL).merge(_core.Occurrences(4))
    with pytest.raises(InvalidInputError, match="n_features"):
        _core.Histogram(3).merge(_core.Histogram(4))
    with pytest.raises(InvalidInputError, match="n_features"):
        _core.Histogram(3).update(_core.Occurrences(4))


@pytest.mark.parametrize("starts", [[], [1], [0, 0], [0, 2, 1], [0, 3], [-1], [0, 2**62]])
def test_runs_that_do_not_increase_from_zero_within_the_windows_are_refused(starts):
    with pytest.raises(InvalidInputError, match="starts"):
        occurrences(3, SMALL).coarsen(np.array(starts, dtype=I64))


@pytest.mark.parametrize("windows", [[3], [-1], [0, 2**62]])
def test_windows_that_do_not_exist_are_refused(windows):
    with pytest.raises(InvalidInputError, match="windows"):
        occurrences(3, SMALL).select(np.array(windows, dtype=I64))


@pytest.mark.parametrize(("start", "stop"), [(2, 1), (0, 4), (-1, 2), (0, 2**63)])
def test_ranges_of_windows_that_do_not_exist_are_refused(start, stop):
    with pytest.raises(InvalidInputError, match=r"start|stop"):
        occurrences(3, SMALL).rows(start, stop)


@pytest.mark.parametrize("n_threads", [0, -1, 1025, 2**64])
def test_a_number_of_threads_out_of_range_is_refused(n_threads):
    with pytest.raises(InvalidInputError, match="n_threads"):
        occurrences(3, SMALL).histogram(n_threads=n_threads)


def test_an_unknown_measure_is_refused_with_the_known_ones():
    with pytest.raises(InvalidInputError, match="must be one of phi, abs_phi"):
        _core.functional_neighbours(occurrences(3, SMALL), 2, "kappa")


def test_counts_are_kept_alive_as_long_as_the_histogram():
    kept = _core.Histogram.from_counts(np.full((300, 300), 7, dtype=U32), 9)
    gc.collect()
    assert (kept.histogram() == 7).all()


def test_no_rows_and_no_candidates_give_empty_lists():
    counted, none = occurrences(3, SMALL), np.zeros(0, dtype=I64)
    assert _core.functional_neighbours(counted, 5, rows=none)[0].shape == (0, 3)
    assert _core.functional_neighbours(counted, 5, candidates=none)[0].shape == (3, 0)
    assert _core.semantic_neighbours(np.eye(3, dtype=np.float32), 5, none)[1].shape == (0, 3)
    assert _core.top_neighbours(np.zeros((0, 3)), 5)[0].shape == (0, 2)
    assert _core.top_neighbours(np.zeros((0, 0)), 5)[0].shape == (0, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda limit: _core.functional_neighbours(_core.Occurrences(2**32), 5, memory_limit=limit),
        lambda limit: _core.functional_neighbours(
            _core.Occurrences(3), 5, rows=np.broadcast_to(np.int64(1), (2**31,)), memory_limit=limit
        ),
        lambda limit: _core.semantic_neighbours(np.zeros((2**31, 0), "f4"), memory_limit=limit),
        lambda limit: _core.ndcg(*[np.zeros((2**60, 0), "u4")] * 2, memory_limit=limit),
    ],
)
def test_sizes_beyond_the_limit_are_refused_before_anything_is_allocated(call):
    with pytest.raises(MemoryLimitError, match="limit"):
        call(1 << 20)
