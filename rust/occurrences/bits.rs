//! Bit-packed features × windows, and counting pairs in it.
//!
//! Windows come in blocks of [`BLOCK_WINDOWS`]; within a block each feature has its bits in one
//! run of 64-byte lines. So appending touches the last block alone, a tile of features is one
//! contiguous piece of memory a block, and a block of a tile fits the first-level cache.

use std::ops::Range;

use crate::context::filled;
use crate::simd::Isa;
use crate::simd::popcount::count_rows;

/// Most windows there can be: counts are 32 bits wide.
pub const MAX_WINDOWS: u64 = u32::MAX as u64;
/// Windows in a full block: 2 KiB of bits a feature, so that 4 + 4 features fit the L1 cache.
pub const BLOCK_WINDOWS: usize = 16_384;
/// Windows in a line.
pub const LINE_WINDOWS: usize = 512;
/// Features of a register tile; blocks are padded to a multiple of it.
pub const REGISTER_TILE: usize = 4;

/// Bits of one feature in 512 consecutive windows: a cache line, a 512-bit register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [u64; 8]);

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

/// Call `visit` for each window, in rising order, whose bit is set in a row of lines.
#[inline]
pub fn for_each_one(row: &[Line], mut visit: impl FnMut(usize)) {
    for (l, line) in row.iter().enumerate() {
        for (w, &word) in line.0.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                visit(l * LINE_WINDOWS + w * 64 + rest.trailing_zeros() as usize);
                rest &= rest - 1;
            }
        }
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

/// Add to `out` the windows in which both of each pair of features occur.
///
/// `out` is row-major, `width` from row to row; it needs room for both ranges rounded up to
/// [`REGISTER_TILE`], of which both must start at a multiple. The blocks must cover the same
/// windows. Where block and range are the same on both sides, only register tiles on and above the
/// diagonal are counted: [`mirror`] does the rest.
pub fn count_tile(
    isa: Isa,
    (a, rows): (&Block, Range<usize>),
    (b, cols): (&Block, Range<usize>),
    out: &mut [u32],
    width: usize,
) {
    const T: usize = REGISTER_TILE;
    let n_lines = a.n_lines();
    let diagonal = std::ptr::eq(a, b) && rows == cols;
    let end = cols.end.next_multiple_of(T) * b.stride;
    for i in (0..rows.len()).step_by(T) {
        let x: [&[Line]; T] = std::array::from_fn(|k| &a.row(rows.start + i + k)[..n_lines]);
        let first = if diagonal { i } else { 0 };
        let y = &b.lines[(cols.start + first) * b.stride..end];
        count_rows(isa, x, y, b.stride, &mut out[i * width + first..], width);
    }
}

/// Copy what stands above the diagonal of an `n` × `n` tile to below it.
pub fn mirror(tile: &mut [u32], n: usize, width: usize) {
    for i in 0..n {
        for j in 0..i {
            tile[i * width + j] = tile[j * width + i];
        }
    }
}
