//! Gains by the feature that earns them: which labels have a feature among their first neighbours.

use crate::alloc::zeros;
use crate::context::Context;
use crate::error::Result;
use crate::metrics::label_gains::{LabelGains, TIERS};
use crate::simd::prefetch;

/// Labels whose sums stand together in the cache, 512 KiB. Smaller blocks would cut the gains of a
/// feature into pieces so short that finding them takes longer than adding them.
pub(crate) const BLOCK: usize = 1 << 17;

/// A gain that a feature earns for a label.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gain {
    /// Position of the label in its block.
    pub(crate) label: u32,
    /// Gain over the ideal: at most 1, so that single precision holds it.
    pub(crate) gain: f32,
}

/// The gains of one block of labels, feature by feature and tier by tier.
pub(crate) struct Block {
    starts: Vec<usize>,
    gains: Vec<Gain>,
}

impl Block {
    /// Ask for where the gains of a feature begin.
    pub(crate) fn prefetch_start(&self, feature: u32) {
        prefetch(&self.starts, TIERS * feature as usize);
    }

    /// Ask for the gains of a feature in a tier.
    pub(crate) fn prefetch(&self, feature: u32, tier: usize) {
        const LINE: usize = 64 / size_of::<Gain>();
        let at = TIERS * feature as usize + tier;
        for at in (self.starts[at]..self.starts[at + 1]).step_by(LINE) {
            prefetch(&self.gains, at);
        }
    }

    /// The labels that earn something from `feature` in a tier, ascending.
    pub(crate) fn of(&self, feature: u32, tier: usize) -> &[Gain] {
        let at = TIERS * feature as usize + tier;
        &self.gains[self.starts[at]..self.starts[at + 1]]
    }

    /// The labels that earn something from `feature` in any tier.
    pub(crate) fn of_all_tiers(&self, feature: u32) -> &[Gain] {
        let at = TIERS * feature as usize;
        &self.gains[self.starts[at]..self.starts[at + TIERS]]
    }
}

/// Transpose the gains of all labels.
///
/// # Errors
/// [`crate::Error::Memory`]; [`crate::Error::Interrupted`].
pub(crate) fn transpose(
    labels: &LabelGains,
    n_features: usize,
    context: &Context,
) -> Result<Vec<Block>> {
    let n_labels = labels.len();
    let n_blocks = n_labels.div_ceil(BLOCK);
    let starts_bytes = n_blocks * (TIERS * n_features + 1) * size_of::<usize>();
    context.check_memory(
        "the gains of all labels",
        (labels.n_gains() * size_of::<Gain>() + starts_bytes) as u128,
        "rank only the features that are scored, or give fewer columns of semantic",
    )?;
    let mut blocks = Vec::with_capacity(n_blocks);
    for first in (0..n_labels).step_by(BLOCK) {
        let block = first..(first + BLOCK).min(n_labels);
        let mut starts = vec![0; TIERS * n_features + 1];
        for label in block.clone() {
            for tier in 0..TIERS {
                for gain in labels.tier(label, tier) {
                    starts[TIERS * gain.feature as usize + tier + 1] += 1;
                }
            }
        }
        context.proceed()?;
        for at in 0..TIERS * n_features {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut gains = zeros::<Gain>(starts[TIERS * n_features]);
        for label in block {
            for tier in 0..TIERS {
                for gain in labels.tier(label, tier) {
                    let at = &mut next[TIERS * gain.feature as usize + tier];
                    gains[*at] = Gain { label: (label - first) as u32, gain: gain.gain };
                    *at += 1;
                }
            }
        }
        context.proceed()?;
        blocks.push(Block { starts, gains });
    }
    Ok(blocks)
}
