//! Terms of a sum, added in the order of their places.

use crate::simd::line::for_each_bit;

/// Terms by place. Equal terms at equal places make equal sums, in whatever order they come.
#[derive(Default)]
pub(crate) struct Terms {
    terms: Vec<f64>,
    /// Bit mask of the places that have a term.
    taken: Vec<u64>,
}

impl Terms {
    /// Forget all terms and make room for places below `n`.
    pub(crate) fn clear(&mut self, n: usize) {
        self.taken.clear();
        self.taken.resize(n.div_ceil(64), 0);
        if self.terms.len() < n {
            self.terms.resize(n, 0.0);
        }
    }

    /// Add a term at a place.
    #[inline(always)]
    pub(crate) fn add(&mut self, place: usize, term: f64) {
        let bit = 1 << (place % 64);
        // Only malformed lists give a place two terms.
        let before = if self.taken[place / 64] & bit == 0 { 0.0 } else { self.terms[place] };
        self.terms[place] = before + term;
        self.taken[place / 64] |= bit;
    }

    /// Sum all terms.
    pub(crate) fn sum(&self) -> f64 {
        let mut sum = 0.0;
        for (word, &taken) in self.taken.iter().enumerate() {
            for_each_bit(taken, |bit| sum += self.terms[64 * word + bit]);
        }
        sum
    }
}
