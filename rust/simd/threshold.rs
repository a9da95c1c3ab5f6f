//! Finding the values that reach a bound: the filter that precedes every selection.

use crate::simd::per_isa;

/// Number of values that a mask covers.
pub const CHUNK: usize = 64;

per_isa! {
    /// Set bit k where `values[k] >= bounds[k]`, and tell whether all values are finite.
    pub fn above_f32(values: &[f32; CHUNK], bounds: &[f32; CHUNK]) -> (u64, bool) = singles
}
per_isa! {
    /// Set bit k where `values[k] >= bounds[k]`, and tell whether all values are finite.
    pub fn above_f64(values: &[f64; CHUNK], bounds: &[f64; CHUNK]) -> (u64, bool) = doubles
}

#[inline(always)]
fn singles(values: &[f32; CHUNK], bounds: &[f32; CHUNK]) -> (u64, bool) {
    (mask(values, bounds), values.iter().fold(true, |all, v| all & v.is_finite()))
}

#[inline(always)]
fn doubles(values: &[f64; CHUNK], bounds: &[f64; CHUNK]) -> (u64, bool) {
    (mask(values, bounds), values.iter().fold(true, |all, v| all & v.is_finite()))
}

#[inline(always)]
fn mask<V: PartialOrd + Copy>(values: &[V; CHUNK], bounds: &[V; CHUNK]) -> u64 {
    let mut mask = 0;
    for k in 0..CHUNK {
        mask |= u64::from(values[k] >= bounds[k]) << k;
    }
    mask
}
