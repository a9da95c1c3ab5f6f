//! The fit of all labels to one feature after the other.
//!
//! Rows are made one at a time; nothing of F × F is held. Adding all gains takes a multiply-add for
//! each functional neighbour of a feature and each label that has it among its first neighbours.
//! Most of them need not be made: after the largest gains of all labels, which come first, a label's
//! sum is known within a bound, and for nearly all labels that tells whether they fit as well as a
//! feature's own. The others are added up one by one. Sums in single precision count with their
//! error; where two may be equal, both are made exactly and in the same order.

use rayon::prelude::*;

use crate::context::Context;
use crate::error::Result;
use crate::metrics::functional_neighbours::{Neighbours, by_likeness};
use crate::metrics::label_fit::{LabelFit, NO_LABEL};
use crate::metrics::label_gains::{LabelGains, TIERS};
use crate::metrics::labels::Same;
use crate::metrics::shortlist::Shortlist;
use crate::metrics::sum_limits::{Limits, count_from, from_which, up_to_which};
use crate::metrics::terms::Terms;
use crate::metrics::ties::{Averages, weighted};
use crate::metrics::transposed::{BLOCK, Block, Sums, add};
use crate::neighbours::row_ties::Lists;
use crate::simd::Isa;

/// Labels of a block that are looked at together, by what is known of the best at that time.
const PIECE: usize = 2048;
/// Gains of the later tiers in whose time one label is added up.
const PER_LABEL: usize = 128;
/// Labels whose gains are asked for ahead of time.
const AHEAD: usize = 6;

/// What is known of all labels, and the features to fit them to.
pub(super) struct Fit<'a> {
    pub(super) functional: Lists<'a>,
    pub(super) semantic: Lists<'a>,
    pub(super) labels: &'a [u32],
    /// Position of each feature's label.
    pub(super) label_of: Vec<u32>,
    pub(super) gains: Averages,
    pub(super) discounts: Averages,
    pub(super) by_label: LabelGains,
    pub(super) blocks: Vec<Block>,
    /// Sum of the gains of each feature.
    pub(super) totals: Vec<f64>,
    /// Most that the gains after each tier add to a sum.
    pub(super) bounds: [f64; TIERS - 1],
    /// Absolute and relative error of a sum of rounded gains, at most.
    pub(super) slack: f64,
    pub(super) error: f64,
    pub(super) same: Option<Same>,
    pub(super) best: usize,
}

/// Buffers that a thread reuses for its next rows.
struct Scratch {
    neighbours: Neighbours,
    sums: Box<Sums>,
    /// Labels of a block, by position, that may fit as well as the own one, and their sums.
    possible: Vec<(usize, f32)>,
    shortlist: Shortlist,
    terms: Terms,
    gains: Vec<f64>,
}

impl Fit<'_> {
    /// Rank the labels of each row.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub(super) fn rows(&self, rows: &[u32], context: &Context) -> Result<LabelFit> {
        let scratch = || Scratch {
            neighbours: Neighbours::new(self.label_of.len()),
            sums: vec![0.0; BLOCK].try_into().unwrap_or_else(|_| unreachable!()),
            possible: Vec::new(),
            shortlist: Shortlist::new(self.best),
            terms: Terms::default(),
            gains: Vec::new(),
        };
        let mut found = by_likeness(self.functional)
            .par_iter()
            .map_init(scratch, |scratch, &row| {
                context.proceed()?;
                Ok((row, self.row(row, rows[row], scratch)))
            })
            .collect::<Result<Vec<_>>>()?;
        found.sort_unstable_by_key(|&(row, _)| row);
        let mut fit = LabelFit {
            rank: Vec::with_capacity(rows.len()),
            mean: Vec::with_capacity(rows.len()),
            better: vec![NO_LABEL; rows.len() * self.best],
            value: vec![f32::NAN; rows.len() * self.best],
        };
        for (row, (rank, mean, better)) in found {
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
        let Scratch { neighbours, sums, possible, shortlist, terms, gains } = scratch;
        neighbours.set(feature, self.functional, row, &self.discounts);
        shortlist.clear();
        let own = self.label_of[feature as usize] as usize;
        let value = self.sum(own, neighbours, terms);
        let alone = [own as u32];
        let equals = self.same.as_ref().map_or(&alone[..], |same| same.members(own));
        // Equal labels fit equally, whatever rounding says: they count, and are not better.
        let mut rank = equals.len() as u32;
        for (b, block) in self.blocks.iter().enumerate() {
            let first = b * BLOCK;
            let n_labels = BLOCK.min(self.labels.len() - first);
            sums[..n_labels].fill(0.0);
            for &label in equals {
                if let Some(sum) = sums.get_mut((label as usize).wrapping_sub(first)) {
                    *sum = f32::NEG_INFINITY;
                }
            }
            let mut tier = 0;
            self.add(block, tier, first, neighbours, sums);
            while tier + 1 < TIERS {
                let many = neighbours.list.len() * self.mean_length(tier + 1) / PER_LABEL;
                if self.undecided(value, tier, &sums[..n_labels]) <= many {
                    break;
                }
                tier += 1;
                self.add(block, tier, first, neighbours, sums);
            }
            for start in (0..n_labels).step_by(PIECE) {
                let piece = start..(start + PIECE).min(n_labels);
                let limits = self.limits((value, shortlist.least()), tier);
                rank += limits.split(&sums[..n_labels], piece, possible);
                for (k, &(at, sum)) in possible.iter().enumerate() {
                    if let Some(&(later, _)) = possible.get(k + AHEAD) {
                        self.by_label.prefetch_after(first + later, tier);
                    }
                    let (label, least) = (first + at, shortlist.least());
                    let (low, high) = self.narrow(label, (sum, tier), (value, least), neighbours);
                    let fits = low > value
                        || value <= 0.0
                        || (high >= value && self.sum(label, neighbours, terms) >= value);
                    if fits {
                        rank += 1;
                        shortlist.add(label, (low, high));
                    }
                }
            }
        }
        let mean = (self.total(neighbours) - value) / (self.labels.len() as f64 - 1.0);
        let mut better: Vec<(usize, f64)> = shortlist
            .labels()
            .map(|label| (label, self.sum(label, neighbours, terms)))
            .filter(|&(_, sum)| sum > value)
            .collect();
        let highest_first =
            |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        better.sort_by(highest_first);
        better.truncate(self.best);
        for (label, sum) in &mut better {
            *sum = self.by_all_gains(*label, neighbours, gains);
        }
        better.sort_by(highest_first);
        neighbours.clear();
        (rank, mean, better)
    }

    /// Mean number of a label's gains in a tier.
    fn mean_length(&self, tier: usize) -> usize {
        let step = (self.labels.len() / 16).max(1);
        let labels = (0..self.labels.len()).step_by(step);
        let n = labels.len();
        labels.map(|label| self.by_label.tier(label, tier).count()).sum::<usize>() / n
    }

    /// Most that the gains after a tier add to a sum.
    fn bound(&self, tier: usize) -> f64 {
        self.bounds.get(tier).copied().unwrap_or(0.0)
    }

    /// The sum after a tier below which a label fits worse than `value`.
    fn low(&self, value: f64, tier: usize) -> f32 {
        // Rounding to single precision changes the limit by less than the error; sums are never
        // negative, and after the last tier those of labels without a gain are exactly 0.
        let least = if tier + 1 == TIERS && value > 0.0 { f32::MIN_POSITIVE } else { 0.0 };
        let low = (value - self.bound(tier) - self.slack) * (1.0 - 2.0 * self.error);
        (low as f32).max(least)
    }

    /// The sum from which on a label surely fits.
    fn sure(&self, value: f64) -> f32 {
        if value <= 0.0 {
            return 0.0;
        }
        from_which((value + self.slack) / (1.0 - self.error), |sum| self.within(sum, 0.0).0 > value)
    }

    /// Labels of a block of which it is not known yet whether they fit.
    fn undecided(&self, value: f64, tier: usize, sums: &[f32]) -> usize {
        let from = |low| count_from(Isa::active(), sums, low) as usize;
        from(self.low(value, tier)).saturating_sub(from(self.sure(value)))
    }

    /// What sums after a tier tell, where those below `least` are not among the best.
    fn limits(&self, (value, least): (f64, f64), tier: usize) -> Limits {
        let after = self.bound(tier);
        let guess = (least - self.slack) / (1.0 + self.error) - after;
        let best = up_to_which(guess, |sum| self.within(sum, after).1 < least);
        Limits { low: self.low(value, tier), only_count: (self.sure(value), best) }
    }

    /// Add the gains of one tier to the sums of a block's labels.
    fn add(
        &self,
        block: &Block,
        tier: usize,
        first: usize,
        neighbours: &Neighbours,
        sums: &mut Sums,
    ) {
        let feature = neighbours.feature;
        for gain in block.of(feature, tier) {
            let standing = self.labels[first + gain.label()];
            sums[gain.label()] += neighbours.discount(feature, standing) as f32 * gain.gain();
        }
        add(Isa::active(), block, tier, &neighbours.list, feature, sums);
    }

    /// Bounds of a sum to which at most `after` has not been added yet.
    #[inline(always)]
    fn within(&self, sum: f64, after: f64) -> (f64, f64) {
        (sum * (1.0 - self.error) - self.slack, (sum + after) * (1.0 + self.error) + self.slack)
    }

    /// Bounds of a label's sum, given that after a tier: close to each other, or such that they tell
    /// whether it is at least `value`, and if so, that it is not at least `least`.
    fn narrow(
        &self,
        label: usize,
        (sum, tier): (f32, usize),
        (value, least): (f64, f64),
        neighbours: &mut Neighbours,
    ) -> (f64, f64) {
        neighbours.exchange(self.labels[label]);
        let (mut sum, mut after) = (f64::from(sum), self.bound(tier));
        for (features, gains, rest) in self.by_label.after(label, tier) {
            let (low, high) = self.within(sum, after);
            if high < value || (low > value && high < least) {
                return (low, high);
            }
            let terms = features.iter().zip(gains).map(|(&f, gain)| neighbours.rounded(f) * gain);
            sum += f64::from(terms.sum::<f32>());
            after = f64::from(rest);
        }
        self.within(sum, 0.0)
    }

    /// The fit of a label by its deciding gains. Every sum runs in the order of the functional list,
    /// so that equal terms make equal sums.
    fn sum(&self, label: usize, neighbours: &Neighbours, terms: &mut Terms) -> f64 {
        let standing = self.labels[label];
        terms.clear(neighbours.discounts.len());
        for (feature, gain) in self.by_label.of(label) {
            let place = neighbours.place(feature, standing);
            if place > 0 {
                terms.add(place, neighbours.discounts[place] * f64::from(gain));
            }
        }
        terms.sum()
    }

    /// The sum of the fits of all labels.
    fn total(&self, neighbours: &Neighbours) -> f64 {
        let feature = neighbours.feature;
        // Four sums, so that no addition waits for the one before it.
        let mut sums = [0.0; 4];
        let (chunks, tail) = neighbours.list.as_chunks::<4>();
        let of = |&(f, discount): &(u32, f64)| {
            if f == feature { 0.0 } else { discount * self.totals[f as usize] }
        };
        for chunk in chunks {
            for (sum, neighbour) in sums.iter_mut().zip(chunk) {
                *sum += of(neighbour);
            }
        }
        let mut total = sums.iter().sum::<f64>() + tail.iter().map(of).sum::<f64>();
        for (b, block) in self.blocks.iter().enumerate() {
            for (label, gain) in block.exactly(feature) {
                let standing = self.labels[b * BLOCK + label];
                total += neighbours.discount(feature, standing) * f64::from(gain);
            }
        }
        total
    }

    /// The fit of one label by all its gains.
    fn by_all_gains(&self, label: usize, neighbours: &Neighbours, gains: &mut Vec<f64>) -> f64 {
        let list = self.semantic.row(label);
        let standing = self.labels[label];
        weighted(list, self.gains.of(list, gains))
            .map(|(feature, gain)| gain * neighbours.discount(feature, standing))
            .sum()
    }
}
