//! A cheap bound on phi in single precision, which rejects most pairs before the exact measure.
//!
//! phi of i and j is at least t where `n·both ≥ cᵢ·cⱼ + t·√sᵢ·√sⱼ`; c is a count, s = c (n - c).
//! For a given i, `both` must reach a linear function of j's count and root. So a pair costs two
//! multiplications and an addition on eight bytes of its margins, instead of a root and a division
//! on sixteen bytes.

use crate::measures::Margins;
use crate::simd::threshold::CHUNK;
use crate::simd::{Isa, per_isa};

/// Share by which the bound is lowered: more than the rounding error of six operations in single
/// precision.
const SLACK: f64 = 1.0 / (1 << 18) as f64;

/// Counts and roots of the features that may be neighbours.
pub(crate) struct PhiBound {
    counts: Vec<f32>,
    roots: Vec<f32>,
    n_windows: f64,
}

impl PhiBound {
    pub(crate) fn new(margins: &Margins, n_windows: u64) -> Self {
        // A feature that occurs in no window, or in all, has phi 0 with every other: it passes no
        // threshold above 0.
        let root = |variance: f64| if variance > 0.0 { variance.sqrt() as f32 } else { f32::MAX };
        let (counts, roots) =
            margins.iter().map(|(count, variance)| (count as f32, root(variance))).unzip();
        Self { counts, roots, n_windows: n_windows as f64 }
    }

    /// Mark the features from `first` on whose phi with a given feature may be at least `threshold`.
    ///
    /// The feature is given by its count and variance; `both` counts the windows that each of the
    /// others shares with it. Each mask holds one bit for each of [`CHUNK`] features. Every feature
    /// that reaches the threshold is marked, and some that do not.
    pub(crate) fn may_reach<C: Count>(
        &self,
        isa: Isa,
        (count, variance): (u64, f64),
        threshold: f64,
        first: usize,
        both: &[C],
        masks: &mut Vec<u64>,
    ) {
        let slope = count as f64 / self.n_windows * (1.0 - SLACK);
        let rise = threshold * variance.sqrt() / self.n_windows;
        let line = (slope as f32, (rise - rise.abs() * SLACK) as f32);
        let some = first..first + both.len();
        masks.clear();
        masks.resize(both.len().div_ceil(CHUNK), 0);
        C::ON_OR_ABOVE(isa, both, &self.counts[some.clone()], &self.roots[some], line, masks);
    }
}

/// Type of the windows that two features share.
pub(crate) trait Count: Copy {
    /// Return it in single precision, rounded.
    fn single(self) -> f32;
    /// The kernel of this type.
    const ON_OR_ABOVE: Kernel<Self>;
}

/// Set bit k of mask m where `both[64 m + k]` is at least `line.0` times the count plus `line.1` times
/// the root; arguments: instruction set, both, counts, roots, line, masks.
type Kernel<C> = fn(Isa, &[C], &[f32], &[f32], (f32, f32), &mut [u64]);

/// Implement [`Count`] with a kernel for the type.
macro_rules! count {
    ($type:ty, $single:expr, $kernel:ident) => {
        per_isa! {
            /// [`Count::ON_OR_ABOVE`] of one type.
            pub fn $kernel(
                both: &[$type],
                counts: &[f32],
                roots: &[f32],
                line: (f32, f32),
                masks: &mut [u64],
            ) = plain
        }

        impl Count for $type {
            const ON_OR_ABOVE: Kernel<Self> = $kernel;

            #[inline(always)]
            fn single(self) -> f32 {
                $single(self)
            }
        }
    };
}
count!(u16, f32::from, reaching_u16);
count!(u32, |count| count as f32, reaching_u32);

#[inline(always)]
fn plain<C: Count>(both: &[C], counts: &[f32], roots: &[f32], line: (f32, f32), masks: &mut [u64]) {
    let ((both, both_tail), (counts, counts_tail), (roots, roots_tail)) =
        (both.as_chunks::<CHUNK>(), counts.as_chunks::<CHUNK>(), roots.as_chunks::<CHUNK>());
    let chunks = both.iter().zip(counts).zip(roots);
    for (mask, ((both, counts), roots)) in masks.iter_mut().zip(chunks) {
        *mask = 0;
        for k in 0..CHUNK {
            *mask |= u64::from(reaches(both[k], counts[k], roots[k], line)) << k;
        }
    }
    if let Some(mask) = masks.get_mut(both.len()) {
        *mask = 0;
        for (k, &both) in both_tail.iter().enumerate() {
            *mask |= u64::from(reaches(both, counts_tail[k], roots_tail[k], line)) << k;
        }
    }
}

#[inline(always)]
fn reaches(both: impl Count, count: f32, root: f32, (slope, rise): (f32, f32)) -> bool {
    both.single() >= slope * count + rise * root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measures::Measure;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// The threshold is the phi of one of the features, so that some pairs reach it exactly.
        #[test]
        fn every_feature_that_reaches_the_threshold_is_marked(
            n_windows in prop_oneof![1..300_u64, 60_000..100_000_u64, Just(u64::from(u32::MAX))],
            shares in prop::collection::vec((0.0..=1.0_f64, 0.0..=1.0_f64), 2..200),
            which in any::<prop::sample::Index>(),
            is_sparse in any::<bool>(),
        ) {
            let most = if is_sparse { n_windows.min(500) } else { n_windows.min(60_000) };
            let part = |share: f64, of: u64| (share * of as f64).round() as u64;
            let counts = shares.iter().map(|&(share, _)| part(share, most));
            let margins = Margins::new(counts, n_windows);
            let row = margins.of(0);
            let both: Vec<u16> = margins.iter().zip(&shares).map(|((count, _), &(_, share))| {
                let least = (row.0 + count).saturating_sub(n_windows);
                (least + part(share, row.0.min(count) - least)) as u16
            }).collect();
            let phi = |j: usize| Measure::Phi.pair(n_windows, row, margins.of(j), both[j].into());
            let threshold = phi(which.index(shares.len()));
            let bound = PhiBound::new(&margins, n_windows);
            for isa in Isa::available() {
                let mut masks = vec![u64::MAX];
                bound.may_reach(isa, row, threshold, 0, &both, &mut masks);
                let wide: Vec<u32> = both.iter().map(|&both| both.into()).collect();
                let mut same = Vec::new();
                bound.may_reach(isa, row, threshold, 0, &wide, &mut same);
                prop_assert_eq!(&masks, &same, "{}", isa.name());
                for j in 0..shares.len() {
                    let passes = masks[j / CHUNK] >> (j % CHUNK) & 1 == 1;
                    prop_assert!(passes || phi(j) < threshold, "{} {j}", isa.name());
                }
                let tail = masks.last().unwrap() >> ((shares.len() - 1) % CHUNK) >> 1;
                prop_assert_eq!(tail, 0, "{}", isa.name());
            }
        }
    }

    #[test]
    fn most_of_the_other_features_are_rejected() {
        let margins = Margins::new((0..640).map(|j| 100 + j % 7), 10_000);
        let both: Vec<u16> = (0..640).map(|j| (j % 64) as u16).collect();
        let threshold = Measure::Phi.pair(10_000, margins.of(0), margins.of(0), 50);
        let mut masks = Vec::new();
        let bound = PhiBound::new(&margins, 10_000);
        bound.may_reach(Isa::active(), margins.of(0), threshold, 0, &both, &mut masks);
        let passing = masks.iter().map(|mask| mask.count_ones()).sum::<u32>();
        assert!((100..200).contains(&passing), "{passing}");
    }
}
