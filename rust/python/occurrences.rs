//! The Python class `Occurrences`.

use std::sync::RwLock;

use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;

use super::arguments::{context, size};
use super::arrays::{contiguous, matrix_of, vector};
use super::interruptible::{read, run, write};
use crate::context::Context;
use crate::occurrences;

/// Number of entries below which appending a batch takes about a millisecond.
const SMALL: usize = 1 << 17;

/// Which feature occurs in which window, one bit each.
///
/// Safe to use from several threads: a call works on the windows that exist when it begins.
///
/// Parameters
/// ----------
/// n_features : int
///     Width of the SAE, from 1 to 2**32.
///
/// Raises
/// ------
/// InvalidInputError
///     If ``n_features`` is out of range.
///
/// Notes
/// -----
/// Memory is ``n_features * n_windows / 8`` bytes, at most twice that until the last block of
/// 16,384 windows is full, and at least 64 bytes per feature.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> windows = Occurrences(3)
/// >>> windows.extend(np.array([0, 2, 3]), np.array([0, 2, 2], dtype=np.uint32))
/// >>> windows.counts()
/// array([1, 0, 2], dtype=uint64)
#[pyclass(frozen, name = "Occurrences", module = "sfal._core")]
pub(super) struct PyOccurrences(RwLock<occurrences::Occurrences>);

impl PyOccurrences {
    fn wrap(occurrences: occurrences::Occurrences) -> Self {
        Self(RwLock::new(occurrences))
    }

    /// Clone the set, sharing its bits, so that no lock is held during a computation.
    pub(super) fn snapshot(&self) -> occurrences::Occurrences {
        read(&self.0).clone()
    }
}

#[pymethods]
impl PyOccurrences {
    #[new]
    fn new(n_features: &Bound<'_, PyAny>) -> PyResult<Self> {
        let n_features = size("n_features", n_features, 1, "from 1 to 4294967296")?;
        Ok(Self::wrap(occurrences::Occurrences::new(n_features)?))
    }

    /// Width of the SAE.
    #[getter]
    fn n_features(&self, py: Python<'_>) -> usize {
        py.detach(|| read(&self.0).n_features())
    }

    /// Number of windows appended so far.
    #[getter]
    fn n_windows(&self, py: Python<'_>) -> usize {
        py.detach(|| read(&self.0).n_windows())
    }

    /// Append windows, given by the features of each.
    ///
    /// Parameters
    /// ----------
    /// indptr : ndarray of shape (n_windows + 1,), int64
    ///     Bounds of each window in ``indices``. Starts at 0, never decreases, ends at ``nnz``.
    /// indices : ndarray of shape (nnz,), uint32
    ///     Features, strictly increasing within a window.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     For any other batch; the message names the window (of this batch) and the feature.
    /// MemoryLimitError
    ///     If the bits exceed the limit.
    fn extend(
        &self,
        py: Python<'_>,
        indptr: &Bound<'_, PyAny>,
        indices: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let indptr = vector::<i64>("indptr", indptr)?;
        let indices = vector::<u32>("indices", indices)?;
        let (indptr, indices) = (contiguous("indptr", &indptr)?, contiguous("indices", &indices)?);
        let context = Context::default();
        let extend = || write(&self.0).extend(indptr, indices, &context);
        // A thread that checks for Ctrl-C costs more than a small batch.
        if indices.len() < SMALL {
            return Ok(py.detach(extend)?);
        }
        run(py, &context, extend)
    }

    /// Append all windows of ``other`` in order; merging with itself doubles the set.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     If the numbers of features differ.
    /// MemoryLimitError
    ///     If the bits exceed the limit.
    fn merge(&self, py: Python<'_>, other: &Self) -> PyResult<()> {
        let context = Context::default();
        run(py, &context, || {
            // The snapshot is taken before the lock, so that a set can merge with itself, and two
            // threads can merge two sets with each other.
            let other = other.snapshot();
            write(&self.0).merge(&other, &context)
        })
    }

    /// Count the windows in which each feature occurs.
    ///
    /// Returns
    /// -------
    /// counts : ndarray of shape (n_features,), uint64
    fn counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        py.detach(|| self.snapshot().counts()).into_pyarray(py)
    }

    /// Count the windows in which both features of each pair occur.
    ///
    /// Returns
    /// -------
    /// counts : ndarray of shape (n_features, n_features), uint32
    ///     Symmetric; the diagonal is :meth:`counts`.
    ///
    /// Raises
    /// ------
    /// MemoryLimitError
    ///     If ``4 * n_features**2`` bytes exceed the limit.
    #[pyo3(signature = (memory_limit=None, *, n_threads=None))]
    fn histogram<'py>(
        &self,
        py: Python<'py>,
        memory_limit: Option<&Bound<'_, PyAny>>,
        n_threads: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let context = context(memory_limit, n_threads)?;
        let occurrences = py.detach(|| self.snapshot());
        let n = occurrences.n_features();
        let counts = run(py, &context, || occurrences.histogram(&context))?;
        matrix_of(py, counts, n, n)
    }

    /// Join runs of consecutive windows; a feature occurs in a run if any of its windows has it.
    ///
    /// Parameters
    /// ----------
    /// starts : ndarray of shape (m,), int64
    ///     First window of each run, strictly increasing from 0; the last run extends to the end.
    ///
    /// Returns
    /// -------
    /// joined : Occurrences
    ///     Set of ``m`` windows.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     If ``starts`` does not strictly increase from 0, or exceeds the windows.
    fn coarsen(&self, py: Python<'_>, starts: &Bound<'_, PyAny>) -> PyResult<Self> {
        let starts = vector::<i64>("starts", starts)?;
        let starts = contiguous("starts", &starts)?;
        let context = Context::default();
        run(py, &context, || self.snapshot().coarsen(starts, &context)).map(Self::wrap)
    }

    /// Select windows in the order given; repeats are allowed.
    ///
    /// Parameters
    /// ----------
    /// windows : ndarray of shape (m,), int64
    ///     Indices of windows.
    ///
    /// Returns
    /// -------
    /// chosen : Occurrences
    ///     Set of ``m`` windows.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     If a window does not exist.
    fn select(&self, py: Python<'_>, windows: &Bound<'_, PyAny>) -> PyResult<Self> {
        let windows = vector::<i64>("windows", windows)?;
        let windows = contiguous("windows", &windows)?;
        let context = Context::default();
        run(py, &context, || self.snapshot().select(windows, &context)).map(Self::wrap)
    }

    /// Return the windows from ``start`` to before ``stop``, as :meth:`extend` takes them.
    ///
    /// Returns
    /// -------
    /// indptr : ndarray of shape (stop - start + 1,), int64
    /// indices : ndarray of shape (nnz,), uint32
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     Unless ``0 <= start <= stop <= n_windows``.
    #[allow(clippy::type_complexity)]
    fn rows<'py>(
        &self,
        py: Python<'py>,
        start: &Bound<'_, PyAny>,
        stop: &Bound<'_, PyAny>,
    ) -> PyResult<(Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u32>>)> {
        let start = size("start", start, 0, "from 0 to n_windows")?;
        let stop = size("stop", stop, 0, "from 0 to n_windows")?;
        let context = Context::default();
        let (indptr, indices) = run(py, &context, || self.snapshot().rows(start, stop, &context))?;
        Ok((indptr.into_pyarray(py), indices.into_pyarray(py)))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (features, windows) = (self.n_features(py), self.n_windows(py));
        format!("Occurrences(n_features={features}, n_windows={windows})")
    }
}
