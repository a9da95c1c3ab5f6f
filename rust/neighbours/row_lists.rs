//! Ranked lists, and the lists of several rows while tiles of pairs are computed.

use rayon::prelude::*;

use crate::alloc::zeros;
use crate::neighbours::entry::Entry;
use crate::neighbours::row_ties::{Lists, RowTies};
use crate::neighbours::topk::{TopN, capacity_for};
use crate::simd::Isa;
use crate::simd::line::for_each_bit;
use crate::simd::threshold::CHUNK;

/// Ranked neighbours: `width` per row, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Rows.
    pub n_rows: usize,
    /// Neighbours per row.
    pub width: usize,
    /// Features, best first.
    pub indices: Vec<u32>,
    /// Their similarity to the row; nothing where ties were asked for, which is all that rankings need.
    pub values: Vec<f32>,
    /// Ties of each row, where they were asked for; `None` for a row without any.
    pub ties: Vec<Option<Box<RowTies>>>,
}

/// Where the lists of some rows are written: indices, values and ties.
pub(crate) type Rows<'a> = (&'a mut [u32], &'a mut [f32], &'a mut [Option<Box<RowTies>>]);
/// Where one list is written.
pub(crate) type Row<'a> = (&'a mut [u32], &'a mut [f32], &'a mut Option<Box<RowTies>>);

/// Split rows into each.
pub(crate) fn each_row((indices, values, ties): Rows<'_>) -> impl Iterator<Item = Row<'_>> {
    let width = (indices.len() / ties.len().max(1)).max(1);
    chunks((indices, values, ties), (width, 1))
        .map(|(indices, values, ties)| (indices, values, &mut ties[0]))
}

/// Split lists into chunks of some entries that are some rows; there may be no values.
fn chunks(
    (indices, mut values, ties): Rows<'_>,
    (n_entries, n_rows): (usize, usize),
) -> impl Iterator<Item = Rows<'_>> {
    indices.chunks_mut(n_entries).zip(ties.chunks_mut(n_rows)).map(move |(indices, ties)| {
        let n = indices.len().min(values.len());
        (indices, values.split_off_mut(..n).unwrap_or_default(), ties)
    })
}

impl Neighbours {
    /// The lists without their values.
    pub fn lists(&self) -> Lists<'_> {
        let Self { n_rows, width, indices, ties, .. } = self;
        Lists { n_rows: *n_rows, width: *width, indices, ties }
    }

    /// Allocate lists of zeros, with ties or with values.
    pub(crate) fn zeros(n_rows: usize, width: usize, ties: bool) -> Self {
        let n = n_rows * width;
        let values = zeros(if ties { 0 } else { n });
        Self { n_rows, width, indices: zeros(n), values, ties: vec![None; n_rows] }
    }

    /// Overwrite row `row` with row `number` of other lists of the same width.
    pub(crate) fn copy_row(&mut self, row: usize, other: &Self, number: usize) {
        let (to, from) = (row * self.width, number * self.width);
        self.indices[to..][..self.width].copy_from_slice(&other.indices[from..][..self.width]);
        if !self.values.is_empty() {
            self.values[to..][..self.width].copy_from_slice(&other.values[from..][..self.width]);
        }
        self.ties[row].clone_from(&other.ties[number]);
    }

    /// Split the lists into chunks of `n_rows` consecutive rows.
    pub(crate) fn row_chunks(
        &mut self,
        n_rows: usize,
    ) -> impl IndexedParallelIterator<Item = Rows<'_>> {
        let n = (n_rows * self.width).max(1);
        let Self { indices, values, ties, .. } = self;
        chunks((indices, values, ties), (n, n_rows)).collect::<Vec<_>>().into_par_iter()
    }
}

/// Write one ranked list, and its ties where `beyond` gives the features that tie with its last.
pub(crate) fn write_list<E: Entry>(
    best: &[E],
    beyond: Option<Vec<u32>>,
    (indices, values, ties): Row<'_>,
) {
    *ties = beyond.and_then(|beyond| RowTies::of(best, beyond));
    for (index, entry) in indices.iter_mut().zip(best) {
        *index = entry.feature();
    }
    for (value, entry) in values.iter_mut().zip(best) {
        *value = entry.value();
    }
}

/// The lists of the rows on one side of a tile, and the bound of each.
pub(crate) struct RowLists<'a, E: Entry> {
    best: Vec<TopN<'a, E>>,
    bounds: Vec<E::Value>,
}

impl<'a, E: Entry> RowLists<'a, E> {
    /// Make one list with `list` for each piece of `capacity_for(width)` entries in `buffer`.
    pub(crate) fn new(
        buffer: &'a mut [E],
        side: usize,
        width: usize,
        list: impl Fn(&'a mut [E]) -> TopN<'a, E>,
    ) -> Self {
        let best = buffer.chunks_exact_mut(capacity_for(width)).map(list).collect();
        Self { best, bounds: vec![E::LOWEST; side] }
    }

    #[inline]
    fn push(&mut self, row: usize, entry: E) {
        self.best[row].push(entry);
        self.bounds[row] = self.best[row].bound();
    }

    /// Offer row `row` its values; `feature` gives the feature of a column, or `None` to skip it.
    pub(crate) fn offer_row(
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

    /// Offer each row its value of one column: `values` holds one value per row, all of `feature`.
    pub(crate) fn offer_column(
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

    /// Write the lists of the rows from `first` on, with `ties` or without, and return the rows whose lists are incomplete.
    pub(crate) fn write(self, first: usize, ties: bool, rows: Rows<'_>) -> Vec<usize> {
        let mut incomplete = Vec::new();
        for (row, (best, out)) in self.best.into_iter().zip(each_row(rows)).enumerate() {
            if best.is_incomplete() {
                incomplete.push(first + row);
            } else {
                let (best, beyond) = best.finish();
                write_list(best, ties.then_some(beyond), out);
            }
        }
        incomplete
    }
}

/// Mask of the positions in chunk `c` that lie below `n`.
fn within(c: usize, n: usize) -> u64 {
    let left = n.saturating_sub(c * CHUNK);
    if left >= CHUNK { u64::MAX } else { (1 << left) - 1 }
}
