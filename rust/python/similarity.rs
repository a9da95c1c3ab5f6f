//! Similarities as an argument.

use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::contiguous2;
use super::interruptible::run;
use crate::context::Context;
use crate::neighbours::entry::{Double, Single};
use crate::neighbours::{Neighbours, top, top_ranking};

/// A 2-D float array of either precision.
pub(super) enum Similarity<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl<'py> Similarity<'py> {
    pub(super) fn extract(array: &Bound<'py, PyAny>) -> Option<Self> {
        if let Ok(array) = array.cast::<PyArray2<f32>>() {
            return Some(Self::Single(array.readonly()));
        }
        array.cast::<PyArray2<f64>>().ok().map(|array| Self::Double(array.readonly()))
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        let shape = match self {
            Self::Single(array) => array.shape(),
            Self::Double(array) => array.shape(),
        };
        (shape[0], shape[1])
    }

    /// Rank the largest of each row, and keep ties or not.
    pub(super) fn top(
        &self,
        py: Python<'_>,
        (top_n, row_start): (usize, usize),
        ties: bool,
        context: &Context,
    ) -> PyResult<Neighbours> {
        let (r, c) = self.shape();
        match self {
            Self::Single(array) => {
                let values = contiguous2("similarity", array)?;
                let rank = if ties { top_ranking::<Single> } else { top::<Single> };
                run(py, context, || rank(values, r, c, top_n, row_start, context))
            }
            Self::Double(array) => {
                let values = contiguous2("similarity", array)?;
                let rank = if ties { top_ranking::<Double> } else { top::<Double> };
                run(py, context, || rank(values, r, c, top_n, row_start, context))
            }
        }
    }
}
