//! Tiles of a measure of association, from bits.

use std::ops::Range;
use std::sync::Arc;

use crate::cooccurrence::tile::{count_tile, mirror};
use crate::error::Result;
use crate::measures::{Margins, Measure};
use crate::neighbours::entry::Double;
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
