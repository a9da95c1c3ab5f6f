//! `phi`.

use numpy::PyArray2;
use pyo3::prelude::*;

use super::arguments::{context, windows};
use super::arrays::{matrix_of, square_counts};
use super::interruptible::run;
use crate::cooccurrence::validate::Bytes;
use crate::measures;

/// Correlate the occurrences of each pair of features.
///
/// ``(n c_ij - c_i c_j) / sqrt(c_i (n - c_i) c_j (n - c_j))`` with an exact numerator, clipped to
/// [-1, 1]; 0 where a feature never or always occurs.
///
/// Parameters
/// ----------
/// counts : ndarray of shape (F, F), uint32 or int32
///     Number of windows in which both features occur.
/// n_windows : int
///     Number of windows counted.
///
/// Returns
/// -------
/// phi : ndarray of shape (F, F), float64
///     Exactly symmetric.
///
/// Raises
/// ------
/// InvalidInputError
///     For counts that :meth:`Histogram.from_counts` refuses.
/// MemoryLimitError
///     If ``8 * F**2`` bytes exceed the limit.
///
/// References
/// ----------
/// .. [1] Yule, "On the methods of measuring association between two attributes", Journal of the
///    Royal Statistical Society 75 (1912): the coefficient of a table of two by two.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> phi(np.array([[2, 0], [0, 2]], dtype=np.uint32), n_windows=4)
/// array([[ 1., -1.],
///        [-1.,  1.]])
#[pyfunction]
#[pyo3(signature = (counts, n_windows, memory_limit=None, *, n_threads=None))]
pub(super) fn phi<'py>(
    py: Python<'py>,
    counts: &Bound<'_, PyAny>,
    n_windows: &Bound<'_, PyAny>,
    memory_limit: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let context = context(memory_limit, n_threads)?;
    let n_windows = windows(n_windows)?;
    let (n, counts) = square_counts(counts)?;
    let phi = run(py, &context, || measures::phi(counts.bytes(), n, n_windows, &context))?;
    matrix_of(py, phi, n, n)
}
