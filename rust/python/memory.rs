//! `available_memory`, so that Python and Rust measure memory in the same way.

use pyo3::prelude::*;

use crate::memory;

/// Measure how much memory this process may still allocate.
///
/// Returns
/// -------
/// n_bytes : int
///     Available memory of the system, or what the strictest control group (version 1 or 2) of this
///     process leaves if that is less. Memory that the kernel can reclaim, such as cached files,
///     counts as available. On systems that do not report available memory, the size of physical
///     memory; 2**64 - 1 if that is unknown too.
///
/// Examples
/// --------
/// >>> available_memory() > 0
/// True
#[pyfunction]
pub(super) fn available_memory(py: Python<'_>) -> u64 {
    py.detach(memory::available_memory)
}
