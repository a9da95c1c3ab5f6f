//! The boundary: extract and check, let go of the interpreter, compute, hand back.
//!
//! The only folder that names `pyo3` or `numpy`. What a user reads in `help()` stands here and in
//! the stub `_core.pyi`, word for word; a test compares them.

#![allow(clippy::doc_markdown)] // Its docs are numpydoc.

mod arguments;
mod arrays;
mod histogram;
mod interruptible;
mod metrics;
mod neighbours;
mod occurrences;

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
/// All work runs with the GIL released, on rayon's global pool (``RAYON_NUM_THREADS``) or on
/// ``n_threads`` of its own; results are the same bits on any number of threads. The fastest
/// instruction set of the CPU is taken, or the one named by ``SFAL_ISA`` (``avx512``, ``avx2``,
/// ``neon``, ``portable``). Arrays must be C-contiguous and of the dtype named, and must not be
/// modified during a call. What is refused is a class of :mod:`sfal.errors`, and changes nothing.
/// ``memory_limit`` is in bytes, by default 80 % of what is free.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::histogram::PyHistogram;
    #[pymodule_export]
    use super::metrics::{chance, ndcg, top_neighbours};
    #[pymodule_export]
    use super::neighbours::{functional_neighbours, phi, semantic_neighbours};
    #[pymodule_export]
    use super::occurrences::PyOccurrences;
}
