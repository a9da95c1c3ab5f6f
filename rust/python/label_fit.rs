//! `label_fit`: how well the label of each feature fits every other.

use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;

use super::arguments::{Ranks, context, size};
use super::arrays::{features, matrix_of};
use super::interruptible::run;
use super::ranking::GivenLists;
use crate::metrics::label_fit::{Labels, label_fit as fit};

/// Rank, mean, better labels and their scores.
type LabelFit<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray2<u32>>,
    Bound<'py, PyArray2<f32>>,
);

/// Compute how well every label fits every feature.
///
/// If features i and j exchanged their labels, the NDCG of i would be
/// ``S[i, j] = sum_f D[i, f] * G[j, f] + D[i, j] * G[j, i]``: D is the discount of f among i's
/// functional neighbours, G the gain of f among j's semantic ones, over the ideal, 0 where f is not
/// listed. ``S[i, i]`` is the feature's own NDCG. The gains of the first 128 semantic neighbours (a
/// tie class that goes on as a whole) decide the ranks; all of them make the values of the best.
///
/// Parameters
/// ----------
/// functional : Ranking or ndarray of shape (R, w), uint32
///     Functional neighbours of ``rows``. Between two rankings, ties are averaged.
/// semantic : Ranking or ndarray of shape (L, v), uint32
///     Semantic neighbours of all features that have a label.
/// top_n : int
///     Depth of the lists, at least 1.
/// base : float
///     Base of the gains, above 1.
/// rows : ndarray of shape (R,), int64 or uint32, optional
///     Features of the functional lists. By default those of ``labels``, in order.
/// best : int
///     Better labels to name.
/// labels : ndarray of shape (L,), int64 or uint32, optional
///     Features of the semantic lists, ascending. By default all features from 0 on.
/// same : ndarray of shape (L,), int64 or uint32, optional
///     A number for each semantic list, equal where labels are equal: these fit as well as each other
///     whatever rounding says, and none of them is better.
///
/// Returns
/// -------
/// rank : ndarray of shape (R,), uint32
///     Labels that fit the feature at least as well as its own, itself included.
/// mean : ndarray of shape (R,), float64
///     Mean of ``S[i, j]`` over the other labels; NaN where there are none.
/// better : ndarray of shape (R, best), uint32
///     Features whose labels fit better, best first, padded with 2**32 - 1.
/// value : ndarray of shape (R, best), float32
///     NDCG that these labels would give; NaN in the padding.
///
/// Raises
/// ------
/// InvalidInputError
///     For shapes that do not agree, ``labels`` that do not increase, a row without a label.
/// MemoryLimitError
///     If the gains, 1 KiB per label and more where many labels tie, exceed the limit.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> functional = np.array([[1, 2], [0, 2], [3, 0], [2, 1]], dtype=np.uint32)
/// >>> semantic = np.array([[1, 3], [0, 3], [3, 1], [2, 0]], dtype=np.uint32)
/// >>> label_fit(functional, semantic, top_n=2)[0]
/// array([2, 3, 3, 2], dtype=uint32)
#[pyfunction]
#[pyo3(signature = (functional, semantic, top_n=Ranks(1023), base=1.1, rows=None, best=None, labels=None, same=None, *, n_threads=None, memory_limit=None), text_signature = "(functional, semantic, top_n=1023, base=1.1, rows=None, best=5, labels=None, same=None, *, n_threads=None, memory_limit=None)")]
#[allow(clippy::too_many_arguments)]
pub(super) fn label_fit<'py>(
    py: Python<'py>,
    functional: &Bound<'py, PyAny>,
    semantic: &Bound<'py, PyAny>,
    top_n: Ranks,
    base: f64,
    rows: Option<&Bound<'_, PyAny>>,
    best: Option<&Bound<'_, PyAny>>,
    labels: Option<&Bound<'_, PyAny>>,
    same: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<LabelFit<'py>> {
    let context = context(memory_limit, n_threads)?;
    let best =
        best.map_or(Ok(5), |best| size("best", best, 0, "a number of labels, at least 0"))?;
    let given = [("rows", rows), ("labels", labels), ("same", same)];
    let [rows, labels, same] = given.map(|(name, array)| features(name, array, &context));
    let (rows, labels, same) = (rows?, labels?, same?);
    let lists = (
        GivenLists::extract("functional", functional)?,
        GivenLists::extract("semantic", semantic)?,
    );
    let lists = (lists.0.lists("functional")?, lists.1.lists("semantic")?);
    let given = Labels { rows: rows.as_deref(), labels: labels.as_deref(), same: same.as_deref() };
    let found = run(py, &context, || fit(lists, given, (top_n.0, base), best, &context))?;
    let n_rows = found.rank.len();
    Ok((
        found.rank.into_pyarray(py),
        found.mean.into_pyarray(py),
        matrix_of(py, found.better, n_rows, best)?,
        matrix_of(py, found.value, n_rows, best)?,
    ))
}
