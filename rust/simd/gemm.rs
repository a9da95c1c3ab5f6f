//! Dot products of float32 vectors, in tiles.
//!
//! Each sum adds its components in order, regardless of the tile and of which vector is the row. So
//! a·b equals b·a to the last bit, equal vectors have equal products, and a block of rows has the
//! same bits as in the whole product.

use crate::simd::per_isa;

/// Rows of a register tile.
pub const ROWS: usize = 12;
/// Columns of a register tile: two 512-bit registers.
pub const COLS: usize = 32;
/// Components per step: 12 KiB of rows and 32 KiB of columns.
pub const DEPTH: usize = 256;

per_isa! {
    /// Add to `out` the products of [`ROWS`] with [`COLS`] vectors; `a` and `b` are interleaved by
    /// component.
    pub fn multiply(a: &[f32], b: &[f32], out: &mut [[f32; COLS]; ROWS]) = plain::<true>;
    portable = plain::<false>; avx2 = halves; avx512 = plain::<true>
}

#[inline(always)]
fn plain<const FUSED: bool>(a: &[f32], b: &[f32], out: &mut [[f32; COLS]; ROWS]) {
    let mut sums = *out;
    for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
        for i in 0..ROWS {
            for j in 0..COLS {
                sums[i][j] = multiply_add::<FUSED>(a[i], b[j], sums[i][j]);
            }
        }
    }
    *out = sums;
}

/// Multiply six rows by sixteen columns at a time: there are 16 registers of 256 bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn halves(a: &[f32], b: &[f32], out: &mut [[f32; COLS]; ROWS]) {
    for i in (0..ROWS).step_by(6) {
        for j in (0..COLS).step_by(16) {
            let mut sums = [[0.0; 16]; 6];
            for (sums, out) in sums.iter_mut().zip(&out[i..]) {
                sums.copy_from_slice(&out[j..j + 16]);
            }
            for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLS>().0) {
                for r in 0..6 {
                    for c in 0..16 {
                        sums[r][c] = multiply_add::<true>(a[i + r], b[j + c], sums[r][c]);
                    }
                }
            }
            for (sums, out) in sums.iter().zip(&mut out[i..]) {
                out[j..j + 16].copy_from_slice(sums);
            }
        }
    }
}

/// Multiply and add, fused where the instruction set supports it; elsewhere a fused operation would
/// be a function call.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, sum: f32) -> f32 {
    if FUSED { a.mul_add(b, sum) } else { a * b + sum }
}
