"""Cases for the tests of the core: windows as sets, arrays and ``Occurrences``."""

import numpy as np
from hypothesis import strategies as st

from reference import to_csr
from sfal import _core

MAX_FEATURES = 9


@st.composite
def window_lists(draw, max_windows=40):
    """Draw (n_features, windows) of any density; windows may be empty."""
    n_features = draw(st.integers(1, MAX_FEATURES))
    window = st.sets(st.integers(0, n_features - 1))
    return n_features, draw(st.lists(window, max_size=max_windows))


def occurrences(n_features, windows):
    """Make an ``Occurrences`` of these windows."""
    counted = _core.Occurrences(n_features)
    counted.extend(*to_csr(windows))
    return counted


def read_back(counted):
    """Return the windows of an ``Occurrences`` as sets."""
    indptr, indices = counted.rows(0, counted.n_windows)
    return [set(map(int, w)) for w in np.split(indices, indptr[1:-1])] if len(indptr) > 1 else []


def random_windows(seed, n_windows, n_features, density):
    """Draw windows as a dense 0/1 array; the frequencies of the features differ."""
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.1, 2.0, n_features)
    return (rng.random((n_windows, n_features)) < density * scale).astype(np.uint8)


def dense_csr(dense):
    """Convert a dense 0/1 array (windows, features) to a CSR batch."""
    indptr = np.concatenate([[0], dense.sum(axis=1, dtype=np.int64).cumsum()])
    return indptr, np.nonzero(dense)[1].astype(np.uint32)


def from_dense(dense):
    """Make an ``Occurrences`` of a dense 0/1 array (windows, features)."""
    counted = _core.Occurrences(dense.shape[1])
    counted.extend(*dense_csr(dense))
    return counted
