//! Counts of all pairs that exist already: how they lie in memory, and what they must be.

use std::ops::Range;

use rayon::prelude::*;

use crate::context::Context;
use crate::error::{Error, Result};

/// Features a side of the tiles that checking walks: both it and its mirror image in L2.
const CHECKED: usize = 128;

/// Memory of counts that belongs to somebody else, in this machine's byte order; it may be
/// unaligned, as in a file mapped from inside an archive.
pub trait Bytes: Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];
}

/// The memory of counts.
pub(crate) fn as_bytes(counts: &[u32]) -> &[u8] {
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

/// What counts must obey, seen tile by tile.
pub(crate) struct Rules<'a> {
    bytes: &'a [u8],
    n: usize,
    n_windows: u64,
    diagonal: Vec<u32>,
}

impl<'a> Rules<'a> {
    /// The diagonal is checked at once.
    ///
    /// # Errors
    /// [`Error::Contradiction`] for a feature that occurs in more windows than there are.
    pub(crate) fn new(bytes: &'a [u8], n: usize, n_windows: u64) -> Result<Self> {
        let diagonal = (0..n).map(|i| get(bytes, n, i, i)).collect();
        let rules = Self { bytes, n, n_windows, diagonal };
        if let Some(i) = rules.diagonal.iter().position(|&c| u64::from(c) > n_windows) {
            let count = rules.diagonal[i];
            let why = if (count as i32) < 0 {
                "negative or more windows than there are"
            } else {
                "more windows than there are"
            };
            return Err(rules.broken(i, i, count, why.to_string()));
        }
        Ok(rules)
    }

    /// Refuse a tile of counts, [`CHECKED`] a side at most, that is negative, unlike its mirror
    /// image, or more than its features allow. `scratch` is for use again.
    pub(crate) fn check(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        scratch: &mut Vec<u32>,
    ) -> Result<()> {
        scratch.resize(2 * CHECKED * CHECKED, 0);
        let (upper, lower) = scratch.split_at_mut(CHECKED * CHECKED);
        for (row, upper) in rows.clone().zip(upper.chunks_mut(CHECKED)) {
            copy_row(self.bytes, self.n, row, cols.start, &mut upper[..cols.len()]);
        }
        for (column, lower) in cols.clone().zip(lower.chunks_mut(CHECKED)) {
            copy_row(self.bytes, self.n, column, rows.start, &mut lower[..rows.len()]);
        }
        for (i, row) in rows.enumerate() {
            for (j, column) in cols.clone().enumerate() {
                let (both, mirrored) = (upper[i * CHECKED + j], lower[j * CHECKED + i]);
                if both != mirrored {
                    let why = format!("but counts[{column}, {row}] is {}", mirrored as i32);
                    return Err(self.broken(row, column, both, why));
                }
                let most = self.diagonal[row].min(self.diagonal[column]);
                if both > most {
                    let why = format!("outside 0 to {most}, the windows of its rarer feature");
                    return Err(self.broken(row, column, both, why));
                }
            }
        }
        Ok(())
    }

    /// Check all tiles, in a pass of its own.
    pub(crate) fn check_all(&self, context: &Context) -> Result<()> {
        let span = |start: usize| start..(start + CHECKED).min(self.n);
        let starts: Vec<usize> = (0..self.n).step_by(CHECKED).collect();
        starts.into_par_iter().try_for_each_init(Vec::new, |scratch, top| {
            for left in (top..self.n).step_by(CHECKED) {
                context.proceed()?;
                self.check(span(top), span(left), scratch)?;
            }
            Ok(())
        })
    }

    fn broken(&self, row: usize, column: usize, value: u32, why: String) -> Error {
        let (value, n_windows) = (i64::from(value as i32), self.n_windows);
        Error::Contradiction { row, column, value, why, n_windows }
    }
}
