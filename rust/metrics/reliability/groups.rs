//! Counts of pairs in each group of documents, for a few rows at a time.
//!
//! The windows of a group are brought together, so that one pass over the bits counts all groups:
//! as many operations as counting once, plus those of the lines that the groups fill in part.

use std::ops::Range;
use std::sync::Arc;

use crate::context::Context;
use crate::cooccurrence::sparse::{self, ByFeature, ByWindow, PanelCounts};
use crate::cooccurrence::tile::{count_tile, mirror};
use crate::error::{Error, Result};
use crate::metrics::reliability::splits::GROUPS;
use crate::occurrences::Occurrences;
use crate::simd::Isa;
use crate::simd::threshold::CHUNK;

/// Columns that are counted with all rows of a block before the next ones: their bits in one group
/// stay in the L2 cache.
const TILE: usize = 128;

/// Rows and columns of pairs, and their windows group by group.
pub(crate) struct Groups {
    /// The windows of each group with the features of the rows.
    rows: Vec<Occurrences>,
    /// The same with the features of the columns.
    cols: Vec<Occurrences>,
    /// Number of windows in each group.
    pub(crate) windows: [u64; GROUPS],
    /// Windows of each row's feature in each group.
    pub(crate) row_counts: [Vec<u64>; GROUPS],
    /// Windows of each column's feature in each group.
    pub(crate) col_counts: [Vec<u64>; GROUPS],
    /// Features by window of each group, where increments are faster than popcounts.
    by_window: Option<Vec<ByWindow>>,
}

impl Groups {
    /// Divide the windows into groups; `group_of` gives that of each window.
    ///
    /// # Errors
    /// [`Error::Mismatch`] or [`Error::Argument`] unless each window has a group from 0 to 15;
    /// [`Error::Memory`]; [`Error::Interrupted`].
    pub(crate) fn new(
        occurrences: &Occurrences,
        group_of: &[u8],
        rows: &[u32],
        candidates: &[u32],
        context: &Context,
    ) -> Result<Self> {
        let members = members(occurrences, group_of)?;
        let divide = |features: &[u32]| -> Result<Vec<Occurrences>> {
            let all = 0..occurrences.n_features() as u32;
            let chosen = if features.iter().copied().eq(all) {
                occurrences.clone()
            } else {
                occurrences.features(features, context)?
            };
            members.iter().map(|windows| chosen.select(windows, context)).collect()
        };
        let cols = divide(candidates)?;
        let rows = if rows == candidates { cols.clone() } else { divide(rows)? };
        let counts = |side: &[Occurrences]| std::array::from_fn(|group| side[group].counts());
        let mut groups = Self {
            windows: std::array::from_fn(|group| members[group].len() as u64),
            row_counts: counts(&rows),
            col_counts: counts(&cols),
            rows,
            cols,
            by_window: None,
        };
        if groups.is_sparse(occurrences.n_windows()) {
            groups.index(context)?;
        }
        Ok(groups)
    }

    fn is_sparse(&self, n_windows: usize) -> bool {
        let all = |counts: &[Vec<u64>; GROUPS]| -> Vec<u64> {
            (0..counts[0].len()).map(|i| counts.iter().map(|group| group[i]).sum()).collect()
        };
        let pairs = self.row_counts[0].len() as f64 * self.col_counts[0].len() as f64;
        sparse::is_faster(&all(&self.row_counts), &all(&self.col_counts), pairs, n_windows)
    }

    fn index(&mut self, context: &Context) -> Result<()> {
        let index = |(cols, counts): (&Occurrences, &Vec<u64>)| {
            sparse::check_memory(counts, cols.n_windows(), context)?;
            context.run(|| Ok(ByWindow::new(&ByFeature::new(cols), cols.n_windows())))
        };
        let indices = self.cols.iter().zip(&self.col_counts).map(index);
        self.by_window = Some(indices.collect::<Result<_>>()?);
        Ok(())
    }

    /// Numbers from one group's counts of a row to the next group's: the columns, rounded up so
    /// that kernels need no remainder.
    pub(crate) fn stride(&self) -> usize {
        self.col_counts[0].len().next_multiple_of(CHUNK)
    }

    /// Count the windows that the features of `rows`, which begin at a multiple of four, share with
    /// those of all columns: for each row and then for each group, one count per column.
    pub(crate) fn count(&self, rows: Range<usize>, panel: &mut PanelCounts, out: &mut [u32]) {
        out.fill(0);
        let stride = self.stride();
        let Some(by_window) = &self.by_window else {
            return self.count_bits(&rows, out);
        };
        for (row, out) in rows.zip(out.chunks_mut(GROUPS * stride)) {
            for ((lists, set), out) in by_window.iter().zip(&self.rows).zip(out.chunks_mut(stride))
            {
                lists.count(&sparse::windows(set, row), panel, out);
            }
        }
    }

    fn count_bits(&self, rows: &Range<usize>, out: &mut [u32]) {
        let (isa, stride) = (Isa::active(), self.stride());
        let n_cols = self.col_counts[0].len();
        for start in (0..n_cols).step_by(TILE) {
            let cols = start..(start + TILE).min(n_cols);
            for (group, sides) in self.rows.iter().zip(&self.cols).enumerate() {
                let out = &mut out[group * stride + start..];
                let blocks = || sides.0.blocks().iter().zip(sides.1.blocks());
                for (a, b) in blocks() {
                    count_tile(isa, (a, rows.clone()), (b, cols.clone()), out, GROUPS * stride);
                }
                if *rows == cols && blocks().next().is_some_and(|(a, b)| Arc::ptr_eq(a, b)) {
                    mirror(out, rows.len(), GROUPS * stride);
                }
            }
        }
    }
}

/// The windows of each group, ascending.
fn members(occurrences: &Occurrences, group_of: &[u8]) -> Result<Vec<Vec<i64>>> {
    if group_of.len() != occurrences.n_windows() {
        return Err(Error::Mismatch {
            what: "groups",
            got: group_of.len(),
            other: "n_windows",
            expected: occurrences.n_windows(),
        });
    }
    let mut members = vec![Vec::new(); GROUPS];
    for (window, &group) in group_of.iter().enumerate() {
        let Some(windows) = members.get_mut(usize::from(group)) else {
            let got = format!("{group} at position {window}");
            return Err(Error::argument("groups", got, "from 0 to 15"));
        };
        windows.push(window as i64);
    }
    Ok(members)
}
