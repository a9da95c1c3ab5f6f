//! Bit-packed features × windows, and counting pairs in it.
//!
//! Windows come in blocks of [`BLOCK_WINDOWS`]; within a block each feature has its bits in one
//! run of 64-byte lines. So appending touches the last block alone, a tile of features is one
//! contiguous piece of memory a block, and a block of a tile fits the first-level cache.

use std::ops::Range;

use rayon::prelude::*;

use crate::alloc::filled;
use crate::context::Context;
use crate::error::Result;
use crate::simd::line::{LINE_WINDOWS, Line};
use crate::simd::popcount::REGISTER_TILE;

/// Windows in a full block: 2 KiB of bits a feature, so that 4 + 4 features fit the L1 cache.
pub const BLOCK_WINDOWS: usize = 16_384;

/// Up to [`BLOCK_WINDOWS`] windows of all features.
#[derive(Debug, Clone)]
pub struct Block {
    lines: Vec<Line>,
    stride: usize,
    n_windows: usize,
}

impl Block {
    /// A block of zeros with room for `n_windows` windows of `n_features` features.
    pub fn zeros(n_features: usize, n_windows: usize) -> Self {
        let stride = stride_for(n_windows);
        Self { lines: filled(padded(n_features) * stride, Line::default()), stride, n_windows }
    }

    /// Bytes that [`Block::zeros`] allocates.
    pub fn bytes(n_features: usize, n_windows: usize) -> u128 {
        64 * padded(n_features) as u128 * stride_for(n_windows) as u128
    }

    /// Windows in use.
    pub fn n_windows(&self) -> usize {
        self.n_windows
    }

    /// Windows there is room for.
    pub fn capacity(&self) -> usize {
        let lines = if self.stride > 1 { self.stride - 1 } else { 1 };
        lines * LINE_WINDOWS
    }

    /// Use `n_windows` windows, moving to a larger block when there is no room.
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

    /// Forget all windows from `n_windows` on.
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

    /// Lines a feature has in use.
    pub fn n_lines(&self) -> usize {
        self.n_windows.div_ceil(LINE_WINDOWS)
    }

    /// Lines of one feature.
    pub fn row(&self, feature: usize) -> &[Line] {
        &self.lines[feature * self.stride..][..self.stride]
    }

    /// Lines of one feature.
    pub fn row_mut(&mut self, feature: usize) -> &mut [Line] {
        &mut self.lines[feature * self.stride..][..self.stride]
    }

    /// Lines of consecutive features, [`Block::stride`] for each.
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

    /// All lines, in rows of [`Block::stride`].
    pub fn lines_mut(&mut self) -> &mut [Line] {
        &mut self.lines
    }

    /// Lines from one feature to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Mark `feature` in `window`.
    pub fn set(&mut self, feature: usize, window: usize) {
        let line = &mut self.lines[feature * self.stride + window / LINE_WINDOWS];
        line.0[window / 64 % 8] |= 1 << (window % 64);
    }
}

/// An odd number of lines, so that the rows of many features spread over all cache sets; room
/// doubles, so that growing by small batches copies each bit twice at most.
fn stride_for(n_windows: usize) -> usize {
    let lines = n_windows.div_ceil(LINE_WINDOWS).max(1).next_power_of_two();
    if lines > 1 { lines + 1 } else { 1 }
}

fn padded(n_features: usize) -> usize {
    n_features.next_multiple_of(REGISTER_TILE)
}
