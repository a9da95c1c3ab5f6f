//! `ndcg` and `chance`.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arguments::{Ranks, candidate_count, context};
use super::arrays::{contiguous2, refused, same_rows, shown};
use super::interruptible::run;
use super::ranking::PyRanking;
use super::similarity::Similarity;
use crate::error::Error;
use crate::metrics::{ndcg as ndcg_core, ties};

/// Score how well the functional order predicts the semantic one.
///
/// Rank ``r`` of the semantic list has the gain ``base**(top_n - r) - 1``. The sum of these gains
/// in functional order, with discounts ``1 / log2(r + 2)``, is divided by that in semantic order.
///
/// Parameters
/// ----------
/// functional, semantic : ndarray of shape (F, F), float, or (R, any), uint32, or Ranking
///     Similarities, of which the ``top_n`` largest per row are taken, or ranked lists, which are
///     cut to ``top_n``. Both must be of the same kind. Between two rankings, the mean over all
///     orders of ties is returned, both orders being random and independent.
/// top_n : int
///     Length of both lists, at least 1.
/// base : float
///     Base of the gains, above 1.
///
/// Returns
/// -------
/// ndcg : ndarray of shape (F,) or (R,), float64
///     From 0 to 1; NaN where the semantic list is empty.
///
/// Raises
/// ------
/// InvalidInputError
///     For shapes that do not agree, NaN or infinity off a diagonal, or gains beyond float64.
///
/// References
/// ----------
/// .. [1] Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM
///    Transactions on Information Systems 20 (2002).
/// .. [2] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for Distributional Evaluation of
///    Auto-Interpretability in Sparse Autoencoders", EMNLP 2025 Industry Track,
///    2025.emnlp-industry.39.
/// .. [3] McSherry and Najork, "Computing information retrieval performance measures efficiently in
///    the presence of tied scores", ECIR 2008.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> lists = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.uint32)
/// >>> ndcg(lists, lists, top_n=2)
/// array([1., 1., 1.])
#[pyfunction]
#[pyo3(signature = (functional, semantic, top_n=Ranks(1023), base=1.1, *, n_threads=None, memory_limit=None), text_signature = "(functional, semantic, top_n=1023, base=1.1, *, n_threads=None, memory_limit=None)")]
pub(super) fn ndcg<'py>(
    py: Python<'py>,
    functional: &Bound<'_, PyAny>,
    semantic: &Bound<'_, PyAny>,
    top_n: Ranks,
    base: f64,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let context = context(memory_limit, n_threads)?;
    if let (Ok(f), Ok(s)) = (functional.cast::<PyArray2<u32>>(), semantic.cast::<PyArray2<u32>>()) {
        let (f, s) = (f.readonly(), s.readonly());
        same_rows(f.shape()[0], s.shape()[0])?;
        let n_rows = f.shape()[0];
        let (f, s) = (contiguous2("functional", &f)?, contiguous2("semantic", &s)?);
        let scores =
            run(py, &context, || ndcg_core::ranked(f, s, n_rows, top_n.0, base, &context))?;
        return Ok(scores.into_pyarray(py));
    }
    if let (Ok(f), Ok(s)) = (functional.cast::<PyRanking>(), semantic.cast::<PyRanking>()) {
        let (f, s) = (f.get().lists(), s.get().lists());
        same_rows(f.n_rows, s.n_rows)?;
        let scores = run(py, &context, || ties::ndcg(f, s, top_n.0, base, &context))?;
        return Ok(scores.into_pyarray(py));
    }
    let similarities = (Similarity::extract(functional), Similarity::extract(semantic));
    let (Some(f), Some(s)) = similarities else {
        return Err(no_pair(functional, semantic));
    };
    for (name, (rows, columns)) in [("functional", f.shape()), ("semantic", s.shape())] {
        if rows != columns {
            let got = format!("of shape ({rows}, {columns})");
            return Err(Error::argument(name, got, "square, or uint32 ranked lists").into());
        }
    }
    same_rows(f.shape().0, s.shape().0)?;
    let n_rows = f.shape().0;
    let (f, s) =
        (f.top(py, (top_n.0, 0), false, &context)?, s.top(py, (top_n.0, 0), false, &context)?);
    let scores =
        py.detach(|| ndcg_core::ranked(&f.indices, &s.indices, n_rows, top_n.0, base, &context))?;
    Ok(scores.into_pyarray(py))
}

/// Return the expected NDCG of a uniformly random functional order.
///
/// At each rank, the expected gain is the mean gain of a candidate, whatever the semantic list, so
/// no sampling is needed. Alignment beyond chance is ``(ndcg - chance) / (1 - chance)``.
///
/// Parameters
/// ----------
/// n_candidates : int
///     Number of features that may appear in the list: all but the row's own.
///
/// Returns
/// -------
/// chance : float
///     Mean gain of a candidate times the sum of discounts, divided by the ideal DCG; NaN without
///     candidates.
///
/// Examples
/// --------
/// >>> round(chance(16383), 3)
/// 0.019
#[pyfunction]
#[pyo3(signature = (n_candidates, top_n=Ranks(1023), base=1.1), text_signature = "(n_candidates, top_n=1023, base=1.1)")]
pub(super) fn chance(n_candidates: &Bound<'_, PyAny>, top_n: Ranks, base: f64) -> PyResult<f64> {
    Ok(ndcg_core::chance(candidate_count(n_candidates)?, top_n.0, base)?)
}

/// Explain why two arrays are neither both similarities nor both ranked lists.
fn no_pair(functional: &Bound<'_, PyAny>, semantic: &Bound<'_, PyAny>) -> PyErr {
    let known = |array: &Bound<'_, PyAny>| {
        Similarity::extract(array).is_some()
            || array.cast::<PyArray2<u32>>().is_ok()
            || array.is_instance_of::<PyRanking>()
    };
    for (name, array) in [("functional", functional), ("semantic", semantic)] {
        if !known(array) {
            let expected = "a 2-D array, of float32 or float64 similarities or uint32 ranked lists, or a Ranking";
            return refused(name, array, expected);
        }
    }
    let got = format!("{} and semantic is {}", shown(functional), shown(semantic));
    let expected = "both of the same kind, uint32 ranked lists or float similarities or rankings";
    Error::argument("functional", got, expected).into()
}
