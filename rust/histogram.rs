//! The dense symmetric co-occurrence counts, as the published files hold them.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use crate::bits::{count_tile, mirror};
use crate::error::{Error, Result};
use crate::job::{Job, zeros};
use crate::kernels::Isa;
use crate::measures::check_windows;
use crate::occurrences::Occurrences;
use crate::sparse::{self, ByFeature, ByWindow};

/// Features a side of the tiles that counting walks: 400 KB of bits a block, read once
/// into the L2 cache.
const TILE: usize = 192;
/// Features a side of the tiles that checking walks: both it and its mirror image in L2.
const CHECKED: usize = 128;
const FROM_BITS: &str =
    "rank neighbours from the occurrences, which holds no F x F array, or raise memory_limit";

/// Memory of counts that belongs to somebody else, in this machine's byte order; it may be
/// unaligned, as in a file mapped from inside an archive.
pub trait Bytes: Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];
}

#[derive(Clone)]
enum Counts {
    Owned(Arc<Vec<u32>>),
    Borrowed(Arc<dyn Bytes>),
}

/// Co-occurrence counts of all pairs of features, 4 F² bytes.
#[derive(Clone)]
pub struct Histogram {
    n_features: usize,
    n_windows: u64,
    counts: Counts,
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
    /// All counts 0.
    ///
    /// # Errors
    /// [`Error::Argument`] for no feature, [`Error::Memory`] where 4 F² bytes exceed the limit.
    pub fn new(n_features: usize, job: &Job) -> Result<Self> {
        Occurrences::new(n_features)?;
        check_dense(n_features, 4, job)?;
        Ok(Self {
            n_features,
            n_windows: 0,
            counts: Counts::Owned(Arc::new(zeros(n_features * n_features))),
        })
    }

    /// Counts that stand somewhere else; they are kept, not copied.
    ///
    /// # Errors
    /// [`Error::Contradiction`] for counts that no `n_windows` windows can have.
    pub fn from_counts(
        counts: Arc<dyn Bytes>,
        n_features: usize,
        n_windows: u64,
        job: &Job,
    ) -> Result<Self> {
        Occurrences::new(n_features)?;
        check_windows(n_windows)?;
        job.run(|| check_counts(counts.bytes(), n_features, n_windows, job))?;
        Ok(Self { n_features, n_windows, counts: Counts::Borrowed(counts) })
    }

    /// Features there are.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Windows counted.
    pub fn n_windows(&self) -> u64 {
        self.n_windows
    }

    /// Windows in which each feature occurs: the diagonal.
    pub fn counts(&self) -> Vec<u64> {
        (0..self.n_features).map(|i| u64::from(self.get(i, i))).collect()
    }

    /// Windows in which both features occur.
    pub fn get(&self, row: usize, column: usize) -> u32 {
        get(self.bytes(), self.n_features, row, column)
    }

    /// Copy columns `start..start + out.len()` of a row.
    pub fn copy_row(&self, row: usize, start: usize, out: &mut [u32]) {
        copy_row(self.bytes(), self.n_features, row, start, out);
    }

    /// All counts, row-major, in a copy.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn to_dense(&self, job: &Job) -> Result<Vec<u32>> {
        check_dense(self.n_features, 4, job)?;
        let mut out = zeros(self.n_features * self.n_features);
        job.run(|| {
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
    /// [`Error::Mismatch`], [`Error::TooManyWindows`], [`Error::Memory`]; nothing is added then.
    pub fn update(&mut self, occurrences: &Occurrences, job: &Job) -> Result<()> {
        let n_windows = self.joined(occurrences.n_features(), occurrences.n_windows() as u64)?;
        let n = self.n_features;
        let counts = self.owned(job)?;
        // Not interruptible: a count half done would be no count.
        job.run(|| add_pairs(counts, n, occurrences, &Job::default()))?;
        self.n_windows = n_windows;
        Ok(())
    }

    /// Add the counts of `other`.
    ///
    /// # Errors
    /// [`Error::Mismatch`], [`Error::TooManyWindows`], [`Error::Memory`]; nothing is added then.
    pub fn merge(&mut self, other: &Self, job: &Job) -> Result<()> {
        let n_windows = self.joined(other.n_features, other.n_windows)?;
        let n = self.n_features;
        let counts = self.owned(job)?;
        job.run(|| {
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

    fn joined(&self, n_features: usize, n_windows: u64) -> Result<u64> {
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

    /// The counts for writing; those of somebody else, or shared, are copied first.
    fn owned(&mut self, job: &Job) -> Result<&mut Vec<u32>> {
        if let Counts::Borrowed(_) = self.counts {
            self.counts = Counts::Owned(Arc::new(self.to_dense(job)?));
        }
        match &mut self.counts {
            Counts::Owned(counts) => {
                if Arc::get_mut(counts).is_none() {
                    check_dense(self.n_features, 4, job)?;
                }
                Ok(Arc::make_mut(counts))
            }
            Counts::Borrowed(_) => unreachable!("copied above"),
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.counts {
            Counts::Owned(counts) => as_bytes(counts),
            Counts::Borrowed(counts) => counts.bytes(),
        }
    }
}

/// Add to `counts` the windows in which both features of each pair occur.
pub(crate) fn add_pairs(
    counts: &mut [u32],
    n: usize,
    occurrences: &Occurrences,
    job: &Job,
) -> Result<()> {
    let margins = occurrences.counts();
    let pairs = n as f64 * n as f64 / 2.0;
    if sparse::pays(&margins, &margins, pairs, occurrences.n_windows()) {
        return add_pairs_sparse(counts, n, occurrences, job);
    }
    let isa = Isa::active();
    let cells = Cells { first: counts.as_mut_ptr(), n };
    let span = |strip: usize| strip * TILE..((strip + 1) * TILE).min(n);
    let n_strips = n.div_ceil(TILE);
    let tiles: Vec<_> = (0..n_strips).flat_map(|a| (a..n_strips).map(move |b| (a, b))).collect();
    tiles.into_par_iter().try_for_each_init(Vec::new, |tile, (a, b)| {
        job.proceed()?;
        let (rows, cols) = (span(a), span(b));
        tile.clear();
        tile.resize(TILE * TILE, 0);
        for block in occurrences.blocks() {
            count_tile(isa, (block, rows.clone()), (block, cols.clone()), tile, TILE);
        }
        if a == b {
            mirror(tile, rows.len(), TILE);
        }
        for (i, tile) in tile.chunks(TILE).take(rows.len()).enumerate() {
            // SAFETY: rows and columns are below n, and each pair of strips has one thread.
            unsafe { cells.add_row(rows.start + i, cols.start, &tile[..cols.len()]) };
        }
        if a != b {
            for j in 0..cols.len() {
                let column: [u32; TILE] = std::array::from_fn(|i| tile[i * TILE + j]);
                // SAFETY: as above; this is the same pair of strips seen from the other side.
                unsafe { cells.add_row(cols.start + j, rows.start, &column[..rows.len()]) };
            }
        }
        Ok(())
    })
}

fn add_pairs_sparse(
    counts: &mut [u32],
    n: usize,
    occurrences: &Occurrences,
    job: &Job,
) -> Result<()> {
    let by_feature = ByFeature::new(occurrences);
    let by_window = ByWindow::new(&by_feature, occurrences.n_windows());
    counts.par_chunks_mut(n).enumerate().try_for_each_init(Vec::new, |scratch, (i, row)| {
        job.proceed()?;
        by_window.count(by_feature.windows(i), scratch, row);
        Ok(())
    })
}

/// A square matrix that several threads write to, each its own tiles.
struct Cells {
    first: *mut u32,
    n: usize,
}

// SAFETY: a cell is only reached through `add_row`, whose callers keep to cells of their own.
unsafe impl Sync for Cells {}

impl Cells {
    /// Add `counts` to the cells from `column` on.
    ///
    /// # Safety
    /// The cells must lie in the matrix, and no other thread may use them meanwhile.
    unsafe fn add_row(&self, row: usize, column: usize, counts: &[u32]) {
        // SAFETY: promised by the caller.
        let cells = unsafe {
            std::slice::from_raw_parts_mut(self.first.add(row * self.n + column), counts.len())
        };
        for (cell, count) in cells.iter_mut().zip(counts) {
            *cell += count;
        }
    }
}

/// Refuse an F × F result of `item` bytes a number beyond the memory limit.
pub(crate) fn check_dense(n_features: usize, item: u128, job: &Job) -> Result<()> {
    let bytes = item * n_features as u128 * n_features as u128;
    job.check_memory("an F x F array", bytes, FROM_BITS)
}

/// Refuse counts that are negative, asymmetric, or more than their features or `n_windows` allow.
pub(crate) fn check_counts(bytes: &[u8], n: usize, n_windows: u64, job: &Job) -> Result<()> {
    let contradiction = |row, column, value: u32, why: String| Error::Contradiction {
        row,
        column,
        value: i64::from(value as i32),
        why,
        n_windows,
    };
    let diagonal: Vec<u32> = (0..n).map(|i| get(bytes, n, i, i)).collect();
    if let Some(i) = diagonal.iter().position(|&c| u64::from(c) > n_windows) {
        let why = if (diagonal[i] as i32) < 0 {
            "negative or more windows than there are"
        } else {
            "more windows than there are"
        };
        return Err(contradiction(i, i, diagonal[i], why.to_string()));
    }
    let starts: Vec<usize> = (0..n).step_by(CHECKED).collect();
    starts.into_par_iter().try_for_each(|top| {
        job.proceed()?;
        let height = CHECKED.min(n - top);
        let (mut upper, mut lower) = (vec![0; CHECKED * CHECKED], vec![0; CHECKED * CHECKED]);
        for left in (top..n).step_by(CHECKED) {
            let width = CHECKED.min(n - left);
            for i in 0..height {
                copy_row(bytes, n, top + i, left, &mut upper[i * CHECKED..][..width]);
            }
            for j in 0..width {
                copy_row(bytes, n, left + j, top, &mut lower[j * CHECKED..][..height]);
            }
            for i in 0..height {
                for j in 0..width {
                    let (row, column) = (top + i, left + j);
                    let both = upper[i * CHECKED + j];
                    if both != lower[j * CHECKED + i] {
                        let why = format!(
                            "but counts[{column}, {row}] is {}",
                            lower[j * CHECKED + i] as i32
                        );
                        return Err(contradiction(row, column, both, why));
                    }
                    let most = diagonal[row].min(diagonal[column]);
                    if both > most {
                        let why = format!("outside 0 to {most}, the windows of its rarer feature");
                        return Err(contradiction(row, column, both, why));
                    }
                }
            }
        }
        Ok(())
    })
}

/// The memory of counts.
fn as_bytes(counts: &[u32]) -> &[u8] {
    // SAFETY: any initialised memory may be read as bytes, and the length in bytes is that of the
    // same allocation.
    unsafe { std::slice::from_raw_parts(counts.as_ptr().cast(), size_of_val(counts)) }
}

pub(crate) fn get(bytes: &[u8], n: usize, row: usize, column: usize) -> u32 {
    let at = (row * n + column) * 4;
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn copy_row(bytes: &[u8], n: usize, row: usize, start: usize, out: &mut [u32]) {
    let from = &bytes[(row * n + start) * 4..][..out.len() * 4];
    for (count, bytes) in out.iter_mut().zip(from.chunks_exact(4)) {
        *count = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
}
