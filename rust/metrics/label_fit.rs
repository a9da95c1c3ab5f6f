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

use std::iter;

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
use crate::simd::line::for_each_bit;
use crate::simd::threshold::{CHUNK, above_f64};
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
            sums: vec![0.0; n.min(BLOCK)],
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
        let Scratch { sums, earned, discounts, gains, neighbours, discount_of } = scratch;
        let list = self.functional.row(row);
        neighbours.clear();
        neighbours.extend(weighted(list, self.discounts.of(list, discounts)));
        let own = self.label_of[feature as usize] as usize;
        let equals = self.same.as_ref().map_or(&[][..], |same| same.members(own));
        let (mut rank, mut total, mut value) = (0, 0.0, 0.0);
        let mut better = Highest { n: self.best, best: Vec::with_capacity(self.best + 1) };
        // The own label's block first, as all others are compared with that label. Each block's
        // sums are read while they are in the cache.
        let others = (0..self.blocks.len()).filter(|&b| b != own / BLOCK);
        for b in iter::once(own / BLOCK).chain(others) {
            let first = b * BLOCK;
            let sums = &mut sums[..BLOCK.min(self.labels.len() - first)];
            self.sum(b, feature, neighbours, sums, earned);
            if b == own / BLOCK {
                value = sums[own - first];
            }
            let (at_least, sum) = count_and_sum(Isa::active(), sums, value);
            (rank, total) = (rank + at_least, total + sum);
            for &label in equals {
                // Equal labels fit equally, whatever rounding says: they count, and are not better.
                if let Some(sum) = sums.get_mut((label as usize).wrapping_sub(first)) {
                    rank += u32::from(*sum < value);
                    *sum = f64::NEG_INFINITY;
                }
            }
            better.add(first, sums, value);
        }
        let mean = (total - value) / (self.labels.len() as f64 - 1.0);
        let mut better = better.best;
        if !better.is_empty() {
            discount_of.set(neighbours.iter().copied());
            for (label, sum) in &mut better {
                *sum = self.exact(*label, feature, gains, discount_of);
            }
            discount_of.clear(neighbours.iter().map(|&(neighbour, _)| neighbour));
            better.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        (rank, mean, better)
    }

    /// The fit of each label of a block to a feature, by the gains of its first neighbours. Every
    /// sum runs in the order of the functional list, so that equal terms make equal sums.
    fn sum(
        &self,
        b: usize,
        feature: u32,
        neighbours: &[(u32, f64)],
        sums: &mut [f64],
        earned: &mut [f64],
    ) {
        let block = &self.blocks[b];
        sums.fill(0.0);
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
            let label = (self.label_of[neighbour as usize] as usize).wrapping_sub(b * BLOCK);
            if let Some(sum) = sums.get_mut(label) {
                *sum += discount * earned[label];
            }
        }
        for gain in block.of(feature) {
            earned[gain.label as usize] = 0.0;
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

/// The labels of the `n` highest sums, highest first, of equal ones the first.
struct Highest {
    n: usize,
    best: Vec<(usize, f64)>,
}

impl Highest {
    /// Add the sums above `bound` of the labels from `first` on.
    fn add(&mut self, first: usize, sums: &[f64], bound: f64) {
        if self.n == 0 {
            return;
        }
        let isa = Isa::active();
        let (chunks, tail) = sums.as_chunks::<CHUNK>();
        for (c, chunk) in chunks.iter().enumerate() {
            let (mask, _) = above_f64(isa, chunk, &[self.least(bound); CHUNK]);
            for_each_bit(mask, |k| self.push(first + c * CHUNK + k, chunk[k], bound));
        }
        for (label, &sum) in (first + sums.len() - tail.len()..).zip(tail) {
            self.push(label, sum, bound);
        }
    }

    /// No sum below this one can be among the highest.
    fn least(&self, bound: f64) -> f64 {
        self.best.get(self.n - 1).map_or(bound, |last| last.1)
    }

    fn push(&mut self, label: usize, sum: f64, bound: f64) {
        if sum > bound && sum >= self.least(bound) {
            let is_before = |&(other, higher): &(usize, f64)| {
                sum.total_cmp(&higher).then(other.cmp(&label)).is_lt()
            };
            let at = self.best.partition_point(is_before);
            self.best.insert(at, (label, sum));
            self.best.truncate(self.n);
        }
    }
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
