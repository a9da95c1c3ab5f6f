//! Candidates that compare as they rank: larger value first, then smaller feature index.

use crate::neighbours::sort::sort_by_key;
use crate::simd::Isa;
use crate::simd::threshold::{CHUNK, above_f32, above_f64};

/// A candidate that compares as it ranks: the better of two is the smaller.
pub trait Entry: Copy + Ord + Send + Sync {
    /// Tell whether both have the same value.
    fn ties_with(self, other: Self) -> bool;
    /// Type of the values that are ranked.
    type Value: Copy + PartialOrd + Into<f64> + Send + Sync;
    /// A value below every other.
    const LOWEST: Self::Value;
    /// Placeholder for a candidate.
    const FILLER: Self;

    /// Make the candidate `feature` with `value`.
    fn new(value: Self::Value, feature: u32) -> Self;
    /// Return the feature.
    fn feature(self) -> u32;
    /// Return the value.
    fn exact(self) -> Self::Value;
    /// Return the value in single precision.
    fn value(self) -> f32;
    /// Sort, best first.
    fn sort(entries: &mut [Self]) {
        entries.sort_unstable();
    }
    /// Set bit k where `values[k] >= bounds[k]`, and tell whether all values are finite.
    fn above(isa: Isa, values: &[Self::Value; CHUNK], bounds: &[Self::Value; CHUNK])
    -> (u64, bool);
}

/// A float32 candidate: above the feature, a key that falls as the value rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Single(u64);

/// A float64 candidate; packed, because millions of them are held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
pub struct Double {
    key: u64,
    feature: u32,
}

impl Entry for Single {
    #[inline]
    fn ties_with(self, other: Self) -> bool {
        (self.0 ^ other.0) >> 32 == 0
    }

    type Value = f32;
    const LOWEST: f32 = f32::NEG_INFINITY;
    const FILLER: Self = Self(u64::MAX);

    #[inline]
    fn new(value: f32, feature: u32) -> Self {
        // Adding 0 turns -0 into 0: the two are equal as numbers.
        let bits = (value + 0.0).to_bits();
        let falling = bits ^ (!((bits as i32) >> 31) as u32 & 0x7fff_ffff);
        Self(u64::from(falling) << 32 | u64::from(feature))
    }

    #[inline]
    fn feature(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    fn exact(self) -> f32 {
        let falling = (self.0 >> 32) as u32;
        f32::from_bits(falling ^ (!((falling as i32) >> 31) as u32 & 0x7fff_ffff))
    }

    #[inline]
    fn value(self) -> f32 {
        self.exact()
    }

    #[inline]
    fn above(isa: Isa, values: &[f32; CHUNK], bounds: &[f32; CHUNK]) -> (u64, bool) {
        above_f32(isa, values, bounds)
    }
}

impl Entry for Double {
    #[inline]
    fn ties_with(self, other: Self) -> bool {
        { self.key }.eq(&{ other.key })
    }

    type Value = f64;
    const LOWEST: f64 = f64::NEG_INFINITY;
    const FILLER: Self = Self { key: u64::MAX, feature: u32::MAX };

    #[inline]
    fn new(value: f64, feature: u32) -> Self {
        let bits = (value + 0.0).to_bits();
        let key = bits ^ (!((bits as i64) >> 63) as u64 & 0x7fff_ffff_ffff_ffff);
        Self { key, feature }
    }

    #[inline]
    fn feature(self) -> u32 {
        self.feature
    }

    #[inline]
    fn exact(self) -> f64 {
        let key = self.key;
        f64::from_bits(key ^ (!((key as i64) >> 63) as u64 & 0x7fff_ffff_ffff_ffff))
    }

    #[inline]
    fn value(self) -> f32 {
        self.exact() as f32
    }

    fn sort(entries: &mut [Self]) {
        sort_by_key(entries, |entry| entry.key);
    }

    #[inline]
    fn above(isa: Isa, values: &[f64; CHUNK], bounds: &[f64; CHUNK]) -> (u64, bool) {
        above_f64(isa, values, bounds)
    }
}
