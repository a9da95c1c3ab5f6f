//! Gains by the feature that earns them: which labels have a feature among their first neighbours.

use crate::alloc::zeros;
use crate::context::Context;
use crate::error::Result;
use crate::simd::prefetch;

/// Labels whose sums stand together in the cache, 512 KiB. Smaller blocks would cut the gains of a
/// feature into pieces so short that finding them takes longer than adding them.
pub(crate) const BLOCK: usize = 1 << 16;

/// A gain that a feature earns for a label.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gain {
    /// Position of the label in its block.
    pub(crate) label: u32,
    /// Gain over the ideal: at most 1, so that single precision holds it.
    pub(crate) gain: f32,
}

/// The gains of one block of labels, feature by feature.
pub(crate) struct Block {
    starts: Vec<usize>,
    gains: Vec<Gain>,
}

impl Block {
    /// Ask for where the gains of a feature begin.
    pub(crate) fn prefetch_start(&self, feature: u32) {
        prefetch(&self.starts, feature as usize);
    }

    /// Ask for the gains of a feature.
    pub(crate) fn prefetch(&self, feature: u32) {
        const LINE: usize = 64 / size_of::<Gain>();
        let feature = feature as usize;
        for at in (self.starts[feature]..self.starts[feature + 1]).step_by(LINE) {
            prefetch(&self.gains, at);
        }
    }

    /// The labels that earn something from `feature`, ascending.
    pub(crate) fn of(&self, feature: u32) -> &[Gain] {
        &self.gains[self.starts[feature as usize]..self.starts[feature as usize + 1]]
    }
}

/// Transpose the gains of `n_labels` labels: `each(label, visit)` visits features and their gains.
///
/// # Errors
/// [`crate::Error::Memory`]; [`crate::Error::Interrupted`].
pub(crate) fn transpose(
    n_labels: usize,
    n_features: usize,
    each: impl Fn(usize, &mut dyn FnMut(u32, f64)),
    context: &Context,
) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut total = 0;
    for first in (0..n_labels).step_by(BLOCK) {
        let labels = first..(first + BLOCK).min(n_labels);
        let mut starts = vec![0; n_features + 1];
        for label in labels.clone() {
            each(label, &mut |feature, _| starts[feature as usize + 1] += 1);
        }
        context.proceed()?;
        for feature in 0..n_features {
            starts[feature + 1] += starts[feature];
        }
        total += starts[n_features] * size_of::<Gain>() + starts.len() * size_of::<usize>();
        context.check_memory(
            "the gains of all labels",
            total as u128,
            "rank only the features that are scored, or give fewer columns of semantic",
        )?;
        let mut next = starts.clone();
        let mut gains = zeros::<Gain>(starts[n_features]);
        for label in labels {
            each(label, &mut |feature, gain| {
                let at = &mut next[feature as usize];
                gains[*at] = Gain { label: (label - first) as u32, gain: gain as f32 };
                *at += 1;
            });
        }
        context.proceed()?;
        blocks.push(Block { starts, gains });
    }
    Ok(blocks)
}
