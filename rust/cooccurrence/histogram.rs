//! The dense symmetric co-occurrence histogram, as the published files hold it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::alloc::zeros;
use crate::context::Context;
use crate::cooccurrence::validate::{Bytes, Rules, as_bytes, copy_row, get};
use crate::cooccurrence::{add_pairs, check_dense};
use crate::error::{Error, Result};
use crate::limits::check_windows;
use crate::occurrences::Occurrences;

#[derive(Clone)]
enum Storage {
    Owned(Arc<Vec<u32>>),
    Borrowed(Arc<dyn Bytes>),
}

/// Co-occurrence counts of all pairs of features, 4 F² bytes.
#[derive(Clone)]
pub struct Histogram {
    n_features: usize,
    n_windows: u64,
    counts: Storage,
    /// Whether the counts have been checked.
    checked: Arc<AtomicBool>,
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("n_features", &self.n_features)
            .field("n_windows", &self.n_windows)
            .finish_non_exhaustive()
    }
}

impl Histogram {
    /// Make a histogram of no windows.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no feature; [`Error::Memory`] if 4 F² bytes exceed the
    /// limit.
    pub fn new(n_features: usize, context: &Context) -> Result<Self> {
        Occurrences::new(n_features)?;
        check_dense(n_features, 4, context)?;
        Ok(Self {
            n_features,
            n_windows: 0,
            counts: Storage::Owned(Arc::new(zeros(n_features * n_features))),
            checked: Arc::new(AtomicBool::new(true)),
        })
    }

    /// Take over existing counts; they are kept, not copied.
    ///
    /// # Errors
    /// [`Error::Contradiction`] for counts that `n_windows` windows cannot have.
    pub fn from_counts(
        counts: Arc<dyn Bytes>,
        n_features: usize,
        n_windows: u64,
        context: &Context,
    ) -> Result<Self> {
        let histogram = Self::from_counts_deferred(counts, n_features, n_windows)?;
        histogram.check(context)?;
        Ok(histogram)
    }

    /// Take over existing counts, but check only the diagonal now. The first call that reads the
    /// other counts checks them.
    ///
    /// # Errors
    /// [`Error::Contradiction`] for a feature that occurs in more windows than there are.
    pub fn from_counts_deferred(
        counts: Arc<dyn Bytes>,
        n_features: usize,
        n_windows: u64,
    ) -> Result<Self> {
        Occurrences::new(n_features)?;
        check_windows(n_windows)?;
        Rules::new(counts.bytes(), n_features, n_windows)?;
        let checked = Arc::new(AtomicBool::new(false));
        Ok(Self { n_features, n_windows, counts: Storage::Borrowed(counts), checked })
    }

    /// Check the counts unless that has been done.
    ///
    /// # Errors
    /// [`Error::Contradiction`] for impossible counts; [`Error::Interrupted`].
    pub fn check(&self, context: &Context) -> Result<()> {
        if !self.checked.load(Ordering::Acquire) {
            let rules = Rules::new(self.bytes(), self.n_features, self.n_windows)?;
            context.run(|| rules.check_all(context))?;
            self.checked.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Return the number of features.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Return the number of windows counted.
    pub fn n_windows(&self) -> u64 {
        self.n_windows
    }

    /// Return the number of windows in which each feature occurs: the diagonal.
    pub fn counts(&self) -> Vec<u64> {
        (0..self.n_features).map(|i| u64::from(self.get(i, i))).collect()
    }

    /// Return the number of windows in which both features occur.
    pub fn get(&self, row: usize, column: usize) -> u32 {
        get(self.bytes(), self.n_features, row, column)
    }

    /// Copy columns `start..start + out.len()` of a row.
    pub fn copy_row(&self, row: usize, start: usize, out: &mut [u32]) {
        copy_row(self.bytes(), self.n_features, row, start, out);
    }

    /// Copy all counts, row-major.
    ///
    /// # Errors
    /// [`Error::Memory`]; [`Error::Contradiction`] as [`Histogram::check`].
    pub fn to_dense(&self, context: &Context) -> Result<Vec<u32>> {
        check_dense(self.n_features, 4, context)?;
        self.check(context)?;
        let mut out = zeros(self.n_features * self.n_features);
        context.run(|| {
            out.par_chunks_mut(self.n_features)
                .enumerate()
                .for_each(|(row, out)| self.copy_row(row, 0, out));
            Ok(())
        })?;
        Ok(out)
    }

    /// Add the windows of `occurrences`.
    ///
    /// # Errors
    /// [`Error::Mismatch`], [`Error::TooManyWindows`], [`Error::Memory`]; [`Error::Contradiction`]
    /// as [`Histogram::check`]. After an error, nothing is added.
    pub fn update(&mut self, occurrences: &Occurrences, context: &Context) -> Result<()> {
        let n_windows =
            self.total_windows(occurrences.n_features(), occurrences.n_windows() as u64)?;
        let n = self.n_features;
        context.proceed()?;
        let counts = self.counts_mut(context)?;
        // Not interruptible from here on: partly added windows would corrupt the counts.
        context.run(|| add_pairs(counts, n, occurrences, &Context::default()))?;
        self.n_windows = n_windows;
        Ok(())
    }

    /// Add the counts of `other`.
    ///
    /// # Errors
    /// [`Error::Mismatch`], [`Error::TooManyWindows`], [`Error::Memory`]; [`Error::Contradiction`]
    /// as [`Histogram::check`]. After an error, nothing is added.
    pub fn merge(&mut self, other: &Self, context: &Context) -> Result<()> {
        let n_windows = self.total_windows(other.n_features, other.n_windows)?;
        let n = self.n_features;
        other.check(context)?;
        let counts = self.counts_mut(context)?;
        context.run(|| {
            counts.par_chunks_mut(n).enumerate().for_each(|(row, sums)| {
                for (column, sum) in sums.iter_mut().enumerate() {
                    *sum += other.get(row, column);
                }
            });
            Ok(())
        })?;
        self.n_windows = n_windows;
        Ok(())
    }

    fn total_windows(&self, n_features: usize, n_windows: u64) -> Result<u64> {
        if n_features != self.n_features {
            return Err(Error::Mismatch {
                what: "the other's n_features",
                got: n_features,
                other: "this histogram's n_features",
                expected: self.n_features,
            });
        }
        let total = self.n_windows + n_windows;
        check_windows(total)?;
        Ok(total)
    }

    /// Return the counts for writing, after copying them if they are borrowed or shared.
    fn counts_mut(&mut self, context: &Context) -> Result<&mut Vec<u32>> {
        if let Storage::Borrowed(_) = self.counts {
            self.counts = Storage::Owned(Arc::new(self.to_dense(context)?));
        }
        match &mut self.counts {
            Storage::Owned(counts) => {
                if Arc::get_mut(counts).is_none() {
                    check_dense(self.n_features, 4, context)?;
                }
                Ok(Arc::make_mut(counts))
            }
            Storage::Borrowed(_) => unreachable!("copied above"),
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.counts {
            Storage::Owned(counts) => as_bytes(counts),
            Storage::Borrowed(counts) => counts.bytes(),
        }
    }
}
