//! The Python module: extract and check arguments, release the GIL, compute, convert results.
//!
//! Only this folder uses `pyo3` and `numpy`. The docstrings that `help()` shows are the same here
//! and in the stub `_core.pyi`, word for word; a test compares them.

#![allow(clippy::doc_markdown)] // Its docs are numpydoc.

mod arguments;
mod arrays;
mod chance_law;
mod histogram;
mod interruptible;
mod label_fit;
mod measures;
mod memory;
mod metrics;
mod neighbours;
mod occurrences;
mod overlap;
mod ranking;
mod reliability;
mod similarity;

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

use crate::error::Error;

pyo3::import_exception!(sfal.errors, InvalidInputError);
pyo3::import_exception!(sfal.errors, MemoryLimitError);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Memory { .. } => MemoryLimitError::new_err(error.to_string()),
            Error::Interrupted => PyKeyboardInterrupt::new_err(()),
            Error::Threads { .. } => PyRuntimeError::new_err(error.to_string()),
            _ => InvalidInputError::new_err(error.to_string()),
        }
    }
}

/// Counting, correlation and ranking kernels: numpy arrays and scalars in, numpy arrays out.
///
/// All calls release the GIL and run on rayon's global pool (``RAYON_NUM_THREADS``) or on
/// ``n_threads`` threads of their own; results are the same bits on any number of threads. Kernels
/// use the fastest instruction set of the CPU, or the one named by ``SFAL_ISA`` (``avx512``,
/// ``avx2``, ``neon``, ``portable``). Arrays must be C-contiguous, have the dtype given, and must
/// not be modified during a call. A refused call raises a class of :mod:`sfal.errors` and changes
/// nothing. ``memory_limit`` is the number of bytes that a call may allocate, by default 80 % of
/// :func:`available_memory`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::chance_law::chance_law;
    #[pymodule_export]
    use super::histogram::PyHistogram;
    #[pymodule_export]
    use super::label_fit::label_fit;
    #[pymodule_export]
    use super::measures::phi;
    #[pymodule_export]
    use super::memory::available_memory;
    #[pymodule_export]
    use super::metrics::{chance, ndcg};
    #[pymodule_export]
    use super::neighbours::{functional_neighbours, semantic_neighbours, top_neighbours};
    #[pymodule_export]
    use super::occurrences::PyOccurrences;
    #[pymodule_export]
    use super::overlap::{overlap, rank_biased_overlap};
    #[pymodule_export]
    use super::ranking::{PyRanking, functional_ranking, semantic_ranking, top_ranking};
    #[pymodule_export]
    use super::reliability::replicates;
}
