//! Neighbours by occurrence where occurrences are rare: few pairs are looked at closely.
//!
//! A row's counts come from increments, a panel of features at a time. A sample of features says
//! which phi the best most likely reach, so that nearly all pairs are done with after a glance.
//!
//! Floor: an increment for each window that two features share, and of each pair ten bytes that
//! are read from the cache, as some rows pass a panel one after the other.
//!
//! Rejected: the counts and the phi of a whole row before any selection, 40 bytes a pair through
//! memory and a root and a division each: twice as long for 131,072 features, five times as long for
//! 1,048,576.

use rayon::prelude::*;

use crate::context::Context;
use crate::cooccurrence::sparse::{self, ByFeature, ByWindow, Counts, Panel, RUN};
use crate::error::Result;
use crate::neighbours::bound::Screen;
use crate::neighbours::row_lists::{Neighbours, write_list};
use crate::neighbours::tiles::BitTiles;
use crate::neighbours::topk::{Double, Entry, TopN, best_of_row, rank_in_sample, room_for};
use crate::neighbours::traversal::Among;
use crate::simd::Isa;
use crate::simd::line::for_each_bit;
use crate::simd::threshold::CHUNK;

/// Rows that pass a panel one after the other.
const HEIGHT: usize = 16;
/// Features of the sample.
const SAMPLE: usize = 1024;

/// Lists of the features `rows` among `candidates`.
pub(crate) fn neighbours(
    tiles: &BitTiles<'_>,
    among: Among<'_>,
    context: &Context,
) -> Result<Neighbours> {
    let by_feature = ByFeature::new(tiles.cols);
    let by_window = ByWindow::new(&by_feature, tiles.n_windows as usize);
    let sample = Sample::new(&by_feature, tiles, among.width);
    let walk = Walk { tiles, among, by_window, sample, isa: Isa::active() };
    let n_rows = among.rows.len();
    let mut found = Neighbours::zeros(n_rows, among.width);
    if found.indices.is_empty() {
        return Ok(found);
    }
    // Few rows still keep all threads busy.
    let height = n_rows.div_ceil(rayon::current_num_threads()).min(HEIGHT);
    found.strips(height).enumerate().try_for_each_init(
        || Scratch::new(among),
        |scratch, (s, (indices, values))| {
            let lists = indices.chunks_mut(among.width).zip(values.chunks_mut(among.width));
            walk.rows(s * height, lists.collect(), scratch, context)
        },
    )?;
    Ok(found)
}

/// What a thread uses again for the next rows.
struct Scratch {
    counts: Counts,
    masks: Vec<u64>,
    room: Vec<Double>,
    best: Vec<Double>,
    both: Vec<u32>,
    values: Vec<f64>,
}

impl Scratch {
    fn new(among: Among<'_>) -> Self {
        let room = vec![Double::FILLER; HEIGHT * room_for(among.width)];
        let (masks, best, both, values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { counts: Counts::new(), masks, room, best, both, values }
    }
}

/// A list to be written: indices and values.
type List<'a> = (&'a mut [u32], &'a mut [f32]);

struct Row {
    number: usize,
    /// Count and spread.
    margins: (u64, f64),
    /// Position of its own feature among the candidates.
    own: Option<usize>,
    windows: Vec<u32>,
}

struct Walk<'a> {
    tiles: &'a BitTiles<'a>,
    among: Among<'a>,
    by_window: ByWindow,
    sample: Option<Sample>,
    isa: Isa,
}

impl Walk<'_> {
    /// The lists of the rows from `first` on.
    fn rows(
        &self,
        first: usize,
        lists: Vec<List<'_>>,
        scratch: &mut Scratch,
        context: &Context,
    ) -> Result<()> {
        let Scratch { counts, masks, room, best, .. } = scratch;
        let rows: Vec<_> = (first..first + lists.len()).map(|row| self.row(row)).collect();
        let mut rooms = room.chunks_mut(room_for(self.among.width));
        let mut start = |row: &Row| {
            let few = !row.windows.is_empty() && row.windows.len() <= RUN;
            let bound = self.sample.as_ref().filter(|_| few)?.bound(self.tiles, row, counts, best);
            Some(TopN::reaching(self.among.width, bound, rooms.next()?))
        };
        let mut tops: Vec<_> = rows.iter().map(&mut start).collect();
        if let Some(Sample { screen, .. }) = &self.sample {
            for panel in self.by_window.panels() {
                context.proceed()?;
                for (row, top) in rows.iter().zip(&mut tops) {
                    if let Some(top) = top {
                        self.pass(screen, panel, row, (counts, masks), top);
                    }
                }
            }
        }
        let mut left = Vec::new();
        for (row, (list, top)) in rows.iter().zip(lists.into_iter().zip(tops)) {
            match top {
                Some(top) if !top.short() => write_list(top.finish(), list.0, list.1),
                _ => left.push((row, list)),
            }
        }
        for (row, list) in left {
            context.proceed()?;
            if row.windows.is_empty() {
                self.row_without_windows(row, list);
            } else {
                self.whole_row(row, list, scratch);
            }
        }
        Ok(())
    }

    fn row(&self, number: usize) -> Row {
        Row {
            number,
            margins: self.tiles.row_margins.of(number),
            own: self.among.candidates.binary_search(&self.among.rows[number]).ok(),
            windows: sparse::windows(self.tiles.rows, number),
        }
    }

    /// Let a row pass the panel that begins at a column, and keep what is among its best so far.
    fn pass(
        &self,
        screen: &Screen,
        (start, panel): (usize, &Panel),
        row: &Row,
        (counts, masks): (&mut Counts, &mut Vec<u64>),
        top: &mut TopN<'_, Double>,
    ) {
        let BitTiles { measure, n_windows, col_margins, .. } = *self.tiles;
        let both = panel.tally(&row.windows, counts);
        screen.may_reach(self.isa, row.margins, top.bound(), start, both, masks);
        for (m, &mask) in masks.iter().enumerate() {
            for_each_bit(mask, |bit| {
                let k = m * CHUNK + bit;
                let col = start + k;
                if Some(col) != row.own {
                    let (margins, both) = (col_margins.of(col), u32::from(both[k]));
                    let value = measure.pair(n_windows, row.margins, margins, both);
                    top.push(Double::new(value, self.among.candidates[col]));
                }
            });
        }
    }

    /// The list of a feature that occurs nowhere: phi is 0 with any, so the first others.
    fn row_without_windows(&self, row: &Row, (indices, list): List<'_>) {
        let own = self.among.rows[row.number];
        let others = self.among.candidates.iter().filter(|&&feature| feature != own);
        indices.iter_mut().zip(others).for_each(|(index, &feature)| *index = feature);
        list.fill(0.0);
    }

    /// The list of a row of which no sample tells enough.
    fn whole_row(&self, row: &Row, (indices, list): List<'_>, scratch: &mut Scratch) {
        let (tiles, candidates) = (self.tiles, self.among.candidates);
        let Scratch { counts, both, values, best, .. } = scratch;
        let n_cols = candidates.len();
        both.clear();
        both.resize(n_cols, 0);
        values.resize(n_cols, 0.0);
        self.by_window.count(&row.windows, counts, both);
        let cols = (0..n_cols, tiles.col_margins);
        let place = (row.number, tiles.row_margins);
        tiles.measure.row(tiles.n_windows, place, cols, both, values);
        // A measure of counts is finite.
        let _ = best_of_row::<Double>(self.isa, values, row.own, self.among.width, best);
        write_list(best, indices, list);
        for index in indices {
            *index = candidates[*index as usize];
        }
    }
}

/// Features spread evenly over the candidates, and what tells all of them quickly from a bound.
struct Sample {
    positions: Vec<usize>,
    panel: Panel,
    /// Rank in the sample that the best of all reach.
    rank: usize,
    screen: Screen,
}

impl Sample {
    /// None where the lists take in so many of the candidates that no bound would leave out much.
    fn new(by_feature: &ByFeature, tiles: &BitTiles<'_>, width: usize) -> Option<Self> {
        let n_cols = tiles.cols.n_features();
        if n_cols < 4 * SAMPLE || 4 * width > n_cols {
            return None;
        }
        let step = n_cols / SAMPLE;
        let positions: Vec<_> = (0..SAMPLE).map(|k| k * step + step / 2).collect();
        let windows: Vec<_> = positions.iter().map(|&at| by_feature.windows(at)).collect();
        Some(Self {
            panel: Panel::new(&windows, tiles.n_windows as usize),
            // Three deviations: one row in a thousand is made a second time.
            rank: rank_in_sample(SAMPLE, width, n_cols, 3.0),
            screen: Screen::new(tiles.col_margins, tiles.n_windows),
            positions,
        })
    }

    /// The value that a row's best most likely reach.
    fn bound(
        &self,
        tiles: &BitTiles<'_>,
        row: &Row,
        counts: &mut Counts,
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
