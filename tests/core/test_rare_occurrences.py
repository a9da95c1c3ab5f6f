"""Neighbours from sparse occurrences: pruned by a sample, with the lists that all counts give."""

import numpy as np
import pytest

from core.cases import from_dense
from sfal import _core

N_FEATURES, N_WINDOWS = 4_500, 2_000
SAMPLED = slice(2, None, 4)
"""Features in the sample."""


def uneven(rng):
    """Draw increasing frequencies, from features in no window to some in many."""
    return rng.random((N_WINDOWS, N_FEATURES)) < np.linspace(0, 0.01, N_FEATURES) ** 1.5 * 10


def dead_and_always(rng):
    """Draw a third of the features in no window, some in every window, the rest rarely."""
    dense = rng.random((N_WINDOWS, N_FEATURES)) < 0.003
    dense[:, ::3] = False
    dense[:, [7, 100, 4_499]] = True
    return dense


def alike(rng):
    """Repeat a few features, so that nearly all values are ties."""
    few = rng.random((N_WINDOWS, 9)) < 0.005
    return np.tile(few, N_FEATURES // 9)


def misleading(rng):
    """Let the sampled features share windows: their phi is unlike that of the others."""
    dense = rng.random((N_WINDOWS, N_FEATURES)) < 0.002
    dense[:3, SAMPLED] = True
    return dense


def nearly_none(rng):
    """Draw fewer occurrences than features."""
    return rng.random((N_WINDOWS, N_FEATURES)) < 0.0002


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [uneven, dead_and_always, alike, misleading, nearly_none])
@pytest.mark.parametrize("top_n", [1, 40, 1_023, 2_000])
def test_lists_from_sparse_occurrences_equal_those_from_counts(make, top_n):
    counted = from_dense(make(np.random.default_rng(0)).astype(np.uint8))
    histogram = _core.Histogram.from_counts(counted.histogram(), N_WINDOWS)
    found = _core.functional_neighbours(counted, top_n)
    same(found, _core.functional_neighbours(histogram, top_n))
    rng = np.random.default_rng(1)
    rows = rng.permutation(N_FEATURES)[:70]
    same(_core.functional_neighbours(counted, top_n, rows=rows), [a[rows] for a in found])
    candidates = rng.permutation(N_FEATURES)[:4_200]
    asked = {"rows": rows, "candidates": candidates}
    same(
        _core.functional_neighbours(counted, top_n, **asked),
        _core.functional_neighbours(histogram, top_n, **asked),
    )


def test_features_in_more_windows_than_sixteen_bits_can_count():
    n_windows = 70_000
    window = np.arange(n_windows)
    few = np.sort(np.random.default_rng(2).integers(5, 4_200, (n_windows, 2)), axis=1)
    keep = np.column_stack(
        [window < 69_000, window < 68_500, np.ones(n_windows, bool), few[:, 1] > few[:, 0]]
    )
    features = np.column_stack([np.full(n_windows, 3), np.full(n_windows, 4), few])
    counted = _core.Occurrences(4_200)
    counted.extend(
        np.concatenate([[0], keep.sum(axis=1).cumsum()]), features[keep].astype(np.uint32)
    )
    histogram = _core.Histogram.from_counts(counted.histogram(), n_windows)
    asked = {"rows": np.arange(40), "candidates": np.arange(4_200)}
    found = _core.functional_neighbours(counted, 100, **asked)
    same(found, _core.functional_neighbours(histogram, 100, **asked))
    assert (found[0][3, 0], found[0][4, 0]) == (4, 3)


def test_one_thread_and_two_give_the_same_bits():
    counted = from_dense(uneven(np.random.default_rng(3)).astype(np.uint8))
    same(
        _core.functional_neighbours(counted, 300, n_threads=1),
        _core.functional_neighbours(counted, 300, n_threads=2),
    )
