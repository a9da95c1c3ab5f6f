//! `functional_neighbours`, `semantic_neighbours` and `top_neighbours`.

use numpy::PyUntypedArrayMethods;
use pyo3::prelude::*;

use super::arguments::{Ranks, Row, context};
use super::arrays::{Ranked, contiguous2, features, lists, matrix, refused};
use super::histogram::PyHistogram;
use super::interruptible::{read, run};
use super::occurrences::PyOccurrences;
use super::similarity::Similarity;
use crate::measures::Measure;
use crate::neighbours;

/// Rank, for each feature, the features whose occurrences are most similar.
///
/// Parameters
/// ----------
/// source : Occurrences or Histogram
///     Windows, or their counts.
/// top_n : int
///     Number of neighbours per row, at least 1.
/// measure : {"phi", "abs_phi", "llr", "npmi", "odds", "lift", "cole", "jaccard", "cosine"}
///     Measure to rank by. With ``a`` the windows of both features, ``n`` all windows and
///     ``E = c_i * c_j / n``: phi; its absolute value; the log-likelihood ratio, negative where
///     ``a < E``; ``ln(a / E) / -ln(a / n)``, -1 at ``a = 0``; the log odds ratio, half a window
///     added to each cell; ``a / E``; phi over its bound (Cole's C7); ``a / (c_i + c_j - a)``;
///     ``a / sqrt(c_i * c_j)``. 0 where a feature never or always occurs, except npmi at ``a = 0``.
/// rows : ndarray of shape (R,), int64 or uint32, optional
///     Features whose neighbours are wanted, in any order. Default: all.
/// candidates : ndarray of shape (C,), int64 or uint32, optional
///     Features that may appear as neighbours; order and repeats do not matter. Default: all.
///
/// Returns
/// -------
/// indices : ndarray of shape (R, w), uint32
///     Neighbours by descending float64 measure, ties by ascending index, without the row's own
///     feature. ``w = min(top_n, C)``, with ``C - 1`` for ``C`` if any row is a candidate.
/// values : ndarray of shape (R, w), float32
///     Their measure, rounded to float32.
///
/// Raises
/// ------
/// InvalidInputError
///     If ``top_n`` is below 1, a feature does not exist, the measure is unknown, or the counts
///     are impossible (see :meth:`Histogram.from_counts`).
/// MemoryLimitError
///     If the lists exceed the limit.
///
/// Notes
/// -----
/// No array of features x features is held: tiles of pairs are counted, ranked and discarded.
/// Besides the lists, ranking all features by their windows holds 1.5 ``w`` candidates of 12 bytes
/// per row.
///
/// References
/// ----------
/// .. [1] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for Distributional Evaluation of
///    Auto-Interpretability in Sparse Autoencoders", EMNLP 2025 Industry Track,
///    2025.emnlp-industry.39.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> windows = Occurrences(3)
/// >>> indptr, features = np.array([0, 2, 4, 5]), np.array([0, 1, 0, 1, 2], dtype=np.uint32)
/// >>> windows.extend(indptr, features)
/// >>> functional_neighbours(windows, top_n=1)[0].tolist()
/// [[1], [0], [0]]
#[pyfunction]
#[pyo3(signature = (source, top_n=Ranks(1023), measure="phi", rows=None, candidates=None, *, n_threads=None, memory_limit=None), text_signature = "(source, top_n=1023, measure=\"phi\", rows=None, candidates=None, *, n_threads=None, memory_limit=None)")]
#[allow(clippy::too_many_arguments)]
pub(super) fn functional_neighbours<'py>(
    py: Python<'py>,
    source: &Bound<'_, PyAny>,
    top_n: Ranks,
    measure: &str,
    rows: Option<&Bound<'_, PyAny>>,
    candidates: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Ranked<'py>> {
    let context = context(memory_limit, n_threads)?;
    let measure = Measure::from_name(measure)?;
    let (rows, candidates) =
        (features("rows", rows, &context)?, features("candidates", candidates, &context)?);
    let (rows, candidates) = (rows.as_deref(), candidates.as_deref());
    let ranked = if let Ok(occurrences) = source.cast::<PyOccurrences>() {
        let occurrences = occurrences.get();
        run(py, &context, || {
            let occurrences = occurrences.snapshot();
            neighbours::functional(&occurrences, top_n.0, measure, rows, candidates, &context)
        })?
    } else if let Ok(histogram) = source.cast::<PyHistogram>() {
        let histogram = histogram.get();
        run(py, &context, || {
            let histogram = read(&histogram.0);
            neighbours::functional_from_counts(
                &histogram, top_n.0, measure, rows, candidates, &context,
            )
        })?
    } else {
        return Err(refused("source", source, "an Occurrences or a Histogram"));
    };
    lists(py, ranked)
}

/// Rank, for each feature, the features whose embeddings have the largest cosine with its own.
///
/// Vectors are normalised by their float64 norm; the zero vector stays zero and has cosine 0 with
/// every other. Equal vectors have equal cosines with any third one, to the last bit.
///
/// Parameters
/// ----------
/// embeddings : ndarray of shape (F, D), float32
///     One vector per feature, of any length.
/// top_n, rows, candidates
///     As in :func:`functional_neighbours`.
///
/// Returns
/// -------
/// indices : ndarray of shape (R, w), uint32
/// values : ndarray of shape (R, w), float32
///     As in :func:`functional_neighbours`.
///
/// Raises
/// ------
/// InvalidInputError
///     As :func:`functional_neighbours`, and for NaN or infinity.
/// MemoryLimitError
///     If the lists or the vectors exceed the limit.
///
/// References
/// ----------
/// .. [1] Mercorio et al., "SFAL: Semantic-Functional Alignment Scores for Distributional Evaluation of
///    Auto-Interpretability in Sparse Autoencoders", EMNLP 2025 Industry Track,
///    2025.emnlp-industry.39.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> vectors = np.array([[1, 0], [2, 1], [0, 3]], dtype=np.float32)
/// >>> semantic_neighbours(vectors, top_n=1)[0].tolist()
/// [[1], [0], [1]]
#[pyfunction]
#[pyo3(signature = (embeddings, top_n=Ranks(1023), rows=None, candidates=None, *, n_threads=None, memory_limit=None), text_signature = "(embeddings, top_n=1023, rows=None, candidates=None, *, n_threads=None, memory_limit=None)")]
pub(super) fn semantic_neighbours<'py>(
    py: Python<'py>,
    embeddings: &Bound<'_, PyAny>,
    top_n: Ranks,
    rows: Option<&Bound<'_, PyAny>>,
    candidates: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Ranked<'py>> {
    let context = context(memory_limit, n_threads)?;
    let (rows, candidates) =
        (features("rows", rows, &context)?, features("candidates", candidates, &context)?);
    let embeddings = matrix::<f32>("embeddings", embeddings)?;
    let shape = embeddings.shape();
    let (n_features, dim) = (shape[0], shape[1]);
    let vectors = contiguous2("embeddings", &embeddings)?;
    let (rows, candidates) = (rows.as_deref(), candidates.as_deref());
    let ranked = run(py, &context, || {
        neighbours::semantic(vectors, n_features, dim, top_n.0, rows, candidates, &context)
    })?;
    lists(py, ranked)
}

/// Rank the largest of each row of similarities.
///
/// Parameters
/// ----------
/// similarity : ndarray of shape (R, F), float32 or float64
///     Row ``r`` belongs to feature ``row_start + r``, whose similarity to itself is never read.
/// top_n : int
///     Number of neighbours per row, at least 1.
/// row_start : int
///     Feature of the first row.
///
/// Returns
/// -------
/// indices : ndarray of shape (R, min(top_n, F - 1)), uint32
///     By descending value, ties by ascending index.
/// values : ndarray of the same shape, float32
///
/// Raises
/// ------
/// InvalidInputError
///     For NaN or infinity off the diagonal, or rows beyond the last feature.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> top_neighbours(np.array([[9, 1, 2], [1, 9, 1], [2, 1, 9]], dtype=np.float32), top_n=2)[0]
/// array([[2, 1],
///        [0, 2],
///        [0, 1]], dtype=uint32)
#[pyfunction]
#[pyo3(signature = (similarity, top_n=Ranks(1023), row_start=Row(0), *, n_threads=None, memory_limit=None), text_signature = "(similarity, top_n=1023, row_start=0, *, n_threads=None, memory_limit=None)")]
pub(super) fn top_neighbours<'py>(
    py: Python<'py>,
    similarity: &Bound<'_, PyAny>,
    top_n: Ranks,
    row_start: Row,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Ranked<'py>> {
    let context = context(memory_limit, n_threads)?;
    let Some(similarity) = Similarity::extract(similarity) else {
        return Err(refused("similarity", similarity, "a 2-D float32 or float64 array"));
    };
    lists(py, similarity.top(py, (top_n.0, row_start.0), false, &context)?)
}
