//! Gains by the feature that earns them: which labels have a feature among their first neighbours.

use crate::alloc::zeros;
use crate::context::Context;
use crate::error::Result;
use crate::metrics::label_gains::{LabelGains, TIERS};
use crate::simd::{per_isa, prefetch};

/// Labels whose sums stand together in the cache, 256 KiB. Smaller blocks would cut the gains of a
/// feature into pieces so short that finding them takes longer than adding them.
pub(crate) const BLOCK: usize = 1 << 16;
/// Sums of a block's labels.
pub(crate) type Sums = [f32; BLOCK];
/// Relative error of a gain, at most: reading gains takes longer than adding them, so that they have
/// 11 bits and an exponent.
pub(crate) const GAIN_ERROR: f64 = 1.0 / 4096.0;
/// Gains below this one count as much as it.
pub(crate) const LEAST_GAIN: f32 = 1.0 / (1_u32 << 30) as f32;

/// Neighbours whose gains are asked for ahead of time.
const AHEAD: usize = 6;

/// Bits of the mantissa of single precision that are cut.
const CUT: u32 = 12;
/// Bits of the least power of two that is told apart, without those cut.
const LEAST: u32 = (127 - 31) << (23 - CUT);

/// A gain that a feature earns for a label.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gain {
    /// Position of the label in its block.
    label: u16,
    bits: u16,
}

impl Gain {
    fn new(label: usize, gain: f32) -> Self {
        let rounded = (gain.clamp(LEAST_GAIN, 1.0).to_bits() + (1 << (CUT - 1))) >> CUT;
        Self { label: label as u16, bits: (rounded - LEAST).min(u32::from(u16::MAX)) as u16 }
    }

    /// Position of the label in its block.
    #[inline(always)]
    pub(crate) fn label(self) -> usize {
        usize::from(self.label)
    }

    /// Gain over the ideal.
    #[inline(always)]
    pub(crate) fn gain(self) -> f32 {
        f32::from_bits((u32::from(self.bits) + LEAST) << CUT)
    }
}

/// The gains of one block of labels, feature by feature and tier by tier.
pub(crate) struct Block {
    starts: Vec<usize>,
    gains: Vec<Gain>,
    /// The same in single precision.
    exact: Vec<f32>,
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

    /// The labels that earn something from `feature` in any tier, and what.
    pub(crate) fn exactly(&self, feature: u32) -> impl Iterator<Item = (usize, f32)> {
        let at = TIERS * feature as usize;
        let range = self.starts[at]..self.starts[at + TIERS];
        let gains = &self.gains[range.clone()];
        gains.iter().map(|gain| gain.label()).zip(self.exact[range].iter().copied())
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
        (labels.n_gains() * (size_of::<Gain>() + size_of::<f32>()) + starts_bytes) as u128,
        "rank only the features that are scored, or give fewer columns of semantic",
    )?;
    let mut blocks = Vec::with_capacity(n_blocks);
    for first in (0..n_labels).step_by(BLOCK) {
        let block = first..(first + BLOCK).min(n_labels);
        let mut starts = vec![0; TIERS * n_features + 1];
        for label in block.clone() {
            for tier in 0..TIERS {
                for (feature, _) in labels.tier(label, tier) {
                    starts[TIERS * feature as usize + tier + 1] += 1;
                }
            }
        }
        context.proceed()?;
        for at in 0..TIERS * n_features {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut gains = zeros::<Gain>(starts[TIERS * n_features]);
        let mut exact = zeros::<f32>(gains.len());
        for label in block {
            for tier in 0..TIERS {
                for (feature, gain) in labels.tier(label, tier) {
                    let at = &mut next[TIERS * feature as usize + tier];
                    gains[*at] = Gain::new(label - first, gain);
                    exact[*at] = gain;
                    *at += 1;
                }
            }
        }
        context.proceed()?;
        blocks.push(Block { starts, gains, exact });
    }
    Ok(blocks)
}

per_isa! {
    /// Add what the features of a list, all but one, earn in a tier, times their discounts, to the
    /// sums of the labels.
    pub fn add(
        block: &Block,
        tier: usize,
        list: &[(u32, f64)],
        except: u32,
        sums: &mut Sums,
    ) = add_plain
}

#[inline(always)]
fn add_plain(block: &Block, tier: usize, list: &[(u32, f64)], except: u32, sums: &mut Sums) {
    for (rank, &(feature, discount)) in list.iter().enumerate() {
        // Gains lie anywhere in memory; without a hint each feature would wait for its own.
        if let Some(&(later, _)) = list.get(rank + 2 * AHEAD) {
            block.prefetch_start(later);
        }
        if let Some(&(later, _)) = list.get(rank + AHEAD) {
            block.prefetch(later, tier);
        }
        if feature == except {
            continue;
        }
        let discount = discount as f32;
        for gain in block.of(feature, tier) {
            sums[gain.label()] += discount * gain.gain();
        }
    }
}
