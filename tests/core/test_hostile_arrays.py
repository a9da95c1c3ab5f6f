"""Arrays in every NumPy layout: the same result as for a plain copy, or a refusal by name."""

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cases import dense_csr, from_dense, random_windows, read_back
from sfal import _core
from sfal.errors import MemoryLimitError, SfalError

DENSE = random_windows(3, 60, 7, 0.4)
COUNTED = from_dense(DENSE)
INDPTR, INDICES = dense_csr(DENSE)
COUNTS = COUNTED.histogram()
PHI = _core.phi(COUNTS, 60)
VECTORS = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
LISTS = _core.semantic_neighbours(VECTORS, 4)[0]
FEATURES = np.array([4, 1, 1, 6], dtype=np.int64)


class Subclass(np.ndarray):
    """A subclass of ndarray."""


def _unaligned(array):
    raw = np.frombuffer(b"\0" + array.tobytes(), np.uint8)
    return np.ndarray(array.shape, array.dtype, raw.data, offset=1)


def _strided(array):
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _between(array):
    """Return rows with a gap after each."""
    wide = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
    wide[..., :-3] = array
    return wide[..., :-3]


def _mapped(array):
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(array.tobytes())
        file.flush()
        return np.memmap(file, array.dtype, "r", shape=array.shape)


def _read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


PLAIN = {
    "read-only": _read_only,
    "subclass": lambda a: a.copy().view(Subclass),
    "mapped": _mapped,
    "masked": lambda a: np.ma.masked_array(a.copy()),
}
"""Layouts of the same bytes in the same order, which are always accepted."""
ODD = {
    "column order": np.asfortranarray,
    "backwards": lambda a: a[::-1].copy()[::-1],
    "backwards in all": lambda a: np.flip(np.flip(a).copy()),
    "strided": _strided,
    "with gaps": _between,
    "zero strides": lambda a: np.broadcast_to(a.flat[0] if a.size else a.dtype.type(0), a.shape),
    "unaligned": _unaligned,
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "one dimension more": lambda a: a[None],
    "no dimension": lambda a: a.reshape(-1)[0],
    "flat": lambda a: a.reshape(-1),
    "object": lambda a: a.astype(object),
    "wider": lambda a: a.astype(np.longdouble),
    "narrower": lambda a: a.astype(np.int8),
    "complex": lambda a: a.astype(complex),
    "text": lambda a: a.astype("U8"),
    "records": lambda a: a.copy().view([("x", a.dtype)]),
    "list": lambda a: a.tolist(),
    "bytes": lambda a: a.tobytes(),
    "memory": lambda a: memoryview(np.ascontiguousarray(a)),
    "empty": lambda a: a[:0],
    "huge": lambda a: np.broadcast_to(a.dtype.type(1), (1 << (20, 29)[a.ndim - 1],) * a.ndim),
}
LAYOUTS = PLAIN | ODD


def extended(indptr, indices):
    counted = _core.Occurrences(7)
    counted.extend(indptr, indices)
    return counted.rows(0, counted.n_windows)


CALLS = {
    "extend": (extended, [INDPTR, INDICES]),
    "coarsen": (lambda a: read_back(COUNTED.coarsen(a)), [np.array([0, 5, 9], dtype=np.int64)]),
    "select": (lambda a: read_back(COUNTED.select(a)), [FEATURES]),
    "from_counts": (lambda a: _core.Histogram.from_counts(a, 60).histogram(), [COUNTS]),
    "signed counts": (
        lambda a: _core.functional_neighbours(_core.Histogram.from_counts(a, 60), 3),
        [COUNTS.astype(np.int32)],
    ),
    "phi": (lambda a: _core.phi(a, 60), [COUNTS]),
    "functional": (
        lambda a, b: _core.functional_neighbours(COUNTED, 3, rows=a, candidates=b),
        [FEATURES, FEATURES.astype(np.uint32)],
    ),
    "semantic": (lambda a, b: _core.semantic_neighbours(a, 3, rows=b), [VECTORS, FEATURES]),
    "top": (lambda a: _core.top_neighbours(a, 3), [PHI]),
    "top, float32": (lambda a: _core.top_neighbours(a, 3, 2), [PHI[2:5].astype(np.float32)]),
    "ndcg": (lambda a, b: _core.ndcg(a, b, 3), [PHI, PHI.astype(np.float32)]),
    "ndcg of lists": (lambda a, b: _core.ndcg(a, b, 3), [LISTS, LISTS[:, ::-1].copy()]),
}


@pytest.mark.parametrize("call", CALLS)
@given(data=st.data())
def test_a_layout_gives_what_a_plain_copy_gives_or_is_refused(call, data):
    function, arrays = CALLS[call]
    names = [data.draw(st.sampled_from(["as it is", *LAYOUTS])) for _ in arrays]
    given_ = [LAYOUTS[n](a) if n in LAYOUTS else a for n, a in zip(names, arrays, strict=True)]
    try:
        found = function(*given_)
    except (SfalError, TypeError):
        assert not {"as it is", *PLAIN}.issuperset(names)
        return
    copies = [np.ascontiguousarray(np.asarray(a)) for a in given_]
    expected = function(*(c.astype(c.dtype.newbyteorder("="), copy=False) for c in copies))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", [2**20, 2**31, 2**32, 2**33, 2**40, 2**59])
def test_empty_arrays_of_sizes_near_overflow_are_answered_or_refused(n):
    limit = {"memory_limit": 1 << 20}
    single, double, lists = (np.zeros((0, n), kind) for kind in (np.float32, np.float64, np.uint32))
    calls = [
        lambda: _core.semantic_neighbours(single, n, **limit),
        lambda: _core.top_neighbours(single, n, **limit),
        lambda: _core.top_neighbours(single.T, n, **limit),
        lambda: _core.top_neighbours(double, n, n, **limit),
        lambda: _core.ndcg(lists, lists, 9, **limit),
        lambda: _core.ndcg(double, double, 9, **limit),
        lambda: _core.ndcg(double.T.copy(), double, 9, **limit),
        lambda: _core.Histogram.from_counts(lists, n),
        lambda: _core.Histogram.from_counts(lists.T.copy(), n),
        lambda: _core.phi(lists, n, **limit),
    ]
    for call in calls:
        with contextlib.suppress(SfalError):
            call()


@pytest.mark.parametrize("n", [2**16, 2**31, 2**32])
def test_widths_near_overflow_are_refused_for_their_memory(n):
    wide = _core.Occurrences(n)
    with pytest.raises(MemoryLimitError):
        wide.histogram(memory_limit=1 << 20)
    with pytest.raises(MemoryLimitError):
        _core.Histogram(n, memory_limit=1 << 20)
    rows = np.arange(1000)
    with pytest.raises(MemoryLimitError):
        _core.functional_neighbours(wide, n, rows=rows, candidates=rows, memory_limit=1 << 20)
    assert wide.n_windows == 0


def test_hostile_calls_from_many_threads_change_nothing_except_by_appending(tally):
    """Refused calls of one thread do not affect another, and nothing panics."""
    counted = _core.Occurrences(7)
    histogram = _core.Histogram(7)

    def work(seed):
        rng, appended = random.Random(seed), 0
        for _ in range(150):
            name = rng.choice(list(CALLS))
            function, arrays = CALLS[name]
            hostile = [LAYOUTS[rng.choice(list(LAYOUTS))](a) for a in arrays]
            with contextlib.suppress(SfalError, TypeError):
                function(*hostile)
            with contextlib.suppress(SfalError, TypeError):
                counted.extend(*(LAYOUTS[rng.choice(list(LAYOUTS))](a) for a in (INDPTR, INDICES)))
                appended += 1
            with contextlib.suppress(SfalError, TypeError):
                counted.extend(INDPTR, INDICES[::-1].copy())
                appended += 1
            histogram.update(COUNTED)
            windows = counted.n_windows
            assert windows % 60 == 0 or windows == 0
            counted.rows(0, windows)
        return appended

    with ThreadPoolExecutor(6) as pool:
        appended = sum(pool.map(work, range(6)))
    assert counted.n_windows == 60 * appended > 0
    np.testing.assert_array_equal(counted.counts(), COUNTED.counts() * appended)
    np.testing.assert_array_equal(histogram.histogram(), COUNTS * 900)
    tally("hostile inputs: calls of the core on six threads", 3 * 900)
