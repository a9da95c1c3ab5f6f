//! NumPy arrays as slices, with invalid ones refused by name; results as NumPy arrays.

use std::ptr;

use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::context::Context;
use crate::cooccurrence::validate::Bytes;
use crate::error::Error;
use crate::neighbours::Neighbours;

/// Ranked lists as they are returned: features and their similarity.
pub(super) type Ranked<'py> = (Bound<'py, PyArray2<u32>>, Bound<'py, PyArray2<f32>>);

/// The memory of a NumPy array, which is kept alive and may be unaligned.
pub(super) struct ArrayBytes {
    data: *const u8,
    len: usize,
    _array: Py<PyUntypedArray>,
}

// SAFETY: the memory is only read, and NumPy does not move it as long as `_array` lives; a `Py` may
// be dropped on another thread.
unsafe impl Send for ArrayBytes {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for ArrayBytes {}

impl Bytes for ArrayBytes {
    fn bytes(&self) -> &[u8] {
        // SAFETY: `data` and `len` are those of a C-contiguous array that `_array` keeps alive.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// Extract a square array of counts without copying it.
pub(super) fn square_counts(array: &Bound<'_, PyAny>) -> PyResult<(usize, ArrayBytes)> {
    let expected = "a C-contiguous square array of uint32 or int32";
    let data = if let Ok(array) = array.cast::<PyArray2<u32>>() {
        array.data().cast_const().cast::<u8>()
    } else if let Ok(array) = array.cast::<PyArray2<i32>>() {
        array.data().cast_const().cast::<u8>()
    } else {
        return Err(refused("counts", array, expected));
    };
    let array = array.cast::<PyUntypedArray>()?;
    let shape = array.shape();
    if shape[0] != shape[1] || !array.is_c_contiguous() {
        return Err(refused("counts", array.as_any(), expected));
    }
    let len = shape[0] * shape[1] * 4;
    let bytes = ArrayBytes {
        data: if len == 0 { ptr::NonNull::dangling().as_ptr() } else { data },
        len,
        _array: array.clone().unbind(),
    };
    Ok((shape[0], bytes))
}

/// Extract and copy the indices of features; refused if their lists would exceed the limit.
pub(super) fn features(
    name: &'static str,
    array: Option<&Bound<'_, PyAny>>,
    context: &Context,
) -> PyResult<Option<Vec<u32>>> {
    let Some(array) = array else {
        return Ok(None);
    };
    let check =
        |n: usize| context.check_memory(name, 12 * n as u128, "pass fewer features at a time");
    if let Ok(features) = array.cast::<PyArray1<u32>>() {
        check(features.len())?;
        return Ok(Some(features.readonly().as_array().to_vec()));
    }
    let Ok(numbers) = array.cast::<PyArray1<i64>>() else {
        return Err(refused(name, array, "a 1-D array of int64 or uint32"));
    };
    check(numbers.len())?;
    let numbers = numbers.readonly();
    let narrow = |(at, &number): (usize, &i64)| {
        u32::try_from(number).map_err(|_| {
            let got = format!("{number} at position {at}");
            Error::argument(name, got, "the index of a feature").into()
        })
    };
    numbers.as_array().iter().enumerate().map(narrow).collect::<PyResult<_>>().map(Some)
}

/// Extract a 1-D array of one dtype.
pub(super) fn vector<'py, T: Element>(
    name: &'static str,
    array: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    let Ok(array) = array.cast::<PyArray1<T>>() else {
        let expected = format!("a 1-D {} array", T::get_dtype(array.py()));
        return Err(refused(name, array, &expected));
    };
    Ok(array.readonly())
}

/// Extract a 2-D array of one dtype.
pub(super) fn matrix<'py, T: Element>(
    name: &'static str,
    array: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArray2<'py, T>> {
    let Ok(array) = array.cast::<PyArray2<T>>() else {
        let expected = format!("a 2-D {} array", T::get_dtype(array.py()));
        return Err(refused(name, array, &expected));
    };
    Ok(array.readonly())
}

pub(super) const CONTIGUOUS: &str =
    "C-contiguous and aligned (numpy.ascontiguousarray makes it so)";

/// View a 1-D array as a slice.
pub(super) fn contiguous<'a, T: Element>(
    name: &'static str,
    array: &'a PyReadonlyArray1<'_, T>,
) -> PyResult<&'a [T]> {
    let strided = || Error::argument(name, "strided", CONTIGUOUS).into();
    if !array.data().is_aligned() {
        return Err(strided());
    }
    array.as_slice().map_err(|_| strided())
}

/// View a 2-D array as a slice, row-major.
pub(super) fn contiguous2<'a, T: Element>(
    name: &'static str,
    array: &'a PyReadonlyArray2<'_, T>,
) -> PyResult<&'a [T]> {
    let strided = || Error::argument(name, "strided", CONTIGUOUS).into();
    if !array.is_c_contiguous() || !array.data().is_aligned() {
        return Err(strided());
    }
    array.as_slice().map_err(|_| strided())
}

/// Refuse lists of different numbers of rows.
pub(super) fn same_rows(functional: usize, semantic: usize) -> PyResult<()> {
    if functional == semantic {
        return Ok(());
    }
    Err(Error::Mismatch {
        what: "semantic's number of rows",
        got: semantic,
        other: "functional",
        expected: functional,
    }
    .into())
}

/// Describe a value in a few words: an array by dtype and shape, a number by its digits.
pub(super) fn shown(value: &Bound<'_, PyAny>) -> String {
    if let Ok(array) = value.cast::<PyUntypedArray>() {
        let order = if array.is_c_contiguous() { "" } else { ", not C-contiguous" };
        let dtype = array.dtype().to_string();
        let article = if dtype.starts_with(['i', 'o']) { "an" } else { "a" };
        return format!("{article} {dtype} array of shape {:?}{order}", array.shape());
    }
    let text = if value.is_instance_of::<PyInt>() { value.str().ok() } else { None };
    match text {
        Some(text) if text.len().is_ok_and(|n| n <= 40) => text.to_string(),
        Some(_) => "an integer of many digits".to_string(),
        None => value
            .get_type()
            .name()
            .map_or_else(|_| "something else".into(), |n| format!("of type {n}")),
    }
}

/// Refuse an argument by name.
pub(super) fn refused(name: &'static str, value: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    Error::argument(name, shown(value), expected).into()
}

/// Move values into a 2-D array.
pub(super) fn matrix_of<T: Element>(
    py: Python<'_>,
    values: Vec<T>,
    rows: usize,
    columns: usize,
) -> PyResult<Bound<'_, PyArray2<T>>> {
    values.into_pyarray(py).reshape([rows, columns])
}

/// Move ranked lists into arrays.
pub(super) fn lists(py: Python<'_>, ranked: Neighbours) -> PyResult<Ranked<'_>> {
    let (rows, width) = (ranked.n_rows, ranked.width);
    Ok((matrix_of(py, ranked.indices, rows, width)?, matrix_of(py, ranked.values, rows, width)?))
}
