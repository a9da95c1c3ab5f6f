//! Tiles of pairs, and the best of each row while they pass.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::error::Result;
use crate::job::{Job, zeros};
use crate::kernels::Isa;
use crate::kernels::above::CHUNK;
use crate::topn::{Entry, TopN};

/// Values of pairs, a tile at a time. `value(i, j)` must be `value(j, i)` to the last bit.
pub(crate) trait Tiles<E: Entry>: Sync {
    /// Rows and columns of a full tile; a multiple of [`CHUNK`].
    const SIDE: usize;
    /// Strips of rows begin at a multiple of this; it divides [`Tiles::SIDE`].
    const ROW_STEP: usize;

    /// Write the values of rows × columns, [`Tiles::SIDE`] from row to row. What lies beyond the
    /// columns in a row may be anything.
    fn fill(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        counts: &mut Vec<u32>,
        out: &mut [E::Value],
    ) -> Result<()>;
}

/// Ranked neighbours, `width` a row, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Rows.
    pub n_rows: usize,
    /// Neighbours a row.
    pub width: usize,
    /// Their features, best first.
    pub indices: Vec<u32>,
    /// Their similarity.
    pub values: Vec<f32>,
}

impl Neighbours {
    pub(crate) fn zeros(n_rows: usize, width: usize) -> Self {
        let n = n_rows * width;
        Self { n_rows, width, indices: zeros(n), values: zeros(n) }
    }

    /// The lists of each `n_rows` consecutive rows.
    pub(crate) fn strips(
        &mut self,
        n_rows: usize,
    ) -> impl IndexedParallelIterator<Item = (&mut [u32], &mut [f32])> {
        let n = (n_rows * self.width).max(1);
        self.indices.par_chunks_mut(n).zip(self.values.par_chunks_mut(n))
    }
}

/// Write one ranked list.
pub(crate) fn write_list<E: Entry>(best: &[E], indices: &mut [u32], values: &mut [f32]) {
    for ((index, value), entry) in indices.iter_mut().zip(values).zip(best) {
        *index = entry.feature();
        *value = entry.value();
    }
}

/// Bytes that [`symmetric`] holds besides its result.
pub(crate) fn symmetric_bytes<E: Entry>(n_features: usize, width: usize) -> u128 {
    n_features as u128 * TopN::<E>::capacity(width) as u128 * size_of::<E>() as u128
}

/// The best of the rows of one side of a tile, with the bound of each.
struct Strip<E: Entry> {
    best: Vec<TopN<E>>,
    bounds: Vec<E::Value>,
}

impl<E: Entry> Strip<E> {
    fn new(n_rows: usize, side: usize, width: usize) -> Self {
        Self {
            best: (0..n_rows).map(|_| TopN::new(width)).collect(),
            bounds: vec![E::LOWEST; side],
        }
    }

    #[inline]
    fn push(&mut self, row: usize, entry: E) {
        self.best[row].push(entry);
        self.bounds[row] = self.best[row].bound();
    }

    /// Show row `row` the values of the features that `feature` gives by column.
    fn show_row(
        &mut self,
        isa: Isa,
        row: usize,
        values: &[E::Value],
        n_cols: usize,
        feature: impl Fn(usize) -> Option<u32>,
    ) {
        for (c, chunk) in values.as_chunks::<CHUNK>().0.iter().enumerate() {
            let (mask, _) = E::above(isa, chunk, &[self.bounds[row]; CHUNK]);
            each_bit(mask & within(c, n_cols), |k| {
                if let Some(feature) = feature(c * CHUNK + k) {
                    self.push(row, E::new(chunk[k], feature));
                }
            });
        }
    }

    /// Show each row its value in a column: `values` run along the rows, all are of `feature`.
    fn show_column(&mut self, isa: Isa, values: &[E::Value], n_rows: usize, feature: u32) {
        for (c, chunk) in values.as_chunks::<CHUNK>().0.iter().enumerate() {
            let mut bounds = [E::LOWEST; CHUNK];
            bounds.copy_from_slice(&self.bounds[c * CHUNK..][..CHUNK]);
            let (mask, _) = E::above(isa, chunk, &bounds);
            each_bit(mask & within(c, n_rows), |k| {
                self.push(c * CHUNK + k, E::new(chunk[k], feature));
            });
        }
    }

    fn write(self, width: usize, indices: &mut [u32], values: &mut [f32]) {
        let lists = indices.chunks_mut(width).zip(values.chunks_mut(width));
        for (best, (indices, values)) in self.best.into_iter().zip(lists) {
            write_list(&best.finish(), indices, values);
        }
    }
}

/// Bits of chunk `c` that lie below `n`.
fn within(c: usize, n: usize) -> u64 {
    let left = n.saturating_sub(c * CHUNK);
    if left >= CHUNK { u64::MAX } else { (1 << left) - 1 }
}

#[inline]
fn each_bit(mut mask: u64, mut visit: impl FnMut(usize)) {
    while mask != 0 {
        visit(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
}

/// Lists of all features among all: each tile above the diagonal is computed once and shown to
/// its rows and to its columns.
///
/// Rejected: one side of tiles at a time, which needs no locks but computes every pair twice. The
/// lists do not depend on the order in which tiles come, as candidates are totally ordered.
pub(crate) fn symmetric<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    n_features: usize,
    width: usize,
    job: &Job,
) -> Result<Neighbours> {
    let (isa, side) = (Isa::active(), T::SIDE);
    let span = |strip: usize| strip * side..((strip + 1) * side).min(n_features);
    let n_strips = n_features.div_ceil(side);
    let strips: Vec<_> =
        (0..n_strips).map(|s| Mutex::new(Strip::<E>::new(span(s).len(), side, width))).collect();
    let lock = |s: usize| strips[s].lock().unwrap_or_else(PoisonError::into_inner);
    let pairs: Vec<_> = (0..n_strips).flat_map(|a| (a..n_strips).map(move |b| (a, b))).collect();
    pairs.into_par_iter().try_for_each_init(
        || (Vec::new(), vec![zero; side * side]),
        |(counts, tile), (a, b)| {
            job.proceed()?;
            let (rows, cols) = (span(a), span(b));
            tiles.fill(rows.clone(), cols.clone(), counts, tile)?;
            let mut strip = lock(a);
            for (i, values) in tile.chunks(side).take(rows.len()).enumerate() {
                let own = rows.start + i;
                strip.show_row(isa, i, values, cols.len(), |j| {
                    let feature = cols.start + j;
                    (feature != own).then_some(feature as u32)
                });
            }
            drop(strip);
            if a != b {
                let mut strip = lock(b);
                for (i, values) in tile.chunks(side).take(rows.len()).enumerate() {
                    strip.show_column(isa, values, cols.len(), (rows.start + i) as u32);
                }
            }
            Ok(())
        },
    )?;
    let mut found = Neighbours::zeros(n_features, width);
    found.strips(side).zip(strips).for_each(|((indices, values), strip)| {
        let strip = strip.into_inner().unwrap_or_else(PoisonError::into_inner);
        strip.write(width, indices, values);
    });
    Ok(found)
}

/// Lists of the features `rows` among `candidates`, by their positions in these.
pub(crate) fn rectangular<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    rows: &[u32],
    candidates: &[u32],
    width: usize,
    job: &Job,
) -> Result<Neighbours> {
    let (isa, side) = (Isa::active(), T::SIDE);
    // Few rows still keep all threads busy.
    let share = rows.len().div_ceil(rayon::current_num_threads());
    let height = share.next_multiple_of(T::ROW_STEP).min(side);
    let mut found = Neighbours::zeros(rows.len(), width);
    if found.indices.is_empty() {
        return Ok(found);
    }
    found.strips(height).enumerate().try_for_each_init(
        || (Vec::new(), vec![zero; side * side]),
        |(counts, tile), (s, (indices, values))| {
            let span = s * height..((s + 1) * height).min(rows.len());
            let mut strip = Strip::<E>::new(span.len(), side, width);
            for left in (0..candidates.len()).step_by(side) {
                job.proceed()?;
                let cols = left..(left + side).min(candidates.len());
                tiles.fill(span.clone(), cols.clone(), counts, tile)?;
                for (i, values) in tile.chunks(side).take(span.len()).enumerate() {
                    let own = rows[span.start + i];
                    strip.show_row(isa, i, values, cols.len(), |j| {
                        let feature = candidates[left + j];
                        (feature != own).then_some(feature)
                    });
                }
            }
            strip.write(width, indices, values);
            Ok(())
        },
    )?;
    Ok(found)
}
