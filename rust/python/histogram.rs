//! The Python class `Histogram`.

use std::cmp::Ordering;
use std::ptr;
use std::sync::{Arc, RwLock};

use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;

use super::arguments::{context, size, windows};
use super::arrays::{matrix_of, square_counts};
use super::interruptible::{read, run, write};
use super::occurrences::PyOccurrences;
use crate::context::Context;
use crate::cooccurrence::histogram;

/// Dense co-occurrence counts of all pairs of features, ``4 * n_features**2`` bytes.
///
/// Parameters
/// ----------
/// n_features : int
///     Width of the SAE.
/// memory_limit : int, optional
///     Bytes that the call may allocate.
///
/// Raises
/// ------
/// InvalidInputError
///     If ``n_features`` is out of range.
/// MemoryLimitError
///     If the counts exceed the limit.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> counts = np.array([[2, 1], [1, 1]], dtype=np.int32)
/// >>> Histogram.from_counts(counts, n_windows=3).counts()
/// array([2, 1], dtype=uint64)
#[pyclass(frozen, name = "Histogram", module = "sfal._core")]
pub(super) struct PyHistogram(pub(super) RwLock<histogram::Histogram>);

#[pymethods]
impl PyHistogram {
    #[new]
    #[pyo3(signature = (n_features, memory_limit=None))]
    fn new(
        n_features: &Bound<'_, PyAny>,
        memory_limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let n_features = size("n_features", n_features, 1, "from 1 to 4294967296")?;
        let histogram = histogram::Histogram::new(n_features, &context(memory_limit, None)?)?;
        Ok(Self(RwLock::new(histogram)))
    }

    /// Take over existing counts without copying them.
    ///
    /// Parameters
    /// ----------
    /// counts : ndarray of shape (F, F), uint32 or int32
    ///     C-contiguous; may be read-only, memory-mapped, or unaligned. It is kept and must not be
    ///     modified afterwards.
    /// n_windows : int
    ///     Number of windows counted.
    /// deferred : bool
    ///     Check only the diagonal now, and leave the rest to the first call that reads it, so that a
    ///     large file is not read before it is needed.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     If the counts are negative, asymmetric, above the count of either feature, or above
    ///     ``n_windows``; the message names the position.
    #[staticmethod]
    #[pyo3(signature = (counts, n_windows, *, deferred=false))]
    fn from_counts(
        py: Python<'_>,
        counts: &Bound<'_, PyAny>,
        n_windows: &Bound<'_, PyAny>,
        deferred: bool,
    ) -> PyResult<Self> {
        let n_windows = windows(n_windows)?;
        let (n_features, counts) = square_counts(counts)?;
        let counts = Arc::new(counts);
        let context = Context::default();
        let histogram = run(py, &context, || {
            if deferred {
                return histogram::Histogram::from_counts_deferred(counts, n_features, n_windows);
            }
            histogram::Histogram::from_counts(counts, n_features, n_windows, &context)
        })?;
        Ok(Self(RwLock::new(histogram)))
    }

    /// Width of the SAE.
    #[getter]
    fn n_features(&self, py: Python<'_>) -> usize {
        py.detach(|| read(&self.0).n_features())
    }

    /// Number of windows counted so far.
    #[getter]
    fn n_windows(&self, py: Python<'_>) -> u64 {
        py.detach(|| read(&self.0).n_windows())
    }

    /// Add the windows of ``occurrences``; Ctrl-C takes effect when counting ends.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     If the numbers of features differ.
    /// MemoryLimitError
    ///     If counts that were taken over must be copied first, and the copy exceeds the limit.
    fn update(&self, py: Python<'_>, occurrences: &PyOccurrences) -> PyResult<()> {
        let context = Context::default();
        run(py, &context, || {
            let occurrences = occurrences.snapshot();
            write(&self.0).update(&occurrences, &context)
        })
    }

    /// Add the counts of ``other``; merging with itself doubles the counts.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     If the numbers of features differ.
    fn merge(&self, py: Python<'_>, other: &Self) -> PyResult<()> {
        let context = Context::default();
        run(py, &context, || {
            // Both locks are taken in the order of their addresses, so that two threads can merge
            // two histograms with each other without a deadlock.
            match ptr::from_ref(self).cmp(&ptr::from_ref(other)) {
                Ordering::Equal => {
                    let copy = read(&self.0).clone();
                    write(&self.0).merge(&copy, &context)
                }
                Ordering::Less => {
                    let mut sum = write(&self.0);
                    let other = read(&other.0);
                    sum.merge(&other, &context)
                }
                Ordering::Greater => {
                    let other = read(&other.0);
                    write(&self.0).merge(&other, &context)
                }
            }
        })
    }

    /// Return the number of windows in which each feature occurs: the diagonal.
    ///
    /// Returns
    /// -------
    /// counts : ndarray of shape (n_features,), uint64
    fn counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        py.detach(|| read(&self.0).counts()).into_pyarray(py)
    }

    /// Copy all counts.
    ///
    /// Returns
    /// -------
    /// counts : ndarray of shape (n_features, n_features), uint32
    ///
    /// Raises
    /// ------
    /// MemoryLimitError
    ///     If the copy exceeds the limit.
    #[pyo3(signature = (memory_limit=None))]
    fn histogram<'py>(
        &self,
        py: Python<'py>,
        memory_limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let context = context(memory_limit, None)?;
        let n = self.n_features(py);
        let counts = run(py, &context, || read(&self.0).to_dense(&context))?;
        matrix_of(py, counts, n, n)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (features, windows) = (self.n_features(py), self.n_windows(py));
        format!("Histogram(n_features={features}, n_windows={windows})")
    }
}
