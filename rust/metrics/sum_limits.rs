//! Which sums of a block need a second look: not those that surely fit worse than a feature's own,
//! nor those that surely fit as well and surely are not among the best.

use std::ops::Range;

use crate::simd::line::for_each_bit;
use crate::simd::threshold::{CHUNK, above_f32};
use crate::simd::{Isa, per_isa};

/// Limits between sums of labels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Labels with smaller sums fit worse.
    pub(super) low: f32,
    /// Labels with these sums surely fit, and surely are not among the best.
    pub(super) only_count: (f32, f32),
}

impl Limits {
    /// Count the `sums` at `range` that only count, and collect the positions of those that need a
    /// second look.
    pub(super) fn split(
        &self,
        sums: &[f32],
        range: Range<usize>,
        found: &mut Vec<(usize, f32)>,
    ) -> u32 {
        found.clear();
        let (isa, mut n_counted) = (Isa::active(), 0);
        let (from, to) = self.only_count;
        let (chunks, tail) = sums[range.clone()].as_chunks::<CHUNK>();
        for (c, chunk) in chunks.iter().enumerate() {
            let at_least = |bound: f32| above_f32(isa, chunk, &[bound; CHUNK]).0;
            let mut mask = at_least(self.low);
            if mask != 0 && from < to {
                let counted = at_least(from) & !at_least(to);
                n_counted += counted.count_ones();
                mask &= !counted;
            }
            for_each_bit(mask, |k| found.push((range.start + c * CHUNK + k, chunk[k])));
        }
        for (at, &sum) in (range.end - tail.len()..range.end).zip(tail) {
            if sum >= from && sum < to {
                n_counted += 1;
            } else if sum >= self.low {
                found.push((at, sum));
            }
        }
        n_counted
    }
}

/// A sum near `guess` for which `holds`, and so for all larger ones.
pub(super) fn from_which(guess: f64, holds: impl Fn(f64) -> bool) -> f32 {
    let mut sum = guess as f32;
    while sum < f32::INFINITY && !holds(f64::from(sum)) {
        sum = sum.next_up();
    }
    sum
}

/// A sum near `guess` for which `holds`, and so for all smaller ones; 0 if none is above.
pub(super) fn up_to_which(guess: f64, holds: impl Fn(f64) -> bool) -> f32 {
    let mut sum = guess.max(0.0) as f32;
    while sum > 0.0 && !holds(f64::from(sum)) {
        sum = sum.next_down();
    }
    sum
}

per_isa! {
    /// How many of the sums are at least `low`.
    pub fn count_from(sums: &[f32], low: f32) -> u32 = count_from_plain
}

#[inline(always)]
fn count_from_plain(sums: &[f32], low: f32) -> u32 {
    sums.iter().fold(0_u32, |n, &sum| n.wrapping_add(u32::from(sum >= low)))
}
