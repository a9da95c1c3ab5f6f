//! Neighbours by occurrence for sparse occurrences, where a cheap bound rejects most pairs.
//!
//! The counts of a row come from increments, one panel of features at a time. A sample of features
//! estimates the phi that the row's neighbours reach; only pairs whose bound reaches that threshold
//! get an exact phi. A list that turns out incomplete is computed again without a threshold.
//!
//! Floor: one increment for each window that two features share, and ten bytes per pair read from
//! the cache, since [`HEIGHT`] rows scan the same panel in turn.
//!
//! Rejected: computing the counts and the phi of a whole row before selecting. That moves 40 bytes
//! per pair through memory and takes a root and a division per pair: twice the time for 131,072
//! features, five times for 1,048,576.

use rayon::prelude::*;

use crate::context::Context;
use crate::cooccurrence::sparse::{self, ByFeature, ByWindow, Panel, PanelCounts, RUN};
use crate::error::Result;
use crate::measures::Measure;
use crate::neighbours::bound::PhiBound;
use crate::neighbours::entry::{Double, Entry};
use crate::neighbours::row_lists::{Neighbours, Row, each_row, write_list};
use crate::neighbours::row_ties::RowTies;
use crate::neighbours::tiles::BitTiles;
use crate::neighbours::topk::{TopN, capacity_for, evenly_spaced, rank_in_sample};
use crate::neighbours::traversal::Query;
use crate::neighbours::whole_row::WholeRow;
use crate::simd::Isa;
use crate::simd::line::for_each_bit;
use crate::simd::threshold::CHUNK;

/// Rows that scan a panel in turn.
const HEIGHT: usize = 16;
/// Features in the sample.
const SAMPLE: usize = 1024;

/// Rank the neighbours of the rows asked for.
pub(crate) fn neighbours(
    tiles: &BitTiles<'_>,
    query: Query<'_>,
    context: &Context,
) -> Result<Neighbours> {
    let by_feature = ByFeature::new(tiles.cols);
    let by_window = ByWindow::new(&by_feature, tiles.n_windows as usize);
    let sample = Sample::new(&by_feature, tiles, query.width);
    let ranking = Ranking { tiles, query, by_window, sample, isa: Isa::active() };
    let n_rows = query.rows.len();
    let mut found = Neighbours::zeros(n_rows, query.width, query.ties);
    if found.indices.is_empty() {
        return Ok(found);
    }
    // Few rows are split so that all threads are busy.
    let height = n_rows.div_ceil(rayon::current_num_threads()).min(HEIGHT);
    found.row_chunks(height).enumerate().try_for_each_init(
        || Scratch::new(query),
        |scratch, (s, rows)| ranking.rows(s * height, each_row(rows).collect(), scratch, context),
    )?;
    Ok(found)
}

/// Buffers that a thread reuses for its next rows.
struct Scratch {
    counts: PanelCounts,
    masks: Vec<u64>,
    buffer: Vec<Double>,
    best: Vec<Double>,
    both: Vec<u32>,
    values: Vec<f64>,
}

impl Scratch {
    fn new(query: Query<'_>) -> Self {
        let buffer = vec![Double::FILLER; HEIGHT * capacity_for(query.width)];
        let (masks, best, both, values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { counts: PanelCounts::new(), masks, buffer, best, both, values }
    }
}

/// A row whose neighbours are wanted.
struct RowToRank {
    /// Position among the rows asked for.
    number: usize,
    /// Count and variance.
    margins: (u64, f64),
    /// Position of its own feature among the candidates.
    own: Option<usize>,
    /// Windows in which it occurs.
    windows: Vec<u32>,
}

/// What all threads share.
struct Ranking<'a> {
    tiles: &'a BitTiles<'a>,
    query: Query<'a>,
    by_window: ByWindow,
    sample: Option<Sample>,
    isa: Isa,
}

impl Ranking<'_> {
    /// Write the lists of the rows from `first` on.
    fn rows(
        &self,
        first: usize,
        lists: Vec<Row<'_>>,
        scratch: &mut Scratch,
        context: &Context,
    ) -> Result<()> {
        let Scratch { counts, masks, buffer, best, .. } = scratch;
        let rows: Vec<_> = (first..first + lists.len()).map(|row| self.row(row)).collect();
        let mut buffers = buffer.chunks_mut(capacity_for(self.query.width));
        let mut start = |row: &RowToRank| {
            let few = !row.windows.is_empty() && row.windows.len() <= RUN;
            let threshold =
                self.sample.as_ref().filter(|_| few)?.threshold(self.tiles, row, counts, best);
            let top = TopN::with_bound(self.query.width, threshold, buffers.next()?);
            Some(top.with_ties(self.query.ties))
        };
        let mut tops: Vec<_> = rows.iter().map(&mut start).collect();
        if let Some(Sample { phi_bound, .. }) = &self.sample {
            for panel in self.by_window.panels() {
                context.proceed()?;
                for (row, top) in rows.iter().zip(&mut tops) {
                    if let Some(top) = top {
                        self.scan_panel(phi_bound, panel, row, (counts, masks), top);
                    }
                }
            }
        }
        let mut left = Vec::new();
        for (row, (list, top)) in rows.iter().zip(lists.into_iter().zip(tops)) {
            match top {
                Some(top) if !top.is_incomplete() => {
                    let (best, beyond) = top.finish();
                    write_list(best, self.query.ties.then_some(beyond), list);
                }
                _ => left.push((row, list)),
            }
        }
        for (row, list) in left {
            context.proceed()?;
            if row.windows.is_empty() && self.tiles.measure == Measure::Phi {
                self.row_without_windows(row, list);
            } else {
                self.whole_row(row, list, scratch);
            }
        }
        Ok(())
    }

    fn row(&self, number: usize) -> RowToRank {
        RowToRank {
            number,
            margins: self.tiles.row_margins.of(number),
            own: self.query.candidates.binary_search(&self.query.rows[number]).ok(),
            windows: sparse::windows(self.tiles.rows, number),
        }
    }

    /// Offer a row the features of the panel that begins at column `start`.
    fn scan_panel(
        &self,
        phi_bound: &PhiBound,
        (start, panel): (usize, &Panel),
        row: &RowToRank,
        (counts, masks): (&mut PanelCounts, &mut Vec<u64>),
        top: &mut TopN<'_, Double>,
    ) {
        let BitTiles { measure, n_windows, col_margins, .. } = *self.tiles;
        let both = panel.tally(&row.windows, counts);
        phi_bound.may_reach(self.isa, row.margins, top.bound(), start, both, masks);
        for (m, &mask) in masks.iter().enumerate() {
            for_each_bit(mask, |bit| {
                let k = m * CHUNK + bit;
                let col = start + k;
                if Some(col) != row.own {
                    let (margins, both) = (col_margins.of(col), u32::from(both[k]));
                    let value = measure.pair(n_windows, row.margins, margins, both);
                    top.push(Double::new(value, self.query.candidates[col]));
                }
            });
        }
    }

    /// Write the list of a feature that never occurs: its phi with every other is 0, so the list
    /// holds the first candidates.
    fn row_without_windows(&self, row: &RowToRank, (indices, list, ties): Row<'_>) {
        let own = self.query.rows[row.number];
        let mut others = self.query.candidates.iter().copied().filter(|&feature| feature != own);
        for index in indices {
            *index = others.next().unwrap_or(own);
        }
        list.fill(0.0);
        if self.query.ties {
            *ties = RowTies::of_equal(self.query.width, others.collect());
        }
    }

    /// Write the list of a row for which the sample gives no threshold, or a wrong one.
    fn whole_row(&self, row: &RowToRank, list: Row<'_>, scratch: &mut Scratch) {
        let (tiles, candidates) = (self.tiles, self.query.candidates);
        let Scratch { counts, both, values, best, .. } = scratch;
        let n_cols = candidates.len();
        both.clear();
        both.resize(n_cols, 0);
        self.by_window.count(&row.windows, counts, both);
        let whole = WholeRow {
            measure: tiles.measure,
            n_windows: tiles.n_windows,
            row: (row.number, tiles.row_margins),
            candidates: (candidates, tiles.col_margins),
            own: row.own,
        };
        whole.write(both, (self.query.width, self.query.ties), (values, best), list);
    }
}

/// Features spaced evenly over the candidates, and the bound for all candidates.
struct Sample {
    positions: Vec<usize>,
    panel: Panel,
    /// Rank in the sample whose value the neighbours most likely reach.
    rank: usize,
    phi_bound: PhiBound,
}

impl Sample {
    /// Take the sample; `None` where the lists hold so many of the candidates that a threshold
    /// would reject few.
    fn new(by_feature: &ByFeature, tiles: &BitTiles<'_>, width: usize) -> Option<Self> {
        let n_cols = tiles.cols.n_features();
        // The bound holds for phi alone; other measures are computed for whole rows.
        let is_phi = tiles.measure == Measure::Phi;
        if !is_phi || n_cols < 4 * SAMPLE || 4 * width > n_cols {
            return None;
        }
        let positions: Vec<_> = evenly_spaced(SAMPLE, n_cols).collect();
        let windows: Vec<_> = positions.iter().map(|&at| by_feature.windows(at)).collect();
        Some(Self {
            panel: Panel::new(&windows, tiles.n_windows as usize),
            // Three standard deviations: one row in a thousand is computed a second time.
            rank: rank_in_sample(SAMPLE, width, n_cols, 3.0),
            phi_bound: PhiBound::new(tiles.col_margins, tiles.n_windows),
            positions,
        })
    }

    /// Estimate the value that the neighbours of a row most likely reach.
    fn threshold(
        &self,
        tiles: &BitTiles<'_>,
        row: &RowToRank,
        counts: &mut PanelCounts,
        values: &mut Vec<Double>,
    ) -> f64 {
        let sampled = self.positions.iter().zip(self.panel.tally(&row.windows, counts));
        values.clear();
        values.extend(sampled.filter(|&(&col, _)| Some(col) != row.own).map(|(&col, &both)| {
            let (margins, both) = (tiles.col_margins.of(col), u32::from(both));
            let value = tiles.measure.pair(tiles.n_windows, row.margins, margins, both);
            Double::new(value, col as u32)
        }));
        let rank = self.rank.min(values.len() - 1);
        let (_, &mut found, _) = values.select_nth_unstable(rank);
        found.exact()
    }
}
