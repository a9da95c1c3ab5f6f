//! Validating existing counts of pairs, whose memory may belong to another library.

use std::ops::Range;

use rayon::prelude::*;

use crate::context::Context;
use crate::error::{Error, Result};

/// Features per side of a tile: a tile and its mirror image fit the L2 cache.
const TILE: usize = 128;

/// Counts in memory that another library owns, in native byte order.
///
/// They may be unaligned, as in a file mapped from inside an archive.
pub trait Bytes: Send + Sync {
    /// Return the bytes.
    fn bytes(&self) -> &[u8];
}

/// View counts as bytes.
pub(crate) fn as_bytes(counts: &[u32]) -> &[u8] {
    // SAFETY: any initialised memory may be read as bytes, and the length in bytes is that of the
    // same allocation.
    unsafe { std::slice::from_raw_parts(counts.as_ptr().cast(), size_of_val(counts)) }
}

/// Return one count.
pub(crate) fn get(bytes: &[u8], n: usize, row: usize, column: usize) -> u32 {
    let at = (row * n + column) * 4;
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Copy the counts of a row from column `start` on.
pub(crate) fn copy_row(bytes: &[u8], n: usize, row: usize, start: usize, out: &mut [u32]) {
    let from = &bytes[(row * n + start) * 4..][..out.len() * 4];
    for (count, bytes) in out.iter_mut().zip(from.chunks_exact(4)) {
        *count = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
}

/// Rules that the counts of any set of windows obey, checked tile by tile.
pub(crate) struct Rules<'a> {
    bytes: &'a [u8],
    n: usize,
    n_windows: u64,
    diagonal: Vec<u32>,
}

impl<'a> Rules<'a> {
    /// Read and check the diagonal.
    ///
    /// # Errors
    /// [`Error::Contradiction`] for a feature that occurs in more windows than there are.
    pub(crate) fn new(bytes: &'a [u8], n: usize, n_windows: u64) -> Result<Self> {
        let diagonal = (0..n).map(|i| get(bytes, n, i, i)).collect();
        let rules = Self { bytes, n, n_windows, diagonal };
        if let Some(i) = rules.diagonal.iter().position(|&c| u64::from(c) > n_windows) {
            let count = rules.diagonal[i];
            let why = if (count as i32) < 0 {
                "negative, or more windows than there are"
            } else {
                "more windows than there are"
            };
            return Err(rules.violation(i, i, count, why.to_string()));
        }
        Ok(rules)
    }

    /// Check a tile of at most [`TILE`] × [`TILE`] counts: each equals its mirror image and is from
    /// 0 to the count of its rarer feature. `scratch` is a buffer to reuse.
    pub(crate) fn check(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        scratch: &mut Vec<u32>,
    ) -> Result<()> {
        scratch.resize(2 * TILE * TILE, 0);
        let (upper, lower) = scratch.split_at_mut(TILE * TILE);
        for (row, upper) in rows.clone().zip(upper.chunks_mut(TILE)) {
            copy_row(self.bytes, self.n, row, cols.start, &mut upper[..cols.len()]);
        }
        for (column, lower) in cols.clone().zip(lower.chunks_mut(TILE)) {
            copy_row(self.bytes, self.n, column, rows.start, &mut lower[..rows.len()]);
        }
        for (i, row) in rows.enumerate() {
            for (j, column) in cols.clone().enumerate() {
                let (both, mirrored) = (upper[i * TILE + j], lower[j * TILE + i]);
                if both != mirrored {
                    let why = format!("but counts[{column}, {row}] is {}", mirrored as i32);
                    return Err(self.violation(row, column, both, why));
                }
                let most = self.diagonal[row].min(self.diagonal[column]);
                if both > most {
                    let why = format!("outside 0 to {most}, the count of its rarer feature");
                    return Err(self.violation(row, column, both, why));
                }
            }
        }
        Ok(())
    }

    /// Check all tiles.
    pub(crate) fn check_all(&self, context: &Context) -> Result<()> {
        let span = |start: usize| start..(start + TILE).min(self.n);
        let starts: Vec<usize> = (0..self.n).step_by(TILE).collect();
        starts.into_par_iter().try_for_each_init(Vec::new, |scratch, top| {
            for left in (top..self.n).step_by(TILE) {
                context.proceed()?;
                self.check(span(top), span(left), scratch)?;
            }
            Ok(())
        })
    }

    fn violation(&self, row: usize, column: usize, value: u32, why: String) -> Error {
        let (value, n_windows) = (i64::from(value as i32), self.n_windows);
        Error::Contradiction { row, column, value, why, n_windows }
    }
}
