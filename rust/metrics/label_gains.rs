//! The gains of labels' first neighbours, label by label, in tiers of falling importance.

use crate::context::Context;
use crate::error::Result;
use crate::metrics::ties::{Averages, weighted};
use crate::neighbours::row_ties::Lists;
use crate::simd::prefetch;

/// Semantic neighbours whose gains decide the ranks; a tie class that goes on counts as a whole.
pub const DECIDING: usize = 128;
/// Parts of a label's gains: without those after the first part, and after the second, sums are too
/// small by no more than a bound.
pub(crate) const TIERS: usize = 3;

/// Gains between two looks at how much those after can add. Labels and tiers begin at multiples.
pub(crate) const PIECE: usize = 8;
/// Cache lines of a label's later gains that are asked for ahead of time; most are decided by then.
const LINES: usize = 2;

/// Some gains of a label: features, gains over the ideal (at most 1, so that single precision holds
/// them), and the most that all later ones add to a sum.
pub(crate) type Piece<'a> = (&'a [u32; PIECE], &'a [f32; PIECE], f32);

/// The gains of all labels, each label's falling; gains of 0 fill up the pieces.
pub(crate) struct LabelGains {
    /// Where the tiers of each label begin, in pieces.
    starts: Vec<usize>,
    features: Vec<[u32; PIECE]>,
    gains: Vec<[f32; PIECE]>,
    after: Vec<f32>,
    /// Most gains of a label.
    longest: usize,
}

impl LabelGains {
    /// Collect the gains of the labels of `semantic`. What those after tier k can add to a sum, at
    /// most, is within `bounds[k]` for all labels.
    ///
    /// # Errors
    /// [`crate::Error::Memory`]; [`crate::Error::Interrupted`].
    pub(crate) fn new(
        semantic: Lists<'_>,
        averages: &Averages,
        discounts: &[f64],
        bounds: [f64; TIERS - 1],
        context: &Context,
    ) -> Result<Self> {
        let n = semantic.n_rows;
        let mut all = Self {
            starts: Vec::with_capacity(TIERS * n + 1),
            features: Vec::new(),
            gains: Vec::new(),
            after: Vec::new(),
            longest: 0,
        };
        let (mut scratch, mut own, mut after) = (Vec::new(), Vec::new(), Vec::new());
        all.starts.push(0);
        for label in 0..n {
            if label % 1024 == 0 {
                context.proceed()?;
                context.check_memory(
                    "the gains of all labels",
                    (8 * PIECE + 4) as u128 * all.gains.len() as u128,
                    "rank only the features that are scored, or give fewer columns of semantic",
                )?;
            }
            let list = semantic.row(label);
            let (means, beyond) = averages.of(list, &mut scratch);
            let mut n_deciding = DECIDING.min(means.len());
            while n_deciding < means.len() && list.ties.is_some_and(|t| t.is_joined(n_deciding)) {
                n_deciding += 1;
            }
            let beyond = if n_deciding == list.features.len() { beyond } else { 0.0 };
            own.clear();
            own.extend(weighted(list, (&means[..n_deciding], beyond)));
            own.truncate(own.partition_point(|&(_, gain)| gain as f32 > 0.0));
            all.longest = all.longest.max(own.len());
            most_after(&own, discounts, &mut after);
            let first = all.gains.len();
            for (piece, &after) in own.chunks(PIECE).zip(&after[1..]) {
                let (mut features, mut gains) = ([0; PIECE], [0.0; PIECE]);
                for (k, &(feature, gain)) in piece.iter().enumerate() {
                    (features[k], gains[k]) = (feature, gain as f32);
                }
                all.features.push(features);
                all.gains.push(gains);
                all.after.push(after as f32);
            }
            // The fewest pieces after which the others add at most the bound.
            let cut = |bound| first + after.partition_point(|&most| most > bound);
            all.starts.extend(bounds.map(cut));
            all.starts.push(all.gains.len());
        }
        Ok(all)
    }

    /// Number of labels.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() / TIERS
    }

    /// Gains of all labels, at most.
    pub(crate) fn n_gains(&self) -> usize {
        PIECE * self.gains.len()
    }

    /// Most gains of a label.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The gains of a label.
    pub(crate) fn of(&self, label: usize) -> impl Iterator<Item = (u32, f32)> {
        self.within(self.starts[TIERS * label], self.starts[TIERS * (label + 1)])
    }

    /// The gains of a label in one tier.
    pub(crate) fn tier(&self, label: usize, tier: usize) -> impl Iterator<Item = (u32, f32)> {
        let at = TIERS * label + tier;
        self.within(self.starts[at], self.starts[at + 1])
    }

    fn within(&self, first: usize, end: usize) -> impl Iterator<Item = (u32, f32)> {
        let features = self.features[first..end].as_flattened().iter().copied();
        features.zip(self.gains[first..end].as_flattened().iter().copied()).filter(|g| g.1 > 0.0)
    }

    /// Ask for the gains of a label after a tier.
    pub(crate) fn prefetch_after(&self, label: usize, tier: usize) {
        const LINE: usize = 64 / size_of::<[u32; PIECE]>();
        let first = self.starts[TIERS * label + tier + 1];
        for line in 0..LINES {
            prefetch(&self.features, first + line * LINE);
            prefetch(&self.gains, first + line * LINE);
        }
    }

    /// The gains of a label after a tier.
    pub(crate) fn after(&self, label: usize, tier: usize) -> impl Iterator<Item = Piece<'_>> {
        let at = TIERS * label;
        let range = self.starts[at + tier + 1]..self.starts[at + TIERS];
        let gains = self.gains[range.clone()].iter().zip(&self.after[range.clone()]);
        self.features[range]
            .iter()
            .zip(gains)
            .map(|(features, (gains, &after))| (features, gains, after))
    }
}

/// Most that the gains from each piece on add to a sum, and 0 at the end: the largest to the neighbour
/// of the largest discount, and so on. In a tie class that goes on for long, what they add at discounts
/// of 1 must do.
fn most_after(gains: &[(u32, f64)], discounts: &[f64], most: &mut Vec<f64>) {
    // Features beyond the list have no discount of their own, but their class has its mean.
    let least = discounts.last().copied().unwrap_or(0.0);
    let mut rest: f64 = gains.iter().map(|&(_, gain)| gain).sum();
    most.clear();
    for first in (0..gains.len()).step_by(PIECE) {
        let discounts = discounts.iter().copied().chain(std::iter::repeat(least));
        let discounted = if first < 2 * DECIDING {
            gains[first..].iter().zip(discounts).map(|(&(_, gain), d)| gain * d).sum()
        } else {
            rest
        };
        // What bounds all of them bounds the later ones.
        most.push(most.last().map_or(discounted, |&before: &f64| before.min(discounted)));
        rest -= gains[first..].iter().take(PIECE).map(|&(_, gain)| gain).sum::<f64>();
    }
    most.push(0.0);
}
