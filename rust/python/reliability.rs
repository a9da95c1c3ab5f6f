//! `replicates`: scores from halves and quarters of the documents.

use numpy::{IntoPyArray, PyArray1, PyArray3, PyArray4, PyArrayMethods};
use pyo3::prelude::*;

use super::arguments::{Ranks, context};
use super::arrays::{contiguous, features, vector};
use super::interruptible::run;
use super::occurrences::PyOccurrences;
use super::ranking::GivenLists;
use crate::error::Error;
use crate::measures::Measure;
use crate::metrics::reliability::{self, Rule, SPLITS};

/// Scores of halves and of quarters, and what each half predicts of the other.
type Replicates<'py> =
    (Bound<'py, PyArray4<f64>>, Bound<'py, PyArray4<f64>>, Bound<'py, PyArray3<f64>>);

/// Score features in halves and quarters of the documents.
///
/// The windows are divided into 16 groups, each the windows of some documents. Eight rows of a
/// Hadamard matrix split the groups into two halves; another row splits one of the halves into two
/// quarters. In each of these replicates, features are ranked by the measure of co-occurrence and
/// compared with the semantic lists, and the two halves of a split with each other. The counts of
/// all groups take as long as counting once; no list outlives its row.
///
/// Parameters
/// ----------
/// occurrences : Occurrences
///     All windows.
/// groups : ndarray of shape (n_windows,), uint8
///     Group of each window, from 0 to 15.
/// semantic : list of E Ranking, or of E ndarray of shape (R, any), uint32
///     Semantic neighbours of ``rows``, for each set of embeddings. With rankings, ties are
///     averaged; with arrays, they go by ascending index.
/// top_n : int
///     Length of the lists, at least 1.
/// base : float
///     Base of the gains, above 1.
/// measure : str
///     As for :func:`functional_neighbours`.
/// rows : ndarray of shape (R,), int64 or uint32, optional
///     Features that are scored. Default: all.
/// candidates : ndarray of shape (C,), int64 or uint32, optional
///     Features that may appear in the functional lists, increasing. Default: all.
///
/// Returns
/// -------
/// halves : ndarray of shape (E, 8, 2, R), float64
///     NDCG of each half of each split; NaN where the feature never or always occurs in that half.
/// quarters : ndarray of shape (E, 8, 2, R), float64
///     The same of the quarters.
/// agreement : ndarray of shape (8, 2, R), float64
///     NDCG of each half's functional order, with gains from the order of the other half.
///
/// Raises
/// ------
/// InvalidInputError
///     For shapes that do not agree, groups above 15, or features that do not exist.
/// MemoryLimitError
///     If the bits in the order of the groups and the counts, 1 GiB at most, exceed the limit.
///
/// References
/// ----------
/// .. [1] Wolter, "Introduction to Variance Estimation", 2nd ed., Springer (2007), chapter 3:
///    balanced half-samples from Hadamard matrices.
#[pyfunction]
#[pyo3(signature = (occurrences, groups, semantic, top_n=Ranks(1023), base=1.1, measure="phi", rows=None, candidates=None, *, n_threads=None, memory_limit=None), text_signature = "(occurrences, groups, semantic, top_n=1023, base=1.1, measure=\"phi\", rows=None, candidates=None, *, n_threads=None, memory_limit=None)")]
#[allow(clippy::too_many_arguments)]
pub(super) fn replicates<'py>(
    py: Python<'py>,
    occurrences: &Bound<'py, PyOccurrences>,
    groups: &Bound<'py, PyAny>,
    semantic: Vec<Bound<'py, PyAny>>,
    top_n: Ranks,
    base: f64,
    measure: &str,
    rows: Option<&Bound<'_, PyAny>>,
    candidates: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Replicates<'py>> {
    let context = context(memory_limit, n_threads)?;
    let measure = Measure::from_name(measure)?;
    let groups = vector::<u8>("groups", groups)?;
    let groups = contiguous("groups", &groups)?;
    let given = |lists| GivenLists::extract("semantic", &lists);
    let given = semantic.into_iter().map(given).collect::<PyResult<Vec<_>>>()?;
    let ties = given.iter().all(|lists| matches!(lists, GivenLists::Ranking(_)));
    if !ties && given.iter().any(|lists| matches!(lists, GivenLists::Ranking(_))) {
        let expected = "all arrays or all rankings";
        return Err(Error::argument("semantic", "a list of both", expected).into());
    }
    let lists = given.iter().map(|lists| lists.lists("semantic")).collect::<PyResult<Vec<_>>>()?;
    let all = || (0..occurrences.get().snapshot().n_features() as u32).collect::<Vec<_>>();
    let rows = features("rows", rows, &context)?.unwrap_or_else(all);
    let candidates = features("candidates", candidates, &context)?.unwrap_or_else(all);
    let set = occurrences.get();
    let found = run(py, &context, || {
        let set = set.snapshot();
        let rule =
            Rule { rows: &rows, candidates: &candidates, measure, top_n: top_n.0, base, ties };
        reliability::replicates(&set, groups, &lists, rule, &context)
    })?;
    let (n_lists, n_rows) = (lists.len(), rows.len());
    let of_lists = |scores: Bound<'py, PyArray1<f64>>| scores.reshape([n_lists, SPLITS, 2, n_rows]);
    Ok((
        of_lists(found.halves.into_pyarray(py))?,
        of_lists(found.quarters.into_pyarray(py))?,
        found.agreement.into_pyarray(py).reshape([SPLITS, 2, n_rows])?,
    ))
}
