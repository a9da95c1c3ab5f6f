//! Measures of association between two features, from the counts of their windows.

use std::ops::Range;

use rayon::prelude::*;

use crate::alloc::zeros;
use crate::context::Context;
use crate::cooccurrence::check_dense;
use crate::cooccurrence::validate::{Rules, copy_row, get};
use crate::error::{Error, Result};
use crate::limits::check_windows;
use crate::simd::{Isa, per_isa};

/// A measure of association between two features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Pearson's correlation of the two occurrence indicators.
    Phi,
}

impl Measure {
    /// Return the measure of that name.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown name.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "phi" => Ok(Self::Phi),
            _ => Err(Error::argument("measure", format!("{name:?}"), "\"phi\"")),
        }
    }
}

/// Counts and variances of single features, which every measure needs.
#[derive(Debug, Default)]
pub(crate) struct Margins {
    counts: Vec<u64>,
    /// `c (n - c)`: the variance of the indicator, times n².
    variances: Vec<f64>,
}

impl Margins {
    /// Compute them for features that occur in `counts` of `n_windows` windows.
    pub(crate) fn new(counts: impl Iterator<Item = u64>, n_windows: u64) -> Self {
        let counts: Vec<u64> = counts.collect();
        let variances = counts.iter().map(|c| (c * (n_windows - c)) as f64).collect();
        Self { counts, variances }
    }

    /// Return the count and the variance of a feature.
    pub(crate) fn of(&self, feature: usize) -> (u64, f64) {
        (self.counts[feature], self.variances[feature])
    }

    /// Iterate over the counts and variances of all features.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, f64)> {
        self.counts.iter().copied().zip(self.variances.iter().copied())
    }
}

per_isa! {
    /// Compute phi of one feature, given its count and variance, with each of many features.
    ///
    /// The numerator is exact: both of its products are below 2⁶⁴ and their difference below 2⁶².
    /// The product of the variances commutes, so phi is symmetric to the last bit.
    pub fn phi_row(
        n_windows: u64,
        row: (u64, f64),
        both: &[u32],
        counts: &[u64],
        variances: &[f64],
        out: &mut [f64],
    ) = phi_plain
}

#[inline(always)]
fn phi_plain(
    n_windows: u64,
    row: (u64, f64),
    both: &[u32],
    counts: &[u64],
    variances: &[f64],
    out: &mut [f64],
) {
    for (((out, &both), &c_j), &s_j) in out.iter_mut().zip(both).zip(counts).zip(variances) {
        *out = phi_of(n_windows, row, (c_j, s_j), both);
    }
}

#[inline(always)]
fn phi_of(n_windows: u64, (c_i, s_i): (u64, f64), (c_j, s_j): (u64, f64), both: u32) -> f64 {
    let numerator = n_windows.wrapping_mul(u64::from(both)).wrapping_sub(c_i.wrapping_mul(c_j));
    let product = s_i * s_j;
    let phi = (numerator as i64 as f64 / product.sqrt()).clamp(-1.0, 1.0);
    if product > 0.0 { phi } else { 0.0 }
}

impl Measure {
    /// Compute the measure of feature `row` of `rows` with the features `cols.0` of `cols.1`, which
    /// share `both` windows with it.
    pub(crate) fn row(
        self,
        n_windows: u64,
        (row, rows): (usize, &Margins),
        (cols, margins): (Range<usize>, &Margins),
        both: &[u32],
        out: &mut [f64],
    ) {
        let Self::Phi = self;
        let (counts, variances) = (&margins.counts[cols.clone()], &margins.variances[cols]);
        phi_row(Isa::active(), n_windows, rows.of(row), both, counts, variances, out);
    }

    /// Compute the measure of one pair, with the same bits as [`Measure::row`].
    pub(crate) fn pair(self, n_windows: u64, row: (u64, f64), col: (u64, f64), both: u32) -> f64 {
        let Self::Phi = self;
        phi_of(n_windows, row, col, both)
    }
}

/// Compute phi of all pairs: F × F, row-major. `counts` are 32-bit numbers in native byte order,
/// aligned or not.
///
/// # Errors
/// [`Error::Contradiction`] for impossible counts; [`Error::Memory`].
pub fn phi(
    counts: &[u8],
    n_features: usize,
    n_windows: u64,
    context: &Context,
) -> Result<Vec<f64>> {
    check_windows(n_windows)?;
    check_dense(n_features, 8, context)?;
    context.run(|| {
        Rules::new(counts, n_features, n_windows)?.check_all(context)?;
        let count = |i| u64::from(get(counts, n_features, i, i));
        let margins = Margins::new((0..n_features).map(count), n_windows);
        let mut out = zeros(n_features * n_features);
        out.par_chunks_mut(n_features.max(1)).enumerate().try_for_each_init(
            || vec![0; n_features],
            |both, (i, row)| {
                context.proceed()?;
                copy_row(counts, n_features, i, 0, both);
                let all = (0..n_features, &margins);
                Measure::Phi.row(n_windows, (i, &margins), all, both, row);
                Ok(())
            },
        )?;
        Ok(out)
    })
}
