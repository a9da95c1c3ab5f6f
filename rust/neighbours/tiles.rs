//! Tiles of a measure of association, from bits or from counts.

use std::ops::Range;
use std::sync::Arc;

use crate::cooccurrence::histogram::Histogram;
use crate::cooccurrence::tile::{count_tile, mirror};
use crate::cooccurrence::validate::Rules;
use crate::error::Result;
use crate::measures::{Margins, Measure};
use crate::neighbours::topk::Double;
use crate::neighbours::traversal::Tiles;
use crate::occurrences::Occurrences;
use crate::simd::Isa;
use crate::simd::popcount::REGISTER_TILE;

/// A measure of pairs whose counts are computed from bits.
pub(crate) struct BitTiles<'a> {
    pub(crate) measure: Measure,
    pub(crate) n_windows: u64,
    pub(crate) rows: &'a Occurrences,
    pub(crate) cols: &'a Occurrences,
    pub(crate) row_margins: &'a Margins,
    pub(crate) col_margins: &'a Margins,
}

impl Tiles<Double> for BitTiles<'_> {
    const SIDE: usize = 128;
    const ROW_STEP: usize = REGISTER_TILE;

    fn fill(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        both: &mut Vec<u32>,
        out: &mut [f64],
    ) -> Result<()> {
        let (isa, side) = (Isa::active(), <Self as Tiles<Double>>::SIDE);
        both.clear();
        both.resize(side * side, 0);
        for (a, b) in self.rows.blocks().iter().zip(self.cols.blocks()) {
            count_tile(isa, (a, rows.clone()), (b, cols.clone()), both, side);
        }
        let same = self.rows.blocks().first().zip(self.cols.blocks().first());
        if rows == cols && same.is_some_and(|(a, b)| Arc::ptr_eq(a, b)) {
            mirror(both, rows.len(), side);
        }
        for ((row, both), out) in rows.zip(both.chunks(side)).zip(out.chunks_mut(side)) {
            let (row, cols) = ((row, self.row_margins), (cols.clone(), self.col_margins));
            self.measure.row(self.n_windows, row, cols, both, out);
        }
        Ok(())
    }
}

/// A measure of pairs whose counts exist already.
pub(crate) struct CountTiles<'a> {
    pub(crate) measure: Measure,
    pub(crate) counts: &'a Histogram,
    /// Rules still to be checked, where all counts are read.
    pub(crate) rules: Option<Rules<'a>>,
    pub(crate) rows: &'a [u32],
    pub(crate) cols: &'a [u32],
    pub(crate) row_margins: &'a Margins,
    pub(crate) col_margins: &'a Margins,
}

impl Tiles<Double> for CountTiles<'_> {
    const SIDE: usize = 128;
    const ROW_STEP: usize = 1;

    fn fill(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        both: &mut Vec<u32>,
        out: &mut [f64],
    ) -> Result<()> {
        let side = <Self as Tiles<Double>>::SIDE;
        let features = &self.cols[cols.clone()];
        let (Some(&first), Some(&last)) = (features.first(), features.last()) else {
            return Ok(());
        };
        if let Some(rules) = &self.rules {
            rules.check(rows.clone(), cols.clone(), both)?;
        }
        // Candidates ascend, so those of a tile lie in one contiguous piece of the row.
        let span = (last - first) as usize + 1;
        if both.len() < side + span {
            both.resize(side + span, 0);
        }
        let (chosen, piece) = both.split_at_mut(side);
        for (row, out) in rows.zip(out.chunks_mut(side)) {
            self.counts.copy_row(self.rows[row] as usize, first as usize, &mut piece[..span]);
            for (both, &feature) in chosen.iter_mut().zip(features) {
                *both = piece[(feature - first) as usize];
            }
            let (row, cols) = ((row, self.row_margins), (cols.clone(), self.col_margins));
            self.measure.row(self.counts.n_windows(), row, cols, chosen, out);
        }
        Ok(())
    }
}
