//! Bit-packed features × windows, and counting pairs in it.
//!
//! Windows come in blocks of [`BLOCK_WINDOWS`]; within a block each feature has its bits in one
//! run of 64-byte lines. So appending touches the last block alone, a tile of features is one
//! contiguous piece of memory a block, and a block of a tile fits the first-level cache.

use std::ops::Range;

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
        Self { lines: vec![Line::default(); padded(n_features) * stride], stride, n_windows }
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

/// Windows, in rising order, whose bit is set in a row of lines.
pub fn ones(row: &[Line]) -> impl Iterator<Item = usize> + '_ {
    row.iter().flat_map(|line| line.0).enumerate().flat_map(|(i, word)| {
        std::iter::successors((word != 0).then_some(word), |w| {
            let rest = w & (w - 1);
            (rest != 0).then_some(rest)
        })
        .map(move |w| i * 64 + w.trailing_zeros() as usize)
    })
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
/// `out` is row-major with `cols.len()` columns. Both ranges must start at a multiple of
/// [`REGISTER_TILE`], and the blocks must cover the same windows.
pub fn count_tile(a: &Block, rows: Range<usize>, b: &Block, cols: Range<usize>, out: &mut [u32]) {
    let n_lines = a.n_lines();
    let width = cols.len();
    for (i, row) in rows.enumerate() {
        let x = &a.row(row)[..n_lines];
        for (j, col) in cols.clone().enumerate() {
            let y = &b.row(col)[..n_lines];
            let both: u32 = x
                .iter()
                .zip(y)
                .map(|(x, y)| (0..8).map(|k| (x.0[k] & y.0[k]).count_ones()).sum::<u32>())
                .sum();
            out[i * width + j] += both;
        }
    }
}
