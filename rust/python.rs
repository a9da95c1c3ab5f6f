//! The boundary: extract and check, let go of the interpreter, compute, hand back.
//!
//! The only file that names `pyo3` or `numpy`.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::Duration;

use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOverflowError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::error::Error;
use crate::histogram::Bytes;
use crate::neighbours::Neighbours;
use crate::topn::{Double, Single};
use crate::{Job, Measure, ndcg as ndcg_core, neighbours};

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

type Ranked<'py> = (Bound<'py, PyArray2<u32>>, Bound<'py, PyArray2<f32>>);

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{
        PyHistogram, PyOccurrences, chance, functional_neighbours, ndcg, phi, semantic_neighbours,
        top_neighbours,
    };
}

#[pyclass(frozen, name = "Occurrences", module = "sfal._core")]
struct PyOccurrences(RwLock<crate::Occurrences>);

impl PyOccurrences {
    fn wrap(occurrences: crate::Occurrences) -> Self {
        Self(RwLock::new(occurrences))
    }

    /// A clone that shares the bits, so that no lock is held while computing.
    fn snapshot(&self) -> crate::Occurrences {
        read(&self.0).clone()
    }
}

#[pymethods]
impl PyOccurrences {
    #[new]
    fn new(n_features: &Bound<'_, PyAny>) -> PyResult<Self> {
        let n_features = size("n_features", n_features, 1, "from 1 to 4294967296")?;
        Ok(Self::wrap(crate::Occurrences::new(n_features)?))
    }

    #[getter]
    fn n_features(&self, py: Python<'_>) -> usize {
        py.detach(|| read(&self.0).n_features())
    }

    #[getter]
    fn n_windows(&self, py: Python<'_>) -> usize {
        py.detach(|| read(&self.0).n_windows())
    }

    fn extend(
        &self,
        py: Python<'_>,
        indptr: &Bound<'_, PyAny>,
        indices: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let indptr = vector::<i64>("indptr", indptr)?;
        let indices = vector::<u32>("indices", indices)?;
        let (indptr, indices) = (contiguous("indptr", &indptr)?, contiguous("indices", &indices)?);
        Ok(py.detach(|| write(&self.0).extend(indptr, indices, &Job::default()))?)
    }

    fn merge(&self, py: Python<'_>, other: &Self) -> PyResult<()> {
        // The snapshot is taken before the lock, so that a set merges with itself, and two sets
        // with each other at once.
        Ok(py.detach(|| {
            let other = other.snapshot();
            write(&self.0).merge(&other, &Job::default())
        })?)
    }

    fn counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        py.detach(|| self.snapshot().counts()).into_pyarray(py)
    }

    #[pyo3(signature = (memory_limit=None, *, n_threads=None))]
    fn histogram<'py>(
        &self,
        py: Python<'py>,
        memory_limit: Option<&Bound<'_, PyAny>>,
        n_threads: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let job = job(memory_limit, n_threads)?;
        let occurrences = py.detach(|| self.snapshot());
        let n = occurrences.n_features();
        let counts = run(py, &job, || occurrences.histogram(&job))?;
        matrix_of(py, counts, n, n)
    }

    fn coarsen(&self, py: Python<'_>, starts: &Bound<'_, PyAny>) -> PyResult<Self> {
        let starts = vector::<i64>("starts", starts)?;
        let starts = contiguous("starts", &starts)?;
        let coarse = py.detach(|| self.snapshot().coarsen(starts, &Job::default()))?;
        Ok(Self::wrap(coarse))
    }

    fn select(&self, py: Python<'_>, windows: &Bound<'_, PyAny>) -> PyResult<Self> {
        let windows = vector::<i64>("windows", windows)?;
        let windows = contiguous("windows", &windows)?;
        let chosen = py.detach(|| self.snapshot().select(windows, &Job::default()))?;
        Ok(Self::wrap(chosen))
    }

    #[allow(clippy::type_complexity)]
    fn rows<'py>(
        &self,
        py: Python<'py>,
        start: &Bound<'_, PyAny>,
        stop: &Bound<'_, PyAny>,
    ) -> PyResult<(Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u32>>)> {
        let start = size("start", start, 0, "from 0 to n_windows")?;
        let stop = size("stop", stop, 0, "from 0 to n_windows")?;
        let (indptr, indices) = py.detach(|| self.snapshot().rows(start, stop))?;
        Ok((indptr.into_pyarray(py), indices.into_pyarray(py)))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (features, windows) = (self.n_features(py), self.n_windows(py));
        format!("Occurrences(n_features={features}, n_windows={windows})")
    }
}

#[pyclass(frozen, name = "Histogram", module = "sfal._core")]
struct PyHistogram(RwLock<crate::Histogram>);

#[pymethods]
impl PyHistogram {
    #[new]
    #[pyo3(signature = (n_features, memory_limit=None))]
    fn new(
        n_features: &Bound<'_, PyAny>,
        memory_limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let n_features = size("n_features", n_features, 1, "from 1 to 4294967296")?;
        let histogram = crate::Histogram::new(n_features, &job(memory_limit, None)?)?;
        Ok(Self(RwLock::new(histogram)))
    }

    #[staticmethod]
    fn from_counts(
        py: Python<'_>,
        counts: &Bound<'_, PyAny>,
        n_windows: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let n_windows = windows(n_windows)?;
        let (n_features, counts) = square_counts(counts)?;
        let counts = Arc::new(counts);
        let histogram = py.detach(|| {
            crate::Histogram::from_counts(counts, n_features, n_windows, &Job::default())
        })?;
        Ok(Self(RwLock::new(histogram)))
    }

    #[getter]
    fn n_features(&self, py: Python<'_>) -> usize {
        py.detach(|| read(&self.0).n_features())
    }

    #[getter]
    fn n_windows(&self, py: Python<'_>) -> u64 {
        py.detach(|| read(&self.0).n_windows())
    }

    fn update(&self, py: Python<'_>, occurrences: &PyOccurrences) -> PyResult<()> {
        Ok(py.detach(|| {
            let occurrences = occurrences.snapshot();
            write(&self.0).update(&occurrences, &Job::default())
        })?)
    }

    fn merge(&self, py: Python<'_>, other: &Self) -> PyResult<()> {
        Ok(py.detach(|| {
            // Two locks at once are taken in the order of their addresses: a and b may merge with
            // each other on two threads.
            match ptr::from_ref(self).cmp(&ptr::from_ref(other)) {
                Ordering::Equal => {
                    let copy = read(&self.0).clone();
                    write(&self.0).merge(&copy, &Job::default())
                }
                Ordering::Less => {
                    let mut sum = write(&self.0);
                    let other = read(&other.0);
                    sum.merge(&other, &Job::default())
                }
                Ordering::Greater => {
                    let other = read(&other.0);
                    write(&self.0).merge(&other, &Job::default())
                }
            }
        })?)
    }

    fn counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        py.detach(|| read(&self.0).counts()).into_pyarray(py)
    }

    #[pyo3(signature = (memory_limit=None))]
    fn histogram<'py>(
        &self,
        py: Python<'py>,
        memory_limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let job = job(memory_limit, None)?;
        let n = self.n_features(py);
        let counts = py.detach(|| read(&self.0).to_dense(&job))?;
        matrix_of(py, counts, n, n)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (features, windows) = (self.n_features(py), self.n_windows(py));
        format!("Histogram(n_features={features}, n_windows={windows})")
    }
}

#[pyfunction]
#[pyo3(signature = (counts, n_windows, memory_limit=None, *, n_threads=None))]
fn phi<'py>(
    py: Python<'py>,
    counts: &Bound<'_, PyAny>,
    n_windows: &Bound<'_, PyAny>,
    memory_limit: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let job = job(memory_limit, n_threads)?;
    let n_windows = windows(n_windows)?;
    let (n, counts) = square_counts(counts)?;
    let phi = run(py, &job, || crate::measures::phi(counts.bytes(), n, n_windows, &job))?;
    matrix_of(py, phi, n, n)
}

#[pyfunction]
#[pyo3(signature = (source, top_n=Ranks(1023), measure="phi", rows=None, candidates=None, *, n_threads=None, memory_limit=None), text_signature = "(source, top_n=1023, measure=\"phi\", rows=None, candidates=None, *, n_threads=None, memory_limit=None)")]
#[allow(clippy::too_many_arguments)]
fn functional_neighbours<'py>(
    py: Python<'py>,
    source: &Bound<'_, PyAny>,
    top_n: Ranks,
    measure: &str,
    rows: Option<&Bound<'_, PyAny>>,
    candidates: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Ranked<'py>> {
    let job = job(memory_limit, n_threads)?;
    let measure = Measure::from_name(measure)?;
    let (rows, candidates) = (features("rows", rows)?, features("candidates", candidates)?);
    let (rows, candidates) = (rows.as_deref(), candidates.as_deref());
    let ranked = if let Ok(occurrences) = source.cast::<PyOccurrences>() {
        let occurrences = occurrences.get();
        run(py, &job, || {
            let occurrences = occurrences.snapshot();
            neighbours::functional(&occurrences, top_n.0, measure, rows, candidates, &job)
        })?
    } else if let Ok(histogram) = source.cast::<PyHistogram>() {
        let histogram = histogram.get();
        run(py, &job, || {
            let histogram = read(&histogram.0);
            neighbours::functional_from_counts(&histogram, top_n.0, measure, rows, candidates, &job)
        })?
    } else {
        return Err(refused("source", source, "an Occurrences or a Histogram"));
    };
    lists(py, ranked)
}

#[pyfunction]
#[pyo3(signature = (embeddings, top_n=Ranks(1023), rows=None, candidates=None, *, n_threads=None, memory_limit=None), text_signature = "(embeddings, top_n=1023, rows=None, candidates=None, *, n_threads=None, memory_limit=None)")]
fn semantic_neighbours<'py>(
    py: Python<'py>,
    embeddings: &Bound<'_, PyAny>,
    top_n: Ranks,
    rows: Option<&Bound<'_, PyAny>>,
    candidates: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Ranked<'py>> {
    let job = job(memory_limit, n_threads)?;
    let (rows, candidates) = (features("rows", rows)?, features("candidates", candidates)?);
    let embeddings = matrix::<f32>("embeddings", embeddings)?;
    let shape = embeddings.shape();
    let (n_features, dim) = (shape[0], shape[1]);
    let vectors = contiguous2("embeddings", &embeddings)?;
    let (rows, candidates) = (rows.as_deref(), candidates.as_deref());
    let ranked = run(py, &job, || {
        neighbours::semantic(vectors, n_features, dim, top_n.0, rows, candidates, &job)
    })?;
    lists(py, ranked)
}

#[pyfunction]
#[pyo3(signature = (similarity, top_n=Ranks(1023), row_start=Row(0), *, n_threads=None, memory_limit=None), text_signature = "(similarity, top_n=1023, row_start=0, *, n_threads=None, memory_limit=None)")]
fn top_neighbours<'py>(
    py: Python<'py>,
    similarity: &Bound<'_, PyAny>,
    top_n: Ranks,
    row_start: Row,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Ranked<'py>> {
    let job = job(memory_limit, n_threads)?;
    lists(py, Similarity::extract("similarity", similarity)?.top(py, top_n.0, row_start.0, &job)?)
}

#[pyfunction]
#[pyo3(signature = (functional, semantic, top_n=Ranks(1023), base=1.1, *, n_threads=None, memory_limit=None), text_signature = "(functional, semantic, top_n=1023, base=1.1, *, n_threads=None, memory_limit=None)")]
fn ndcg<'py>(
    py: Python<'py>,
    functional: &Bound<'_, PyAny>,
    semantic: &Bound<'_, PyAny>,
    top_n: Ranks,
    base: f64,
    n_threads: Option<&Bound<'_, PyAny>>,
    memory_limit: Option<&Bound<'_, PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let job = job(memory_limit, n_threads)?;
    if let (Ok(f), Ok(s)) = (functional.cast::<PyArray2<u32>>(), semantic.cast::<PyArray2<u32>>()) {
        let (f, s) = (f.readonly(), s.readonly());
        same_rows(f.shape()[0], s.shape()[0])?;
        let n_rows = f.shape()[0];
        let (f, s) = (contiguous2("functional", &f)?, contiguous2("semantic", &s)?);
        let scores = run(py, &job, || ndcg_core::ranked(f, s, n_rows, top_n.0, base, &job))?;
        return Ok(scores.into_pyarray(py));
    }
    let f = Similarity::extract("functional", functional)?;
    let s = Similarity::extract("semantic", semantic)?;
    for (name, (rows, columns)) in [("functional", f.shape()), ("semantic", s.shape())] {
        if rows != columns {
            let got = format!("of shape ({rows}, {columns})");
            return Err(Error::argument(name, got, "square, or uint32 ranked lists").into());
        }
    }
    same_rows(f.shape().0, s.shape().0)?;
    let n_rows = f.shape().0;
    let (f, s) = (f.top(py, top_n.0, 0, &job)?, s.top(py, top_n.0, 0, &job)?);
    let scores =
        py.detach(|| ndcg_core::ranked(&f.indices, &s.indices, n_rows, top_n.0, base, &job))?;
    Ok(scores.into_pyarray(py))
}

#[pyfunction]
#[pyo3(signature = (n_candidates, top_n=Ranks(1023), base=1.1), text_signature = "(n_candidates, top_n=1023, base=1.1)")]
fn chance(n_candidates: &Bound<'_, PyAny>, top_n: Ranks, base: f64) -> PyResult<f64> {
    let n = size("n_candidates", n_candidates, 0, "from 0 to 4294967295")?;
    let n =
        u32::try_from(n).map_err(|_| Error::argument("n_candidates", n, "from 0 to 4294967295"))?;
    Ok(ndcg_core::chance(n, top_n.0, base)?)
}

/// A 2-D float array of either precision.
enum Similarity<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl<'py> Similarity<'py> {
    fn extract(name: &'static str, array: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = array.cast::<PyArray2<f32>>() {
            return Ok(Self::Single(array.readonly()));
        }
        if let Ok(array) = array.cast::<PyArray2<f64>>() {
            return Ok(Self::Double(array.readonly()));
        }
        Err(refused(name, array, "a 2-D float32 or float64 array"))
    }

    fn shape(&self) -> (usize, usize) {
        let shape = match self {
            Self::Single(array) => array.shape(),
            Self::Double(array) => array.shape(),
        };
        (shape[0], shape[1])
    }

    fn top(
        &self,
        py: Python<'_>,
        top_n: usize,
        row_start: usize,
        job: &Job,
    ) -> PyResult<Neighbours> {
        let (r, c) = self.shape();
        Ok(match self {
            Self::Single(array) => {
                let values = contiguous2("similarity", array)?;
                run(py, job, || neighbours::top::<Single>(values, r, c, top_n, row_start, job))?
            }
            Self::Double(array) => {
                let values = contiguous2("similarity", array)?;
                run(py, job, || neighbours::top::<Double>(values, r, c, top_n, row_start, job))?
            }
        })
    }
}

/// The memory of a numpy array that is kept alive, and may be unaligned.
struct ArrayBytes {
    data: *const u8,
    len: usize,
    _array: Py<PyUntypedArray>,
}

// SAFETY: the memory is only read, and numpy keeps it at its place as long as `_array` lives;
// dropping a `Py` on another thread is allowed.
unsafe impl Send for ArrayBytes {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for ArrayBytes {}

impl Bytes for ArrayBytes {
    fn bytes(&self) -> &[u8] {
        // SAFETY: `data` and `len` are those of a C-contiguous array that `_array` keeps alive.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

fn square_counts(array: &Bound<'_, PyAny>) -> PyResult<(usize, ArrayBytes)> {
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

/// Compute without the interpreter, and ask it ten times a second whether Ctrl-C was pressed.
fn run<T: Send>(
    py: Python<'_>,
    job: &Job,
    work: impl FnOnce() -> crate::Result<T> + Send,
) -> PyResult<T> {
    py.detach(|| {
        thread::scope(|scope| {
            let (send, receive) = mpsc::sync_channel(1);
            let worker = scope.spawn(move || drop(send.send(work())));
            let pressed = loop {
                match receive.recv_timeout(Duration::from_millis(100)) {
                    Ok(result) => return Ok(result?),
                    Err(RecvTimeoutError::Disconnected) => break None,
                    Err(RecvTimeoutError::Timeout) => {
                        // clippy's method path does not fit the closure's lifetime.
                        #[allow(clippy::redundant_closure_for_method_calls)]
                        let signals = Python::attach(|py| py.check_signals());
                        if let Err(pressed) = signals {
                            job.stop();
                            break Some(pressed);
                        }
                    }
                }
            };
            let ended = worker.join();
            Err(match (pressed, ended) {
                (Some(pressed), _) => pressed,
                (None, _) => PyRuntimeError::new_err("a worker thread failed: please report this"),
            })
        })
    })
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn job(
    memory_limit: Option<&Bound<'_, PyAny>>,
    n_threads: Option<&Bound<'_, PyAny>>,
) -> PyResult<Job> {
    let mut job = Job::default();
    if let Some(limit) = memory_limit {
        job.memory_limit = Some(size("memory_limit", limit, 0, "a number of bytes")? as u64);
    }
    if let Some(n) = n_threads {
        let expected = "from 1 to 1024";
        let n = size("n_threads", n, 1, expected)?;
        if n > 1024 {
            return Err(Error::argument("n_threads", n, expected).into());
        }
        job.n_threads = NonZeroUsize::new(n).map(NonZeroUsize::get);
    }
    Ok(job)
}

/// An integer of at least `least`; anything else, however large, is refused by name.
fn size(
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

fn windows(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    Ok(size("n_windows", value, 0, "from 0 to 4294967295")? as u64)
}

/// `top_n`: at least 1.
#[derive(Clone, Copy)]
struct Ranks(usize);

impl<'py> FromPyObject<'_, 'py> for Ranks {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        size("top_n", &value, 1, "a number of neighbours, at least 1").map(Self)
    }
}

/// `row_start`: at least 0.
#[derive(Clone, Copy)]
struct Row(usize);

impl<'py> FromPyObject<'_, 'py> for Row {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        size("row_start", &value, 0, "the number of a feature").map(Self)
    }
}

fn features(name: &'static str, array: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<u32>>> {
    let Some(array) = array else {
        return Ok(None);
    };
    if let Ok(features) = array.cast::<PyArray1<u32>>() {
        return Ok(Some(features.readonly().as_array().to_vec()));
    }
    let Ok(numbers) = array.cast::<PyArray1<i64>>() else {
        return Err(refused(name, array, "a 1-D array of int64 or uint32"));
    };
    let numbers = numbers.readonly();
    let narrow = |(at, &number): (usize, &i64)| {
        u32::try_from(number).map_err(|_| {
            let got = format!("{number} at position {at}");
            Error::argument(name, got, "the number of a feature").into()
        })
    };
    numbers.as_array().iter().enumerate().map(narrow).collect::<PyResult<_>>().map(Some)
}

fn vector<'py, T: Element>(
    name: &'static str,
    array: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    let Ok(array) = array.cast::<PyArray1<T>>() else {
        let expected = format!("a 1-D {} array", T::get_dtype(array.py()));
        return Err(refused(name, array, &expected));
    };
    Ok(array.readonly())
}

fn matrix<'py, T: Element>(
    name: &'static str,
    array: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArray2<'py, T>> {
    let Ok(array) = array.cast::<PyArray2<T>>() else {
        let expected = format!("a 2-D {} array", T::get_dtype(array.py()));
        return Err(refused(name, array, &expected));
    };
    Ok(array.readonly())
}

const CONTIGUOUS: &str = "C-contiguous and aligned (numpy.ascontiguousarray makes it so)";

fn contiguous<'a, T: Element>(
    name: &'static str,
    array: &'a PyReadonlyArray1<'_, T>,
) -> PyResult<&'a [T]> {
    let strided = || Error::argument(name, "strided", CONTIGUOUS).into();
    if !array.data().is_aligned() {
        return Err(strided());
    }
    array.as_slice().map_err(|_| strided())
}

fn contiguous2<'a, T: Element>(
    name: &'static str,
    array: &'a PyReadonlyArray2<'_, T>,
) -> PyResult<&'a [T]> {
    let strided = || Error::argument(name, "strided", CONTIGUOUS).into();
    if !array.is_c_contiguous() || !array.data().is_aligned() {
        return Err(strided());
    }
    array.as_slice().map_err(|_| strided())
}

fn same_rows(functional: usize, semantic: usize) -> PyResult<()> {
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

/// What was given, in a few words: an array by dtype and shape, a number by its digits.
fn shown(value: &Bound<'_, PyAny>) -> String {
    if let Ok(array) = value.cast::<PyUntypedArray>() {
        let order = if array.is_c_contiguous() { "" } else { ", not C-contiguous" };
        return format!("a {} array of shape {:?}{order}", array.dtype(), array.shape());
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

fn refused(name: &'static str, value: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    Error::argument(name, shown(value), expected).into()
}

fn matrix_of<T: Element>(
    py: Python<'_>,
    values: Vec<T>,
    rows: usize,
    columns: usize,
) -> PyResult<Bound<'_, PyArray2<T>>> {
    values.into_pyarray(py).reshape([rows, columns])
}

fn lists(py: Python<'_>, ranked: Neighbours) -> PyResult<Ranked<'_>> {
    let (rows, width) = (ranked.n_rows, ranked.width);
    Ok((matrix_of(py, ranked.indices, rows, width)?, matrix_of(py, ranked.values, rows, width)?))
}
