//! Ranking a row in each replicate, and comparing it on the spot.

use crate::alloc::zeros;
use crate::context::Context;
use crate::cooccurrence::sparse::PanelCounts;
use crate::error::Result;
use crate::measures::Margins;
use crate::metrics::feature_map::FeatureMap;
use crate::metrics::reliability::groups::Groups;
use crate::metrics::reliability::splits::{GROUPS, Members, SPLITS};
use crate::metrics::reliability::{PAIRS, Rule};
use crate::metrics::ties::{Averages, weighted};
use crate::neighbours::entry::{Double, Entry};
use crate::neighbours::row_ties::{List, Lists, RowTies};
use crate::neighbours::topk::best_of_row;
use crate::simd::threshold::CHUNK;
use crate::simd::{Isa, per_isa};

/// The windows of some groups.
pub(super) struct Replicate {
    members: Members,
    n_windows: u64,
    rows: Margins,
    cols: Margins,
}

impl Replicate {
    pub(super) fn new(groups: &Groups, members: Members) -> Self {
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
pub(super) struct Scorer<'a> {
    pub(super) groups: Groups,
    /// Of each split, the halves and the quarters.
    pub(super) splits: [[[Replicate; 2]; 2]; SPLITS],
    pub(super) semantic: &'a [Lists<'a>],
    pub(super) rule: Rule<'a>,
    pub(super) width: usize,
    /// What the order of each semantic list collects.
    pub(super) ideals: Vec<f64>,
    /// What the order of a functional list collects.
    pub(super) ideal: f64,
    pub(super) gains: Averages,
    pub(super) discounts: Averages,
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
pub(super) struct Scratch {
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
    pub(super) fn new(scorer: &Scorer<'_>, height: usize) -> Self {
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
    pub(super) fn rows(
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
