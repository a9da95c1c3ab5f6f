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

/// Cache lines of a label's later gains that are asked for ahead of time; most are decided by then.
const LINES: usize = 3;

/// A gain of one label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeatureGain {
    pub(crate) feature: u32,
    /// Gain over the ideal: at most 1, so that single precision holds it.
    pub(crate) gain: f32,
    /// Sum of the label's later gains: 0 for the last.
    pub(crate) after: f32,
}

/// The gains of all labels, each label's falling.
pub(crate) struct LabelGains {
    /// Where the tiers of each label begin.
    starts: Vec<usize>,
    gains: Vec<FeatureGain>,
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
        let (mut starts, mut gains) = (Vec::with_capacity(TIERS * n + 1), Vec::new());
        let mut scratch = Vec::new();
        let mut longest = 0;
        starts.push(0);
        gains.reserve(n * DECIDING.min(semantic.width));
        for label in 0..n {
            if label % 1024 == 0 {
                context.proceed()?;
                context.check_memory(
                    "the gains of all labels",
                    (size_of::<FeatureGain>() * gains.len()) as u128,
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
            let first = gains.len();
            gains.extend(
                weighted(list, (&means[..n_deciding], beyond)).map(|(feature, gain)| FeatureGain {
                    feature,
                    gain: gain as f32,
                    after: 0.0,
                }),
            );
            let own = &mut gains[first..];
            for k in (1..own.len()).rev() {
                own[k - 1].after = own[k].after + own[k].gain;
            }
            longest = longest.max(own.len());
            starts.extend(bounds.map(|bound| first + cut(own, discounts, bound)));
            starts.push(gains.len());
        }
        Ok(Self { starts, gains, longest })
    }

    /// Number of labels.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() / TIERS
    }

    pub(crate) fn n_gains(&self) -> usize {
        self.gains.len()
    }

    /// Most gains of a label.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The gains of a label.
    pub(crate) fn of(&self, label: usize) -> &[FeatureGain] {
        &self.gains[self.starts[TIERS * label]..self.starts[TIERS * (label + 1)]]
    }

    /// The gains of a label in one tier.
    pub(crate) fn tier(&self, label: usize, tier: usize) -> &[FeatureGain] {
        &self.gains[self.starts[TIERS * label + tier]..self.starts[TIERS * label + tier + 1]]
    }

    /// Ask for the gains of a label after a tier.
    pub(crate) fn prefetch_after(&self, label: usize, tier: usize) {
        const LINE: usize = 64 / size_of::<FeatureGain>();
        let first = self.starts[TIERS * label + tier + 1];
        for line in 0..LINES {
            prefetch(&self.gains, first + line * LINE);
        }
    }

    /// The gains of a label after a tier.
    pub(crate) fn after(&self, label: usize, tier: usize) -> &[FeatureGain] {
        &self.gains[self.starts[TIERS * label + tier + 1]..self.starts[TIERS * (label + 1)]]
    }
}

/// The fewest gains after which the others add at most `bound`: the largest to the neighbour of the
/// largest discount, and so on.
fn cut(gains: &[FeatureGain], discounts: &[f64], bound: f64) -> usize {
    let rest = |k: usize| -> f64 {
        // Features beyond the list have no discount of their own, but their class has its mean.
        let least = discounts.last().copied().unwrap_or(0.0);
        let discounts = discounts.iter().copied().chain(std::iter::repeat(least));
        gains[k..].iter().zip(discounts).map(|(gain, d)| f64::from(gain.gain) * d).sum()
    };
    let (mut low, mut high) = (0, gains.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if rest(middle) > bound { low = middle + 1 } else { high = middle }
    }
    low
}
