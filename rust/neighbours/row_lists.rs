//! Ranked lists, and the best of several rows while tiles of pairs pass.

use rayon::prelude::*;

use crate::alloc::zeros;
use crate::neighbours::topk::{Entry, TopN, room_for};
use crate::simd::Isa;
use crate::simd::line::for_each_bit;
use crate::simd::threshold::CHUNK;

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

    /// Take row `from` of other lists of the same width as row `row`.
    pub(crate) fn copy_row(&mut self, row: usize, other: &Self, from: usize) {
        let (to, from) = (row * self.width, from * self.width);
        self.indices[to..][..self.width].copy_from_slice(&other.indices[from..][..self.width]);
        self.values[to..][..self.width].copy_from_slice(&other.values[from..][..self.width]);
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

/// The best of the rows of one side of a tile, with the bound of each.
pub(crate) struct Strip<'a, E: Entry> {
    best: Vec<TopN<'a, E>>,
    bounds: Vec<E::Value>,
}

impl<'a, E: Entry> Strip<'a, E> {
    /// Of as many rows as `room` has pieces of `room_for(width)` for; `list` makes the list of one.
    pub(crate) fn new(
        room: &'a mut [E],
        side: usize,
        width: usize,
        list: impl Fn(&'a mut [E]) -> TopN<'a, E>,
    ) -> Self {
        let best = room.chunks_exact_mut(room_for(width)).map(list).collect();
        Self { best, bounds: vec![E::LOWEST; side] }
    }

    #[inline]
    fn push(&mut self, row: usize, entry: E) {
        self.best[row].push(entry);
        self.bounds[row] = self.best[row].bound();
    }

    /// Show row `row` the values of the features that `feature` gives by column.
    pub(crate) fn show_row(
        &mut self,
        isa: Isa,
        row: usize,
        values: &[E::Value],
        n_cols: usize,
        feature: impl Fn(usize) -> Option<u32>,
    ) {
        for (c, chunk) in values.as_chunks::<CHUNK>().0.iter().enumerate() {
            let (mask, _) = E::above(isa, chunk, &[self.bounds[row]; CHUNK]);
            for_each_bit(mask & within(c, n_cols), |k| {
                if let Some(feature) = feature(c * CHUNK + k) {
                    self.push(row, E::new(chunk[k], feature));
                }
            });
        }
    }

    /// Show each row its value in a column: `values` run along the rows, all are of `feature`.
    pub(crate) fn show_column(
        &mut self,
        isa: Isa,
        values: &[E::Value],
        n_rows: usize,
        feature: u32,
    ) {
        for (c, chunk) in values.as_chunks::<CHUNK>().0.iter().enumerate() {
            let mut bounds = [E::LOWEST; CHUNK];
            bounds.copy_from_slice(&self.bounds[c * CHUNK..][..CHUNK]);
            let (mask, _) = E::above(isa, chunk, &bounds);
            for_each_bit(mask & within(c, n_rows), |k| {
                self.push(c * CHUNK + k, E::new(chunk[k], feature));
            });
        }
    }

    /// Write the lists of rows from `first` on, but for those that are short: these are returned.
    pub(crate) fn write(self, first: usize, indices: &mut [u32], values: &mut [f32]) -> Vec<usize> {
        let width = indices.len() / self.best.len().max(1);
        let lists = indices.chunks_mut(width).zip(values.chunks_mut(width));
        let mut short = Vec::new();
        for (row, (best, (indices, values))) in self.best.into_iter().zip(lists).enumerate() {
            if best.short() {
                short.push(first + row);
            } else {
                write_list(best.finish(), indices, values);
            }
        }
        short
    }
}

/// Bits of chunk `c` that lie below `n`.
fn within(c: usize, n: usize) -> u64 {
    let left = n.saturating_sub(c * CHUNK);
    if left >= CHUNK { u64::MAX } else { (1 << left) - 1 }
}
