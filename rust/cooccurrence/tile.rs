//! Counting the windows that pairs of features share, one tile of pairs at a time.

use std::ops::Range;

use crate::occurrences::bits::Block;
use crate::simd::Isa;
use crate::simd::line::Line;
use crate::simd::popcount::{REGISTER_TILE, count_rows};

/// Add to `out` the number of windows in which both features of each pair occur.
///
/// `out` is row-major with rows `width` apart, and has space for both ranges rounded up to a
/// multiple of [`REGISTER_TILE`]. Both ranges start at such a multiple, and both blocks cover the
/// same windows. Where block and range are the same on both sides, only the register tiles on and
/// above the diagonal are counted; [`mirror`] fills in the rest.
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
    let end = cols.end.next_multiple_of(T);
    for i in (0..rows.len()).step_by(T) {
        let x: [&[Line]; T] = std::array::from_fn(|k| &a.row(rows.start + i + k)[..n_lines]);
        let first = if diagonal { i } else { 0 };
        let y = b.rows(cols.start + first..end);
        count_rows(isa, x, y, b.stride(), &mut out[i * width + first..], width);
    }
}

/// Copy the upper triangle of an `n` × `n` tile to the lower one.
pub fn mirror(tile: &mut [u32], n: usize, width: usize) {
    for i in 0..n {
        for j in 0..i {
            tile[i * width + j] = tile[j * width + i];
        }
    }
}
