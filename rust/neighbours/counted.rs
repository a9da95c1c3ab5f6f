//! Neighbours by counts that exist already, one row after the other.
//!
//! A sample of the candidates estimates the phi that a row's neighbours reach; only pairs whose bound
//! reaches that threshold get an exact phi. A list that turns out incomplete is computed again
//! without a threshold, and so are the lists of other measures.
//!
//! Floor: four bytes per pair, read once from memory, and the sorting of the lists.
//!
//! Rejected: tiles that serve their rows and their columns. They read half the counts and compute half
//! the measures, but hold the candidates of all rows at once: 300 MB for 16,384 features, which takes
//! longer to allocate and to fill than the other half takes to compute.

use rayon::prelude::*;

use crate::context::Context;
use crate::cooccurrence::histogram::Histogram;
use crate::error::Result;
use crate::measures::{Margins, Measure};
use crate::neighbours::bound::PhiBound;
use crate::neighbours::entry::{Double, Entry};
use crate::neighbours::row_lists::{Neighbours, Row, each_row, write_list};
use crate::neighbours::topk::{cut_to_best, evenly_spaced, rank_in_sample};
use crate::neighbours::traversal::Query;
use crate::neighbours::whole_row::WholeRow;
use crate::simd::Isa;
use crate::simd::line::for_each_bit;
use crate::simd::threshold::CHUNK;

/// Candidates in the sample.
const SAMPLE: usize = 512;
/// Rows that a thread takes at a time.
const HEIGHT: usize = 8;

/// Rank the neighbours of the rows asked for; the counts have been checked.
pub(crate) fn neighbours(
    counts: &Histogram,
    measure: Measure,
    query: Query<'_>,
    context: &Context,
) -> Result<Neighbours> {
    let mut found = Neighbours::zeros(query.rows.len(), query.width, query.ties);
    if found.indices.is_empty() {
        return Ok(found);
    }
    let (n, n_windows) = (counts.n_features(), counts.n_windows());
    let diagonal = |feature: usize| u64::from(counts.get(feature, feature));
    let margins = Margins::new((0..n).map(diagonal), n_windows);
    let chosen = Margins::new(query.candidates.iter().map(|&f| diagonal(f as usize)), n_windows);
    let few = Few::new(query, measure, &margins, n_windows);
    let ranking = Ranking { counts, measure, query, margins, chosen, few };
    found.row_chunks(HEIGHT).enumerate().try_for_each_init(
        Scratch::default,
        |scratch, (chunk, rows)| {
            context.proceed()?;
            for (row, list) in (chunk * HEIGHT..).zip(each_row(rows)) {
                ranking.row(query.rows[row] as usize, list, scratch);
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// Buffers that a thread reuses for its next rows.
#[derive(Default)]
struct Scratch {
    both: Vec<u32>,
    sampled: Vec<u32>,
    masks: Vec<u64>,
    values: Vec<f64>,
    best: Vec<Double>,
}

/// What all threads share.
struct Ranking<'a> {
    counts: &'a Histogram,
    measure: Measure,
    query: Query<'a>,
    /// Margins of all features.
    margins: Margins,
    /// Margins of the candidates.
    chosen: Margins,
    few: Option<Few>,
}

impl Ranking<'_> {
    /// Write the list of a feature.
    fn row(&self, feature: usize, list: Row<'_>, scratch: &mut Scratch) {
        scratch.both.resize(self.counts.n_features(), 0);
        self.counts.copy_row(feature, 0, &mut scratch.both);
        if let Some(few) = &self.few {
            self.collect(few, feature, scratch);
            if scratch.best.len() >= self.query.width {
                let beyond = cut_to_best(&mut scratch.best, self.query.width);
                return write_list(&scratch.best, self.query.ties.then_some(beyond), list);
            }
        }
        let Scratch { both, sampled, values, best, .. } = scratch;
        sampled.clear();
        sampled.extend(self.query.candidates.iter().map(|&candidate| both[candidate as usize]));
        let whole = WholeRow {
            measure: self.measure,
            n_windows: self.counts.n_windows(),
            row: (feature, &self.margins),
            candidates: (self.query.candidates, &self.chosen),
            own: self.query.candidates.binary_search(&(feature as u32)).ok(),
        };
        whole.write(sampled, (self.query.width, self.query.ties), (values, best), list);
    }

    /// Collect the candidates that reach a threshold: most likely as many as are wanted, and not many
    /// more.
    fn collect(&self, few: &Few, feature: usize, scratch: &mut Scratch) {
        let Scratch { both, sampled, masks, values, best } = scratch;
        let n_windows = self.counts.n_windows();
        let row = self.margins.of(feature);
        sampled.clear();
        sampled.extend(few.sample.iter().map(|&candidate| both[candidate as usize]));
        values.resize(SAMPLE, 0.0);
        let sample = (0..SAMPLE, &few.margins);
        self.measure.row(n_windows, (feature, &self.margins), sample, sampled, values);
        let (_, &mut threshold, _) = values.select_nth_unstable_by(few.rank, |a, b| b.total_cmp(a));
        few.bound.may_reach(Isa::active(), row, threshold, 0, both, masks);
        best.clear();
        for (m, (&mask, &candidates)) in masks.iter().zip(&few.candidates).enumerate() {
            for_each_bit(mask & candidates, |bit| {
                let other = m * CHUNK + bit;
                let value = self.measure.pair(n_windows, row, self.margins.of(other), both[other]);
                if value >= threshold && other != feature {
                    best.push(Double::new(value, other as u32));
                }
            });
        }
    }
}

/// What tells the few candidates that may be among the best from all others.
struct Few {
    /// Candidates spaced evenly, and their margins.
    sample: Vec<u32>,
    margins: Margins,
    /// Rank in the sample whose value the neighbours most likely reach.
    rank: usize,
    bound: PhiBound,
    /// Bit mask of the candidates among all features.
    candidates: Vec<u64>,
}

impl Few {
    /// Return `None` for measures without a bound, and for long lists, where a threshold would reject
    /// few candidates.
    fn new(query: Query<'_>, measure: Measure, margins: &Margins, n_windows: u64) -> Option<Self> {
        let (n, width) = (query.candidates.len(), query.width);
        if measure != Measure::Phi || n < 4 * SAMPLE || 4 * width > n {
            return None;
        }
        let sample: Vec<u32> = evenly_spaced(SAMPLE, n).map(|at| query.candidates[at]).collect();
        let mut candidates = vec![0; margins.iter().count().div_ceil(CHUNK)];
        for &candidate in query.candidates {
            candidates[candidate as usize / CHUNK] |= 1 << (candidate as usize % CHUNK);
        }
        Some(Self {
            margins: Margins::new(sample.iter().map(|&f| margins.of(f as usize).0), n_windows),
            // Two standard deviations: one row in fifty is computed a second time.
            rank: rank_in_sample(SAMPLE, width, n, 2.0).min(SAMPLE - 1),
            bound: PhiBound::new(margins, n_windows),
            sample,
            candidates,
        })
    }
}
