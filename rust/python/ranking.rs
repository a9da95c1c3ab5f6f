//! `Ranking`, lists that know their ties, and what makes one.

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use super::arguments::{Ranks, Row, context};
use super::arrays::{contiguous2, features, matrix, matrix_of, refused};
use super::histogram::PyHistogram;
use super::interruptible::{read, run};
use super::occurrences::PyOccurrences;
use super::similarity::Similarity;
use crate::measures::Measure;
use crate::neighbours::row_ties::Lists;
use crate::neighbours::{self, Neighbours};

/// Starts of tie classes, and the features beyond each list: bounds and features.
type Ties<'py> = (Bound<'py, PyArray2<u32>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u32>>);

/// Ranked lists that know which neighbours tie.
///
/// What compares two of these averages over all orders of the neighbours that tie. Features that
/// tie with the last one listed are kept too, though they are not listed.
#[pyclass(frozen, name = "Ranking", module = "sfal._core")]
pub(super) struct PyRanking(Neighbours);

impl PyRanking {
    pub(super) fn lists(&self) -> Lists<'_> {
        self.0.lists()
    }
}

#[pymethods]
impl PyRanking {
    /// Number of lists.
    #[getter]
    fn n_rows(&self) -> usize {
        self.0.n_rows
    }

    /// Neighbours per list.
    #[getter]
    fn width(&self) -> usize {
        self.0.width
    }

    /// Copy the lists.
    ///
    /// Returns
    /// -------
    /// indices : ndarray of shape (n_rows, width), uint32
    ///     As :func:`functional_neighbours` gives them: ties by increasing index.
    fn indices<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u32>>> {
        matrix_of(py, self.0.indices.clone(), self.0.n_rows, self.0.width)
    }

    /// Tell which neighbours tie.
    ///
    /// Returns
    /// -------
    /// starts : ndarray of shape (n_rows, width), uint32
    ///     Rank at which the tie class of each neighbour begins.
    /// indptr : ndarray of shape (n_rows + 1,), int64
    /// beyond : ndarray of shape (nnz,), uint32
    ///     Features that tie with the last one of row ``r`` and are not listed:
    ///     ``beyond[indptr[r]:indptr[r + 1]]``, increasing.
    fn ties<'py>(&self, py: Python<'py>) -> PyResult<Ties<'py>> {
        let lists = self.0.lists();
        let (mut starts, mut indptr, mut beyond) = (Vec::new(), vec![0], Vec::new());
        for row in 0..lists.n_rows {
            let list = lists.row(row);
            let mut start = 0;
            while start < lists.width {
                let (end, _) = list.class_ends(start);
                starts.extend((start..end).map(|_| start as u32));
                start = end;
            }
            beyond.extend_from_slice(list.beyond());
            indptr.push(beyond.len() as i64);
        }
        let starts = matrix_of(py, starts, lists.n_rows, lists.width)?;
        Ok((starts, indptr.into_pyarray(py), beyond.into_pyarray(py)))
    }

    fn __repr__(&self) -> String {
        format!("Ranking(n_rows={}, width={})", self.0.n_rows, self.0.width)
    }
}

/// Ranked lists as an argument, with ties or without.
pub(super) enum GivenLists<'py> {
    Ranking(Bound<'py, PyRanking>),
    Array(PyReadonlyArray2<'py, u32>),
}

impl<'py> GivenLists<'py> {
    pub(super) fn extract(name: &'static str, value: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(ranking) = value.cast::<PyRanking>() {
            return Ok(Self::Ranking(ranking.clone()));
        }
        if let Ok(array) = value.cast::<PyArray2<u32>>() {
            return Ok(Self::Array(array.readonly()));
        }
        Err(refused(name, value, "a Ranking or a 2-D uint32 array of ranked lists"))
    }

    pub(super) fn lists(&self, name: &'static str) -> PyResult<Lists<'_>> {
        Ok(match self {
            Self::Ranking(ranking) => ranking.get().0.lists(),
            Self::Array(array) => {
                let (n_rows, width) = (array.shape()[0], array.shape()[1]);
                Lists { n_rows, width, indices: contiguous2(name, array)?, ties: &[] }
            }
        })
    }
}

/// Rank like :func:`functional_neighbours`, and keep which neighbours tie.
///
/// Equality is that of the float64 measure. Ranking the features of ``rows`` among themselves
/// computes each pair once: pass the same increasing features as ``rows`` and ``candidates``.
///
/// Parameters
/// ----------
/// source, top_n, measure, rows, candidates
///     As for :func:`functional_neighbours`.
///
/// Returns
/// -------
/// ranking : Ranking
///
/// Raises
/// ------
/// InvalidInputError, MemoryLimitError
///     As :func:`functional_neighbours`.
#[pyfunction]
#[pyo3(signature = (source, top_n=Ranks(1023), measure="phi", rows=None, candidates=None, *, n_threads=None, memory_limit=None), text_signature = "(source, top_n=1023, measure=\"phi\", rows=None, candidates=None, *, n_threads=None, memory_limit=None)")]
#[allow(clippy::too_many_arguments)]
pub(super) fn functional_ranking(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    top_n: Ranks,
    measure: &str,
    rows: Option<&Bound<'_, PyAny>>,
    candidates: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyRanking> {
    let context = context(memory_limit, n_threads)?;
    let measure = Measure::from_name(measure)?;
    let rows = features("rows", rows, &context)?;
    let candidates = features("candidates", candidates, &context)?;
    let (rows, candidates, top_n) = (rows.as_deref(), candidates.as_deref(), top_n.0);
    let ranked = if let Ok(occurrences) = source.cast::<PyOccurrences>() {
        let set = occurrences.get();
        run(py, &context, || {
            let set = set.snapshot();
            neighbours::functional_ranking(&set, top_n, measure, rows, candidates, &context)
        })?
    } else if let Ok(histogram) = source.cast::<PyHistogram>() {
        let counts = histogram.get();
        run(py, &context, || {
            let counts = read(&counts.0);
            neighbours::functional_ranking_from_counts(
                &counts, top_n, measure, rows, candidates, &context,
            )
        })?
    } else {
        return Err(refused("source", source, "an Occurrences or a Histogram"));
    };
    Ok(PyRanking(ranked))
}

/// Rank like :func:`semantic_neighbours`, and keep which neighbours tie.
///
/// Equality is that of the float32 cosines, which equal vectors share to the last bit.
///
/// Parameters
/// ----------
/// embeddings, top_n, rows, candidates
///     As for :func:`semantic_neighbours`.
///
/// Returns
/// -------
/// ranking : Ranking
///
/// Raises
/// ------
/// InvalidInputError, MemoryLimitError
///     As :func:`semantic_neighbours`.
#[pyfunction]
#[pyo3(signature = (embeddings, top_n=Ranks(1023), rows=None, candidates=None, *, n_threads=None, memory_limit=None), text_signature = "(embeddings, top_n=1023, rows=None, candidates=None, *, n_threads=None, memory_limit=None)")]
pub(super) fn semantic_ranking(
    py: Python<'_>,
    embeddings: &Bound<'_, PyAny>,
    top_n: Ranks,
    rows: Option<&Bound<'_, PyAny>>,
    candidates: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyRanking> {
    let context = context(memory_limit, n_threads)?;
    let rows = features("rows", rows, &context)?;
    let candidates = features("candidates", candidates, &context)?;
    let embeddings = matrix::<f32>("embeddings", embeddings)?;
    let (n_features, dim) = (embeddings.shape()[0], embeddings.shape()[1]);
    let vectors = contiguous2("embeddings", &embeddings)?;
    let (rows, candidates) = (rows.as_deref(), candidates.as_deref());
    let ranked = run(py, &context, || {
        neighbours::semantic_ranking(vectors, n_features, dim, top_n.0, rows, candidates, &context)
    })?;
    Ok(PyRanking(ranked))
}

/// Rank like :func:`top_neighbours`, and keep which neighbours tie.
///
/// Parameters
/// ----------
/// similarity, top_n, row_start
///     As for :func:`top_neighbours`.
///
/// Returns
/// -------
/// ranking : Ranking
///
/// Raises
/// ------
/// InvalidInputError
///     As :func:`top_neighbours`.
#[pyfunction]
#[pyo3(signature = (similarity, top_n=Ranks(1023), row_start=Row(0), *, n_threads=None, memory_limit=None), text_signature = "(similarity, top_n=1023, row_start=0, *, n_threads=None, memory_limit=None)")]
pub(super) fn top_ranking(
    py: Python<'_>,
    similarity: &Bound<'_, PyAny>,
    top_n: Ranks,
    row_start: Row,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyRanking> {
    let context = context(memory_limit, n_threads)?;
    let Some(similarity) = Similarity::extract(similarity) else {
        return Err(refused("similarity", similarity, "a 2-D float32 or float64 array"));
    };
    Ok(PyRanking(similarity.top(py, (top_n.0, row_start.0), true, &context)?))
}
