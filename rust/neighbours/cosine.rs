//! Cosines of embeddings, one tile at a time.

use std::ops::Range;

use rayon::prelude::*;

use crate::alloc::zeros;
use crate::error::Result;
use crate::neighbours::entry::Single;
use crate::neighbours::traversal::Tiles;
use crate::simd::Isa;
use crate::simd::gemm::{COLS, DEPTH, ROWS, multiply};

/// Unit vectors, packed for multiplication: groups of `WIDTH` vectors, interleaved by component;
/// zeros fill up the last group.
struct Packed<const WIDTH: usize> {
    vectors: Vec<f32>,
    dim: usize,
}

impl<const WIDTH: usize> Packed<WIDTH> {
    fn new(vectors: &[f32], dim: usize, chosen: &[u32]) -> Self {
        let mut packed = zeros(chosen.len().div_ceil(WIDTH) * WIDTH * dim);
        if dim > 0 {
            packed.par_chunks_mut(WIDTH * dim).zip(chosen.par_chunks(WIDTH)).for_each(
                |(group, chosen)| {
                    for (lane, &feature) in chosen.iter().enumerate() {
                        let vector = &vectors[feature as usize * dim..][..dim];
                        let norm = norm(vector);
                        for (component, &v) in vector.iter().enumerate() {
                            group[component * WIDTH + lane] = (f64::from(v) / norm) as f32;
                        }
                    }
                },
            );
        }
        Self { vectors: packed, dim }
    }

    /// Return the components `depth` of the group that begins at vector `first`.
    fn group(&self, first: usize, depth: Range<usize>) -> &[f32] {
        let group = &self.vectors[first * self.dim..][..WIDTH * self.dim];
        &group[depth.start * WIDTH..depth.end * WIDTH]
    }
}

/// Return the Euclidean length in double precision; 1 for the zero vector, so that it stays zero.
fn norm(vector: &[f32]) -> f64 {
    let square: f64 = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    if square > 0.0 { square.sqrt() } else { 1.0 }
}

/// Cosines of the rows with the columns.
pub(crate) struct Cosines {
    rows: Packed<ROWS>,
    cols: Packed<COLS>,
}

impl Cosines {
    /// Return the bytes that [`Cosines::new`] allocates.
    pub(crate) fn bytes(dim: usize, n_rows: usize, n_cols: usize) -> u128 {
        4 * dim as u128 * (n_rows + n_cols + ROWS + COLS) as u128
    }

    /// Pack the vectors that `rows` and `cols` name; `vectors` is row-major.
    pub(crate) fn new(vectors: &[f32], dim: usize, rows: &[u32], cols: &[u32]) -> Self {
        Self { rows: Packed::new(vectors, dim, rows), cols: Packed::new(vectors, dim, cols) }
    }
}

impl Tiles<Single> for Cosines {
    /// A step of a tile reads 192 KiB of rows and of columns, and holds 147 KiB of products.
    const SIDE: usize = 192;
    const ROW_STEP: usize = ROWS;

    fn fill(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        _: &mut Vec<u32>,
        out: &mut [f32],
    ) -> Result<()> {
        let isa = Isa::active();
        out.fill(0.0);
        for start in (0..self.rows.dim).step_by(DEPTH) {
            let depth = start..(start + DEPTH).min(self.rows.dim);
            for j in (0..cols.len()).step_by(COLS) {
                let b = self.cols.group(cols.start + j, depth.clone());
                for i in (0..rows.len()).step_by(ROWS) {
                    let a = self.rows.group(rows.start + i, depth.clone());
                    let mut tile = [[0.0; COLS]; ROWS];
                    let lines = out[i * Self::SIDE..].chunks_mut(Self::SIDE);
                    for (tile, line) in tile.iter_mut().zip(lines) {
                        tile.copy_from_slice(&line[j..j + COLS]);
                    }
                    multiply(isa, a, b, &mut tile);
                    let lines = out[i * Self::SIDE..].chunks_mut(Self::SIDE);
                    for (tile, line) in tile.iter().zip(lines) {
                        line[j..j + COLS].copy_from_slice(tile);
                    }
                }
            }
        }
        Ok(())
    }
}
