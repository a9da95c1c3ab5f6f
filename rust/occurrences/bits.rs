//! Blocks of windows, one bit per feature and window.
//!
//! Windows are stored in blocks of [`BLOCK_WINDOWS`]; within a block, the bits of each feature are
//! consecutive 64-byte lines. So appending touches only the last block, a tile of features is
//! contiguous within a block, and one block of a register tile fits the L1 cache.

use std::ops::Range;

use rayon::prelude::*;

use crate::alloc::filled;
use crate::context::Context;
use crate::error::Result;
use crate::simd::line::{LINE_WINDOWS, Line};
use crate::simd::popcount::REGISTER_TILE;

/// Windows in a full block: 2 KiB of bits per feature, so that 4 + 4 features fit the L1 cache.
pub const BLOCK_WINDOWS: usize = 16_384;

/// Up to [`BLOCK_WINDOWS`] windows of all features.
#[derive(Debug, Clone)]
pub struct Block {
    lines: Vec<Line>,
    stride: usize,
    n_windows: usize,
}

impl Block {
    /// Make a block of zeros for `n_windows` windows of `n_features` features.
    pub fn zeros(n_features: usize, n_windows: usize) -> Self {
        let stride = stride_for(n_windows);
        Self { lines: filled(padded(n_features) * stride, Line::default()), stride, n_windows }
    }

    /// Return the bytes that [`Block::zeros`] allocates.
    pub fn bytes(n_features: usize, n_windows: usize) -> u128 {
        64 * padded(n_features) as u128 * stride_for(n_windows) as u128
    }

    /// Return the number of windows in use.
    pub fn n_windows(&self) -> usize {
        self.n_windows
    }

    /// Return the number of windows that fit without reallocation.
    pub fn capacity(&self) -> usize {
        let lines = if self.stride > 1 { self.stride - 1 } else { 1 };
        lines * LINE_WINDOWS
    }

    /// Grow to `n_windows` windows, in a larger allocation if necessary.
    pub fn resize(&mut self, n_features: usize, n_windows: usize) {
        if n_windows > self.capacity() {
            let mut larger = Self::zeros(n_features, n_windows);
            let used = self.n_lines();
            for feature in 0..n_features {
                larger.row_mut(feature)[..used].copy_from_slice(&self.row(feature)[..used]);
            }
            *self = larger;
        }
        self.n_windows = n_windows;
    }

    /// Clear all windows from `n_windows` on.
    pub fn truncate(&mut self, n_windows: usize) {
        let (first, bit) = (n_windows / LINE_WINDOWS, n_windows % LINE_WINDOWS);
        for row in self.lines.chunks_mut(self.stride) {
            for (l, line) in row.iter_mut().enumerate().skip(first) {
                let kept = if l == first { bit } else { 0 };
                for (w, word) in line.0.iter_mut().enumerate() {
                    let bits = kept.saturating_sub(64 * w).min(64);
                    *word &= if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
                }
            }
        }
        self.n_windows = n_windows;
    }

    /// Return the number of lines in use per feature.
    pub fn n_lines(&self) -> usize {
        self.n_windows.div_ceil(LINE_WINDOWS)
    }

    /// Return the lines of one feature.
    pub fn row(&self, feature: usize) -> &[Line] {
        &self.lines[feature * self.stride..][..self.stride]
    }

    /// Return the lines of one feature for writing.
    pub fn row_mut(&mut self, feature: usize) -> &mut [Line] {
        &mut self.lines[feature * self.stride..][..self.stride]
    }

    /// Return the lines of consecutive features, [`Block::stride`] lines for each.
    pub fn rows(&self, features: Range<usize>) -> &[Line] {
        &self.lines[features.start * self.stride..features.end * self.stride]
    }

    /// Run `work` in parallel on the lines of each of the first `n_features` features.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted) once the context is stopped.
    pub(crate) fn for_each_row(
        &mut self,
        n_features: usize,
        context: &Context,
        work: impl Fn(usize, &mut [Line]) + Sync,
    ) -> Result<()> {
        let rows = self.lines.par_chunks_mut(self.stride).take(n_features).with_min_len(16);
        rows.enumerate().try_for_each(|(feature, row)| {
            context.proceed()?;
            work(feature, row);
            Ok(())
        })
    }

    /// Return all lines, [`Block::stride`] for each feature.
    pub fn lines_mut(&mut self) -> &mut [Line] {
        &mut self.lines
    }

    /// Return the number of lines from one feature to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Record that `feature` occurs in `window`.
    pub fn set(&mut self, feature: usize, window: usize) {
        let line = &mut self.lines[feature * self.stride + window / LINE_WINDOWS];
        line.0[window / 64 % 8] |= 1 << (window % 64);
    }
}

/// Return the lines per feature: an odd number, so that the rows of many features use all cache
/// sets. The capacity doubles, so that growing by small batches copies each bit at most twice.
fn stride_for(n_windows: usize) -> usize {
    let lines = n_windows.div_ceil(LINE_WINDOWS).max(1).next_power_of_two();
    if lines > 1 { lines + 1 } else { 1 }
}

fn padded(n_features: usize) -> usize {
    n_features.next_multiple_of(REGISTER_TILE)
}
