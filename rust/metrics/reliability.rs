//! How a score varies from one part of the documents to another.
//!
//! Documents are dealt into 16 groups. The counts of all groups come from one pass over the bits,
//! and those of a replicate are sums of its groups'. Each row is ranked in all 32 replicates in turn
//! and compared with its semantic lists on the spot; no list outlives its row.
//!
//! Floor: every pair counted once for each of its two rows, since nothing of F × F is held; then for
//! each row and replicate one measure per column, one pass that selects, and a sort of the
//! neighbours.

mod groups;
mod splits;

use rayon::prelude::*;

use crate::alloc::zeros;
use crate::context::Context;
use crate::cooccurrence::sparse::PanelCounts;
use crate::error::{Error, Result};
use crate::measures::{Margins, Measure};
use crate::metrics::feature_map::FeatureMap;
use crate::metrics::ndcg::Scale;
use crate::metrics::reliability::groups::Groups;
pub use crate::metrics::reliability::splits::{GROUPS, SPLITS};
use crate::metrics::reliability::splits::{Members, splits};
use crate::metrics::ties::{Averages, weighted};
use crate::neighbours::row_ties::{List, Lists, RowTies};
use crate::neighbours::topk::{Double, Entry, best_of_row};
use crate::occurrences::Occurrences;
use crate::simd::line::LINE_WINDOWS;
use crate::simd::popcount::REGISTER_TILE;
use crate::simd::threshold::CHUNK;
use crate::simd::{Isa, per_isa};

/// Rows that are counted together, at most.
const HEIGHT: usize = 64;
/// Bytes of counts that all threads hold together, if that is enough for four rows each.
const COUNT_BYTES: usize = 1 << 30;
/// Scores of a row from one pair of replicates in each split.
const PAIRS: usize = 2 * SPLITS;
const FEWER: &str = "score fewer rows at a time (rows=...)";

/// NDCG by split and side; NaN where a feature never or always occurs in a replicate.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicates {
    /// For each set of semantic lists, split and half, a score per row.
    pub halves: Vec<f64>,
    /// For each set of semantic lists, split and quarter, a score per row.
    pub quarters: Vec<f64>,
    /// For each split and half, a score per row: how well the half's order predicts the other's.
    pub agreement: Vec<f64>,
}

/// What is ranked, and by which rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    /// Features that are scored.
    pub rows: &'a [u32],
    /// Features that may appear in the functional lists, rising.
    pub candidates: &'a [u32],
    /// Measure of co-occurrence.
    pub measure: Measure,
    /// Length of the lists.
    pub top_n: usize,
    /// Base of the gains.
    pub base: f64,
    /// Whether ties are averaged; otherwise they go by index.
    pub ties: bool,
}

/// Score the rows in each replicate against each of the semantic lists, which have the same rows.
///
/// # Errors
/// [`Error::Argument`] and [`Error::Mismatch`] for groups other than 0 to 15 of all windows, for
/// features that do not exist, candidates that do not rise, and lists of other rows; as
/// [`crate::ndcg::ranked`].
pub fn replicates(
    occurrences: &Occurrences,
    group_of: &[u8],
    semantic: &[Lists<'_>],
    rule: Rule<'_>,
    context: &Context,
) -> Result<Replicates> {
    check(occurrences.n_features(), semantic, rule)?;
    let width = rule.width();
    let widest = semantic.iter().map(|lists| lists.width).max().unwrap_or(0);
    let scale = Scale::new(rule.top_n, rule.base, width.max(widest))?;
    let n_out = PAIRS * (2 * semantic.len() + 1);
    check_memory(occurrences, rule, n_out, context)?;
    let groups = Groups::new(occurrences, group_of, rule.rows, rule.candidates, context)?;
    let ideal_of = |lists: &Lists<'_>| scale.ideal(lists.width.min(rule.top_n));
    let scorer = Scorer {
        splits: splits().map(|split| {
            let made = |members: Members| Replicate::new(&groups, members);
            [split.halves.map(made), split.quarters.map(made)]
        }),
        semantic,
        rule,
        width,
        ideals: semantic.iter().map(ideal_of).collect(),
        ideal: scale.ideal(width),
        gains: Averages::new(scale.gains().to_vec()),
        discounts: Averages::new(scale.discounts().to_vec()),
        groups,
    };
    let mut scores = vec![f64::NAN; rule.rows.len() * n_out];
    context.run(|| {
        let height = height(scorer.groups.stride(), rule.rows.len());
        scores.par_chunks_mut(height * n_out).enumerate().try_for_each_init(
            || Scratch::new(&scorer, height),
            |scratch, (block, out)| scorer.rows(block * height, (out, n_out), scratch, context),
        )
    })?;
    let n = PAIRS * semantic.len();
    let columns = |from: usize, to: usize| {
        let rows = || scores.chunks(n_out);
        (from..to).flat_map(|column| rows().map(move |row| row[column])).collect()
    };
    Ok(Replicates {
        halves: columns(0, n),
        quarters: columns(n, 2 * n),
        agreement: columns(2 * n, n_out),
    })
}

impl Rule<'_> {
    /// Length of the functional lists.
    fn width(&self) -> usize {
        let is_candidate = |row: &u32| self.candidates.binary_search(row).is_ok();
        self.top_n.min(self.candidates.len() - usize::from(self.rows.iter().any(is_candidate)))
    }
}

fn check(n_features: usize, semantic: &[Lists<'_>], rule: Rule<'_>) -> Result<()> {
    for (name, features) in [("rows", rule.rows), ("candidates", rule.candidates)] {
        if let Some(at) = features.iter().position(|&f| f as usize >= n_features) {
            let got = format!("{} at position {at}", features[at]);
            return Err(Error::argument(name, got, format!("below n_features = {n_features}")));
        }
    }
    if let Some(at) = rule.candidates.windows(2).position(|pair| pair[0] >= pair[1]) {
        let got = format!("{} after {}", rule.candidates[at + 1], rule.candidates[at]);
        return Err(Error::argument("candidates", got, "strictly increasing"));
    }
    for lists in semantic {
        if lists.n_rows != rule.rows.len() {
            return Err(Error::Mismatch {
                what: "a semantic ranking's number of rows",
                got: lists.n_rows,
                other: "rows",
                expected: rule.rows.len(),
            });
        }
    }
    Ok(())
}

/// Refuse to begin where the bits in the order of groups, the counts and the scores would not fit.
fn check_memory(
    occurrences: &Occurrences,
    rule: Rule<'_>,
    n_out: usize,
    context: &Context,
) -> Result<()> {
    let (rows, cols) = (rule.rows.len() as u128, rule.candidates.len() as u128);
    let sides = if rule.rows == rule.candidates { cols } else { rows + cols };
    // The lines of a group are rounded up, and so is their number, to twice at most.
    let lines = 2 * occurrences.n_windows().div_ceil(LINE_WINDOWS) + 2 * GROUPS;
    let margins = 16 * 4 * SPLITS as u128 * sides;
    let counts = COUNT_BYTES as u128;
    let bytes = 64 * lines as u128 * sides + margins + counts + 16 * rows * n_out as u128;
    context.check_memory("the counts of all groups", bytes, FEWER)
}

/// Rows that are counted together.
fn height(stride: usize, n_rows: usize) -> usize {
    let n_threads = rayon::current_num_threads();
    let fitting = COUNT_BYTES / (n_threads * GROUPS * stride.max(1) * size_of::<u32>());
    // Few rows are split so that all threads are busy.
    let rows = fitting.min(n_rows.div_ceil(n_threads)).min(HEIGHT);
    rows.next_multiple_of(REGISTER_TILE).clamp(REGISTER_TILE, HEIGHT)
}

/// The windows of some groups.
struct Replicate {
    members: Members,
    n_windows: u64,
    rows: Margins,
    cols: Margins,
}

impl Replicate {
    fn new(groups: &Groups, members: Members) -> Self {
        let n_windows = members.iter().map(|&group| groups.windows[group]).sum();
        let margins = |counts: &[Vec<u64>; GROUPS]| {
            let count = |i: usize| members.iter().map(|&group| counts[group][i]).sum();
            Margins::new((0..counts[0].len()).map(count), n_windows)
        };
        let (rows, cols) = (margins(&groups.row_counts), margins(&groups.col_counts));
        Self { members, n_windows, rows, cols }
    }

    /// Tell whether the feature of a row occurs in some windows and not in all.
    fn is_ranked(&self, row: usize) -> bool {
        self.rows.of(row).1 > 0.0
    }
}

/// What all threads share.
struct Scorer<'a> {
    groups: Groups,
    /// Of each split, the halves and the quarters.
    splits: [[[Replicate; 2]; 2]; SPLITS],
    semantic: &'a [Lists<'a>],
    rule: Rule<'a>,
    width: usize,
    /// What the order of each semantic list collects.
    ideals: Vec<f64>,
    /// What the order of a functional list collects.
    ideal: f64,
    gains: Averages,
    discounts: Averages,
}

/// The functional neighbours of a row in one replicate.
#[derive(Default)]
struct Ranked {
    features: Vec<u32>,
    ties: Option<Box<RowTies>>,
}

impl Ranked {
    fn list(&self) -> List<'_> {
        List { features: &self.features, ties: self.ties.as_deref() }
    }
}

/// Buffers that a thread reuses for its next rows.
struct Scratch {
    counts: Vec<u32>,
    panel: PanelCounts,
    both: Vec<u32>,
    values: Vec<f64>,
    best: Vec<Double>,
    means: Vec<f64>,
    /// Gains of the semantic neighbours of a row.
    gains: Vec<FeatureMap<f64>>,
    /// Gains of the functional neighbours in one half.
    half_gains: FeatureMap<f64>,
}

impl Scratch {
    fn new(scorer: &Scorer<'_>, height: usize) -> Self {
        let stride = scorer.groups.stride();
        let largest = |lists: &Lists<'_>| {
            let beyond = lists.ties.iter().flatten().filter_map(|ties| ties.beyond.last());
            lists.indices.iter().chain(beyond).max().map_or(0, |&feature| feature as usize)
        };
        let gains = scorer.semantic.iter().map(|lists| FeatureMap::new(largest(lists)));
        let last = scorer.rule.candidates.last().map_or(0, |&feature| feature as usize);
        Self {
            counts: zeros(height * GROUPS * stride),
            panel: PanelCounts::new(),
            both: vec![0; stride],
            values: vec![0.0; scorer.rule.candidates.len()],
            best: Vec::new(),
            means: Vec::new(),
            gains: gains.collect(),
            half_gains: FeatureMap::new(last),
        }
    }
}

impl Scorer<'_> {
    /// Score the rows from `first` on; `out` has `n_out` scores for each.
    fn rows(
        &self,
        first: usize,
        (out, n_out): (&mut [f64], usize),
        scratch: &mut Scratch,
        context: &Context,
    ) -> Result<()> {
        context.proceed()?;
        let n_rows = out.len() / n_out;
        let mut counts = std::mem::take(&mut scratch.counts);
        self.groups.count(first..first + n_rows, &mut scratch.panel, &mut counts);
        let of_rows = counts.chunks(GROUPS * self.groups.stride()).zip(out.chunks_mut(n_out));
        for (row, (counts, out)) in (first..).zip(of_rows) {
            context.proceed()?;
            self.row(row, counts, out, scratch);
        }
        scratch.counts = counts;
        Ok(())
    }

    fn row(&self, row: usize, counts: &[u32], out: &mut [f64], scratch: &mut Scratch) {
        for (lists, gains) in self.semantic.iter().zip(&mut scratch.gains) {
            let list = lists.row(row);
            gains.set(weighted(list, self.gains.of(list, &mut scratch.means)));
        }
        let (of_lists, agreement) = out.split_at_mut(out.len() - PAIRS);
        let n_lists = self.semantic.len();
        for (split, pairs) in self.splits.iter().enumerate() {
            for (kind, pair) in pairs.iter().enumerate() {
                let ranked = [0, 1].map(|side| {
                    let ranked = self.rank(row, &pair[side], counts, scratch)?;
                    for (l, (gains, ideal)) in scratch.gains.iter().zip(&self.ideals).enumerate() {
                        let at = (kind * n_lists + l) * PAIRS + 2 * split + side;
                        of_lists[at] = self.score(&ranked, gains, *ideal, &mut scratch.means);
                    }
                    Some(ranked)
                });
                if let (0, [Some(a), Some(b)]) = (kind, &ranked) {
                    agreement[2 * split] = self.predict(a, b, scratch);
                    agreement[2 * split + 1] = self.predict(b, a, scratch);
                }
            }
        }
        for (lists, gains) in self.semantic.iter().zip(&mut scratch.gains) {
            let list = lists.row(row);
            gains.clear(list.features.iter().chain(list.beyond()).copied());
        }
    }

    /// Rank the neighbours of a row in one replicate; `None` where its feature never or always
    /// occurs.
    fn rank(
        &self,
        row: usize,
        replicate: &Replicate,
        counts: &[u32],
        scratch: &mut Scratch,
    ) -> Option<Ranked> {
        if !replicate.is_ranked(row) {
            return None;
        }
        let Scratch { both, values, best, .. } = scratch;
        let (isa, candidates) = (Isa::active(), self.rule.candidates);
        add_groups(isa, counts, &replicate.members, both);
        let (place, cols) = ((row, &replicate.rows), (0..candidates.len(), &replicate.cols));
        self.rule.measure.row(replicate.n_windows, place, cols, both, values);
        let own = candidates.binary_search(&self.rule.rows[row]).ok();
        // No error is possible: a measure of counts is finite.
        let beyond = best_of_row::<Double>(isa, values, own, self.width, best).unwrap_or_default();
        let feature = |column: u32| candidates[column as usize];
        let beyond = beyond.into_iter().map(feature).collect();
        Some(Ranked {
            features: best.iter().map(|entry| feature(entry.feature())).collect(),
            ties: if self.rule.ties { RowTies::of(best, beyond) } else { None },
        })
    }

    /// NDCG of a functional order, given the gains of all features.
    fn score(
        &self,
        ranked: &Ranked,
        gains: &FeatureMap<f64>,
        ideal: f64,
        means: &mut Vec<f64>,
    ) -> f64 {
        let list = ranked.list();
        let discounts = weighted(list, self.discounts.of(list, means));
        let sum: f64 = discounts.map(|(feature, weight)| gains.get(feature) * weight).sum();
        if ideal == 0.0 { f64::NAN } else { sum / ideal }
    }

    /// NDCG of one half's order as a prediction of the other's.
    fn predict(&self, ranked: &Ranked, other: &Ranked, scratch: &mut Scratch) -> f64 {
        let Scratch { half_gains, means, .. } = scratch;
        let list = other.list();
        half_gains.set(weighted(list, self.gains.of(list, means)));
        let score = self.score(ranked, half_gains, self.ideal, means);
        half_gains.clear(list.features.iter().chain(list.beyond()).copied());
        score
    }
}

per_isa! {
    /// Add the counts of the groups `members`, each as many as `out` holds.
    pub fn add_groups(counts: &[u32], members: &[usize], out: &mut [u32]) = add_plain
}

#[inline(always)]
fn add_plain(counts: &[u32], members: &[usize], out: &mut [u32]) {
    let stride = out.len();
    for (c, out) in out.as_chunks_mut::<CHUNK>().0.iter_mut().enumerate() {
        let mut sums = [0_u32; CHUNK];
        for &group in members {
            let counts = &counts[group * stride + c * CHUNK..][..CHUNK];
            for (sum, count) in sums.iter_mut().zip(counts) {
                // Nothing can overflow, and a check would prevent vectorisation.
                *sum = sum.wrapping_add(*count);
            }
        }
        *out = sums;
    }
}
