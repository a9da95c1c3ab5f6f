//! How well every label fits every feature.
//!
//! If features i and j exchanged their labels, the NDCG of i would be
//! `S[i, j] = Σ_f D[i, f] G[j, f] + D[i, j] G[j, i]`: D is the discount of f among i's functional
//! neighbours, G the gain of f among j's semantic ones, over the ideal. The last term is there
//! because the label of i then stands on j.
//!
//! Floor: a multiply-add for each functional neighbour of a feature and each label that has it
//! among its first neighbours, into a row of sums that stays in the cache. Rows are made one at a
//! time; nothing of F × F is held.

use rayon::prelude::*;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::metrics::feature_map::FeatureMap;
pub use crate::metrics::labels::Labels;
use crate::metrics::labels::{Same, check};
use crate::metrics::ndcg::Scale;
use crate::metrics::ties::{Averages, weighted};
use crate::metrics::transposed::{BLOCK, Block, transpose};
use crate::neighbours::row_ties::Lists;
use crate::simd::{Isa, per_isa};

/// Semantic neighbours whose gains decide the ranks; a tie class that goes on counts as a whole.
pub const DECIDING: usize = 128;
/// Neighbours whose gains are asked for ahead of time.
const AHEAD: usize = 6;
/// Stands where there is no better label.
pub const NO_LABEL: u32 = u32::MAX;

/// How well labels fit, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelFit {
    /// Labels that fit at least as well as a feature's own, which is counted too.
    pub rank: Vec<u32>,
    /// Mean fit of the other labels.
    pub mean: Vec<f64>,
    /// Features whose labels fit best, `best` a row, as far as they fit better than the own.
    pub better: Vec<u32>,
    /// What the NDCG would be with these labels.
    pub value: Vec<f32>,
}

/// Fit of every label to the features of `functional`; `best` better labels are named.
///
/// # Errors
/// [`Error::Argument`] for a row whose feature has no label and for `labels` that do not rise;
/// [`Error::Mismatch`]; [`Error::Memory`]; [`Error::Interrupted`]; as [`crate::ndcg::ranked`].
pub fn label_fit(
    (functional, semantic): (Lists<'_>, Lists<'_>),
    given: Labels<'_>,
    (top_n, base): (usize, f64),
    best: usize,
    context: &Context,
) -> Result<LabelFit> {
    let scale = Scale::new(top_n, base, functional.width.max(semantic.width))?;
    let ideal = scale.ideal(scale.gains().len());
    let all: Vec<u32>;
    let labels = if let Some(labels) = given.labels {
        labels
    } else {
        all = (0..semantic.n_rows as u32).collect();
        &all
    };
    check(functional, semantic, labels, given)?;
    let rows = given.rows.unwrap_or(labels);
    let features = [functional, semantic].into_iter().flat_map(|lists| {
        let beyond = lists.ties.iter().flatten().flat_map(|ties| &ties.beyond);
        lists.indices.iter().chain(beyond)
    });
    let n_features = features.chain(labels).max().map_or(0, |&most| most as usize + 1);
    let bytes = 32 * n_features as u128 + 64 * rows.len() as u128;
    context.check_memory("the labels of all features", bytes, "number features from 0")?;
    let mut label_of = vec![NO_LABEL; n_features];
    for (label, &feature) in labels.iter().enumerate() {
        label_of[feature as usize] = label as u32;
    }
    let own = |&row: &u32| label_of.get(row as usize).copied().filter(|&own| own != NO_LABEL);
    if let Some(&row) = rows.iter().find(|row| own(row).is_none()) {
        return Err(Error::argument("rows", row, "features that have a label"));
    }
    let gains = scale.gains().iter().map(|gain| if ideal > 0.0 { gain / ideal } else { 0.0 });
    let gains = Averages::new(gains.collect());
    let discounts = Averages::new(scale.discounts().to_vec());
    context.run(|| {
        let each = |label: usize, visit: &mut dyn FnMut(u32, f64)| {
            let (list, mut scratch) = (semantic.row(label), Vec::new());
            let (means, beyond) = gains.of(list, &mut scratch);
            let mut n = DECIDING.min(means.len());
            while n < means.len() && list.ties.is_some_and(|ties| ties.is_joined(n)) {
                n += 1;
            }
            let beyond = if n == list.features.len() { beyond } else { 0.0 };
            weighted(list, (&means[..n], beyond)).for_each(|(f, gain)| visit(f, gain));
        };
        let blocks = transpose(semantic.n_rows, n_features, each, context)?;
        let fit = Fit {
            functional,
            semantic,
            labels,
            label_of,
            gains,
            discounts,
            blocks,
            same: Same::new(given.same),
            best,
        };
        fit.rows(rows, context)
    })
}

struct Fit<'a> {
    functional: Lists<'a>,
    semantic: Lists<'a>,
    labels: &'a [u32],
    /// Position of each feature's label.
    label_of: Vec<u32>,
    gains: Averages,
    discounts: Averages,
    blocks: Vec<Block>,
    same: Option<Same>,
    best: usize,
}

/// Buffers that a thread reuses for its next rows.
struct Scratch {
    sums: Vec<f64>,
    /// What the row's own feature earns for each label.
    earned: Vec<f64>,
    discounts: Vec<f64>,
    gains: Vec<f64>,
    /// Functional neighbours and their discounts.
    neighbours: Vec<(u32, f64)>,
    discount_of: FeatureMap<f64>,
}

impl Fit<'_> {
    fn rows(&self, rows: &[u32], context: &Context) -> Result<LabelFit> {
        let n = self.labels.len();
        let scratch = || Scratch {
            sums: vec![0.0; n],
            earned: vec![0.0; n.min(BLOCK)],
            discounts: Vec::new(),
            gains: Vec::new(),
            neighbours: Vec::new(),
            discount_of: FeatureMap::new(self.label_of.len()),
        };
        let found = rows.par_iter().enumerate().map_init(scratch, |scratch, (row, &feature)| {
            context.proceed()?;
            Ok(self.row(row, feature, scratch))
        });
        let mut fit = LabelFit {
            rank: Vec::with_capacity(rows.len()),
            mean: Vec::with_capacity(rows.len()),
            better: vec![NO_LABEL; rows.len() * self.best],
            value: vec![f32::NAN; rows.len() * self.best],
        };
        for (row, found) in found.collect::<Result<Vec<_>>>()?.into_iter().enumerate() {
            let (rank, mean, better) = found;
            fit.rank.push(rank);
            fit.mean.push(mean);
            for (at, (label, value)) in better.into_iter().enumerate() {
                fit.better[row * self.best + at] = self.labels[label];
                fit.value[row * self.best + at] = value as f32;
            }
        }
        Ok(fit)
    }

    /// Rank and mean of a row, and its better labels with the NDCG each would give.
    fn row(
        &self,
        row: usize,
        feature: u32,
        scratch: &mut Scratch,
    ) -> (u32, f64, Vec<(usize, f64)>) {
        self.sum(row, feature, scratch);
        let Scratch { sums, discounts, gains, discount_of, .. } = scratch;
        let own = self.label_of[feature as usize] as usize;
        let value = sums[own];
        let (mut rank, total) = count_and_sum(Isa::active(), sums, value);
        let mean = (total - value) / (self.labels.len() as f64 - 1.0);
        if let Some(same) = &self.same {
            for &label in same.members(own) {
                // Equal labels fit equally, whatever rounding says: they count, and are not better.
                rank += u32::from(sums[label as usize] < value);
                sums[label as usize] = f64::NEG_INFINITY;
            }
        }
        let mut better = highest(sums, value, self.best);
        if !better.is_empty() {
            let list = self.functional.row(row);
            let means = self.discounts.of(list, discounts);
            discount_of.set(weighted(list, means));
            for (label, sum) in &mut better {
                *sum = self.exact(*label, feature, gains, discount_of);
            }
            discount_of.clear(weighted(list, means).map(|(feature, _)| feature));
            better.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        (rank, mean, better)
    }

    /// The fit of each label to a feature, by the gains of its first neighbours. Every sum runs in
    /// the order of the functional list, so that equal terms make equal sums.
    fn sum(&self, row: usize, feature: u32, scratch: &mut Scratch) {
        let Scratch { sums, earned, discounts, neighbours, .. } = scratch;
        let list = self.functional.row(row);
        let means = self.discounts.of(list, discounts);
        neighbours.clear();
        neighbours.extend(weighted(list, means));
        sums.fill(0.0);
        for (b, (block, sums)) in self.blocks.iter().zip(sums.chunks_mut(BLOCK)).enumerate() {
            let first = b * BLOCK;
            for gain in block.of(feature) {
                earned[gain.label as usize] = f64::from(gain.gain);
            }
            for (rank, &(neighbour, discount)) in neighbours.iter().enumerate() {
                // Gains lie anywhere in memory; without a hint each feature would wait for its own.
                if let Some(&(later, _)) = neighbours.get(rank + 2 * AHEAD) {
                    block.prefetch_start(later);
                }
                if let Some(&(later, _)) = neighbours.get(rank + AHEAD) {
                    block.prefetch(later);
                }
                for gain in block.of(neighbour) {
                    sums[gain.label as usize] += discount * f64::from(gain.gain);
                }
                let label = (self.label_of[neighbour as usize] as usize).wrapping_sub(first);
                if let Some(sum) = sums.get_mut(label) {
                    *sum += discount * earned[label];
                }
            }
            for gain in block.of(feature) {
                earned[gain.label as usize] = 0.0;
            }
        }
    }

    /// The fit of one label by all its gains.
    fn exact(
        &self,
        label: usize,
        feature: u32,
        gains: &mut Vec<f64>,
        discount_of: &FeatureMap<f64>,
    ) -> f64 {
        let list = self.semantic.row(label);
        let standing = self.labels[label];
        weighted(list, self.gains.of(list, gains))
            // The label of the feature itself would stand where this one stands now.
            .map(|(f, gain)| gain * discount_of.get(if f == feature { standing } else { f }))
            .sum()
    }
}

/// The `n` highest of the sums above `bound` and their positions, highest first.
fn highest(sums: &[f64], bound: f64, n: usize) -> Vec<(usize, f64)> {
    let mut best: Vec<(usize, f64)> = Vec::with_capacity(n + 1);
    let mut least = bound;
    for (label, &sum) in sums.iter().enumerate() {
        if sum > least && n > 0 {
            let at = best.partition_point(|&(_, other)| other >= sum);
            best.insert(at, (label, sum));
            best.truncate(n);
            if best.len() == n {
                least = best[n - 1].1;
            }
        }
    }
    best
}

per_isa! {
    /// How many of the sums are at least `value`, and the sum of all.
    pub fn count_and_sum(sums: &[f64], value: f64) -> (u32, f64) = count_and_sum_plain
}

#[inline(always)]
fn count_and_sum_plain(sums: &[f64], value: f64) -> (u32, f64) {
    const LANES: usize = 8;
    let (chunks, tail) = sums.as_chunks::<LANES>();
    let (mut counts, mut totals) = ([0_u64; LANES], [0.0; LANES]);
    for chunk in chunks {
        for lane in 0..LANES {
            counts[lane] = counts[lane].wrapping_add(u64::from(chunk[lane] >= value));
            totals[lane] += chunk[lane];
        }
    }
    let count = counts.iter().fold(0_u64, |sum, &count| sum.wrapping_add(count)) as u32;
    let rest = tail.iter().filter(|&&sum| sum >= value).count() as u32;
    (count + rest, totals.iter().sum::<f64>() + tail.iter().sum::<f64>())
}
