//! `overlap` and `rank_biased_overlap`.

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use super::arguments::{Ranks, context, size};
use super::arrays::same_rows;
use super::interruptible::run;
use super::ranking::GivenLists;
use crate::metrics::overlap as metrics;

/// Compute the share of the first neighbours that two lists have in common.
///
/// Parameters
/// ----------
/// functional, semantic : Ranking or ndarray of shape (R, any), uint32
///     Ranked lists. Between two rankings, ties are averaged.
/// depth : int
///     Neighbours that count, at least 1; fewer where a list is shorter.
///
/// Returns
/// -------
/// overlap : ndarray of shape (R,), float64
///     From 0 to 1; NaN where a list is empty.
///
/// Raises
/// ------
/// InvalidInputError
///     For another number of rows or a ``depth`` below 1.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> overlap(np.array([[1, 2]], dtype=np.uint32), np.array([[2, 3]], dtype=np.uint32))
/// array([0.5])
#[pyfunction]
#[pyo3(signature = (functional, semantic, depth=None, *, n_threads=None, memory_limit=None), text_signature = "(functional, semantic, depth=10, *, n_threads=None, memory_limit=None)")]
pub(super) fn overlap<'py>(
    py: Python<'py>,
    functional: &Bound<'py, PyAny>,
    semantic: &Bound<'py, PyAny>,
    depth: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let context = context(memory_limit, n_threads)?;
    let depth =
        depth.map_or(Ok(10), |n| size("depth", n, 1, "a number of neighbours, at least 1"))?;
    let lists = (
        GivenLists::extract("functional", functional)?,
        GivenLists::extract("semantic", semantic)?,
    );
    let (f, s) = (lists.0.lists("functional")?, lists.1.lists("semantic")?);
    same_rows(f.n_rows, s.n_rows)?;
    Ok(run(py, &context, || metrics::overlap(f, s, depth, &context))?.into_pyarray(py))
}

/// Compute the rank-biased overlap of two lists, extrapolated.
///
/// The share of common neighbours at each depth d, weighted by ``p**d``; what lies beyond the lists
/// is taken to agree as much as the lists do. Ties are broken in all ways, and the mean is returned.
///
/// Parameters
/// ----------
/// functional, semantic : Ranking or ndarray of shape (R, any), uint32
///     Ranked lists. Between two rankings, ties are averaged.
/// top_n : int
///     Depth of both lists, at least 1.
/// p : float
///     Persistence, between 0 and 1: the first ``1 / (1 - p)`` ranks or so count.
///
/// Returns
/// -------
/// overlap : ndarray of shape (R,), float64
///     From 0 to 1; NaN where a list is empty.
///
/// Raises
/// ------
/// InvalidInputError
///     For another number of rows, or ``top_n`` or ``p`` out of range.
///
/// References
/// ----------
/// .. [1] Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", ACM Transactions
///    on Information Systems 28 (2010), equation 32.
/// .. [2] Corsi and Urbano, "The treatment of ties in rank-biased overlap", SIGIR 2024, variant a.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> lists = np.array([[1, 2, 3]], dtype=np.uint32)
/// >>> rank_biased_overlap(lists, lists).round(12)
/// array([1.])
#[pyfunction]
#[pyo3(signature = (functional, semantic, top_n=Ranks(1023), p=0.98, *, n_threads=None, memory_limit=None), text_signature = "(functional, semantic, top_n=1023, p=0.98, *, n_threads=None, memory_limit=None)")]
pub(super) fn rank_biased_overlap<'py>(
    py: Python<'py>,
    functional: &Bound<'py, PyAny>,
    semantic: &Bound<'py, PyAny>,
    top_n: Ranks,
    p: f64,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let context = context(memory_limit, n_threads)?;
    let lists = (
        GivenLists::extract("functional", functional)?,
        GivenLists::extract("semantic", semantic)?,
    );
    let (f, s) = (lists.0.lists("functional")?, lists.1.lists("semantic")?);
    same_rows(f.n_rows, s.n_rows)?;
    let work = || metrics::rank_biased_overlap(f, s, top_n.0, p, &context);
    Ok(run(py, &context, work)?.into_pyarray(py))
}
