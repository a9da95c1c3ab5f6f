//! Counting all pairs of features into an F × F array, by the dense or the sparse kernel.

pub mod histogram;
pub mod sparse;
pub mod tile;
pub mod validate;

use rayon::prelude::*;

use crate::alloc::zeros;
use crate::context::Context;
use crate::cooccurrence::sparse::{ByFeature, ByWindow, PanelCounts};
use crate::cooccurrence::tile::{count_tile, mirror};
use crate::error::Result;
use crate::occurrences::Occurrences;
use crate::simd::Isa;

/// Features per side of a tile: 400 KB of bits per block, read once into the L2 cache.
const TILE: usize = 192;
const FROM_BITS: &str =
    "rank neighbours from the occurrences, which needs no F x F array, or raise memory_limit";

impl Occurrences {
    /// Count the windows in which both features of each pair occur: F × F, symmetric, row-major.
    ///
    /// # Errors
    /// [`Error::Memory`] where the result exceeds the limit.
    pub fn histogram(&self, context: &Context) -> Result<Vec<u32>> {
        check_dense(self.n_features(), 4, context)?;
        let mut counts = zeros(self.n_features() * self.n_features());
        context.run(|| add_pairs(&mut counts, self.n_features(), self, context))?;
        Ok(counts)
    }
}

/// Refuse an F × F result of `item` bytes per number if it exceeds the memory limit.
pub(crate) fn check_dense(n_features: usize, item: u128, context: &Context) -> Result<()> {
    let bytes = item * n_features as u128 * n_features as u128;
    context.check_memory("an F x F array", bytes, FROM_BITS)
}

/// Add to `counts` the number of windows in which both features of each pair occur.
pub(crate) fn add_pairs(
    counts: &mut [u32],
    n: usize,
    occurrences: &Occurrences,
    context: &Context,
) -> Result<()> {
    let margins = occurrences.counts();
    let pairs = n as f64 * n as f64 / 2.0;
    if sparse::is_faster(&margins, &margins, pairs, occurrences.n_windows()) {
        sparse::check_memory(&margins, occurrences.n_windows(), context)?;
        return add_pairs_sparse(counts, n, occurrences, context);
    }
    let isa = Isa::active();
    let matrix = SharedMatrix { first: counts.as_mut_ptr(), n };
    let span = |band: usize| band * TILE..((band + 1) * TILE).min(n);
    let n_bands = n.div_ceil(TILE);
    let tiles: Vec<_> = (0..n_bands).flat_map(|a| (a..n_bands).map(move |b| (a, b))).collect();
    tiles.into_par_iter().try_for_each_init(Vec::new, |tile, (a, b)| {
        context.proceed()?;
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
            // SAFETY: rows and columns are below n, and one thread handles each pair of bands.
            unsafe { matrix.add_row(rows.start + i, cols.start, &tile[..cols.len()]) };
        }
        if a != b {
            for j in 0..cols.len() {
                let column: [u32; TILE] = std::array::from_fn(|i| tile[i * TILE + j]);
                // SAFETY: as above; this is the mirror image of the same tile.
                unsafe { matrix.add_row(cols.start + j, rows.start, &column[..rows.len()]) };
            }
        }
        Ok(())
    })
}

fn add_pairs_sparse(
    counts: &mut [u32],
    n: usize,
    occurrences: &Occurrences,
    context: &Context,
) -> Result<()> {
    let by_feature = ByFeature::new(occurrences);
    let by_window = ByWindow::new(&by_feature, occurrences.n_windows());
    counts.par_chunks_mut(n).enumerate().try_for_each_init(PanelCounts::new, |scratch, (i, row)| {
        context.proceed()?;
        by_window.count(by_feature.windows(i), scratch, row);
        Ok(())
    })
}

/// A square matrix that several threads write to, each to its own tiles.
struct SharedMatrix {
    first: *mut u32,
    n: usize,
}

// SAFETY: cells are only reached through `add_row`, whose callers keep to their own cells.
unsafe impl Sync for SharedMatrix {}

impl SharedMatrix {
    /// Add `counts` to the cells from `column` on.
    ///
    /// # Safety
    /// The cells must lie in the matrix, and no other thread may use them during the call.
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
