//! `chance_law`: how likely a random order scores as much.

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use super::arguments::{Ranks, candidate_count, context};
use super::interruptible::run;
use crate::metrics::chance_law as law;

/// Grid and survival.
type Law<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

/// Compute how likely a uniformly random functional order scores at least a given NDCG.
///
/// The law is a mixture of steps, as the nearest neighbour alone decides half of an unusually high
/// score: no normal approximation holds. All orders are enumerated up to 8 candidates. From 4,096
/// candidates on and down to 1e-4, neighbours count as independent, which is within 4 %; otherwise
/// distinct positions are drawn by importance sampling from a fixed seed: from 2,000 candidates on
/// within 2 % at 1e-6 and 5 % at 1e-8 of sixteen times as many samples, below within 5 % and 15 %.
///
/// Parameters
/// ----------
/// n_candidates : int
///     Features that may stand in the list: all but the row's own.
/// top_n : int
///     Depth of the list, at least 1.
/// base : float
///     Base of the gains, above 1.
///
/// Returns
/// -------
/// grid : ndarray of shape (n,), float64
///     Scores, strictly ascending from 0.
/// survival : ndarray of shape (n,), float64
///     Probability of a score of at least ``grid``; falls from 1 and is never below 1e-9. Interpolate
///     linearly: ``numpy.interp(score, grid, survival)``.
///
/// Raises
/// ------
/// InvalidInputError
///     As :func:`ndcg` for ``top_n`` and ``base``.
///
/// References
/// ----------
/// .. [1] Veach and Guibas, "Optimally combining sampling techniques for Monte Carlo rendering",
///    SIGGRAPH 1995: the balance heuristic.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> round(float(np.interp(0.9, *chance_law(7, top_n=4))) * 42, 6)
/// 1.0
#[pyfunction]
#[pyo3(signature = (n_candidates, top_n=Ranks(1023), base=1.1, *, n_threads=None), text_signature = "(n_candidates, top_n=1023, base=1.1, *, n_threads=None)")]
pub(super) fn chance_law<'py>(
    py: Python<'py>,
    n_candidates: &Bound<'_, PyAny>,
    top_n: Ranks,
    base: f64,
    n_threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<Law<'py>> {
    let context = context(None, n_threads)?;
    let n = candidate_count(n_candidates)?;
    let law = run(py, &context, || law::chance_law(n, top_n.0, base, &context))?;
    Ok((law.grid.into_pyarray(py), law.survival.into_pyarray(py)))
}
