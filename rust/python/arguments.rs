//! Numbers as arguments; invalid ones are refused by name.

use std::num::NonZeroUsize;

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use super::arrays::{refused, shown};
use crate::context::Context;
use crate::error::Error;

/// Make the context of a call from its two optional arguments.
pub(super) fn context(
    memory_limit: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<Context> {
    let mut context = Context::default();
    if let Some(limit) = memory_limit {
        context.memory_limit = Some(size("memory_limit", limit, 0, "a number of bytes")? as u64);
    }
    if let Some(n) = n_threads {
        let expected = "from 1 to 1024";
        let n = size("n_threads", n, 1, expected)?;
        if n > 1024 {
            return Err(Error::argument("n_threads", n, expected).into());
        }
        context.n_threads = NonZeroUsize::new(n).map(NonZeroUsize::get);
    }
    Ok(context)
}

/// Extract an integer of at least `least`; anything else, however large, is refused by name.
pub(super) fn size(
    name: &'static str,
    value: &Bound<'_, PyAny>,
    least: i64,
    expected: &str,
) -> PyResult<usize> {
    let refuse = || PyErr::from(Error::argument(name, shown(value), expected));
    let number = match value.extract::<i64>() {
        Ok(number) => number,
        Err(e) if e.is_instance_of::<PyOverflowError>(value.py()) => return Err(refuse()),
        Err(_) => return Err(refused(name, value, "an integer")),
    };
    if number < least {
        return Err(refuse());
    }
    usize::try_from(number).map_err(|_| refuse())
}

/// Extract `n_windows`.
pub(super) fn windows(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    Ok(size("n_windows", value, 0, "from 0 to 4294967295")? as u64)
}

/// `top_n`: at least 1.
#[derive(Clone, Copy)]
pub(super) struct Ranks(pub(super) usize);

impl<'py> FromPyObject<'_, 'py> for Ranks {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        size("top_n", &value, 1, "a number of neighbours, at least 1").map(Self)
    }
}

/// `row_start`: at least 0.
#[derive(Clone, Copy)]
pub(super) struct Row(pub(super) usize);

impl<'py> FromPyObject<'_, 'py> for Row {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        size("row_start", &value, 0, "the index of a feature").map(Self)
    }
}

/// Extract `n_candidates`, a 32-bit number.
pub(super) fn candidate_count(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    let expected = "from 0 to 4294967295";
    let n = size("n_candidates", value, 0, expected)?;
    Ok(u32::try_from(n).map_err(|_| Error::argument("n_candidates", n, expected))?)
}
