//! Measures of how two features go together, from the counts of their windows.

use rayon::prelude::*;

use crate::bits::MAX_WINDOWS;
use crate::error::{Error, Result};
use crate::histogram::{check_counts, check_dense, get};
use crate::job::Job;

/// A measure of association between two features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Pearson's correlation of the two occurrence indicators.
    Phi,
}

impl Measure {
    /// The measure of that name.
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

/// What a measure needs to know of one feature.
#[derive(Debug, Clone, Copy)]
pub struct Margin {
    count: u64,
    /// `c (n - c)`: the variance of the indicator, times n².
    spread: f64,
}

impl Margin {
    /// Margin of a feature that occurs in `count` of `n_windows` windows.
    pub fn new(count: u64, n_windows: u64) -> Self {
        Self { count, spread: (count * (n_windows - count)) as f64 }
    }
}

/// phi of two features that share `both` windows.
///
/// The numerator is exact: both of its products are below 2⁶⁴ and their difference below 2⁶². The
/// product of the spreads commutes, so phi is symmetric to the last bit.
#[inline]
pub fn phi_of(n_windows: u64, both: u32, a: Margin, b: Margin) -> f64 {
    let numerator = (n_windows * u64::from(both)).wrapping_sub(a.count * b.count) as i64;
    let spread = a.spread * b.spread;
    if spread > 0.0 { (numerator as f64 / spread.sqrt()).clamp(-1.0, 1.0) } else { 0.0 }
}

/// phi of all pairs: F × F, row-major. `counts` are 32-bit numbers in this machine's byte order,
/// aligned or not.
///
/// # Errors
/// [`Error::Contradiction`] for counts that no windows can have; [`Error::Memory`].
pub fn phi(counts: &[u8], n_features: usize, n_windows: u64, job: &Job) -> Result<Vec<f64>> {
    check_windows(n_windows)?;
    check_dense(n_features, 8, job)?;
    job.run(|| {
        check_counts(counts, n_features, n_windows, job)?;
        let margins: Vec<_> = (0..n_features)
            .map(|i| Margin::new(u64::from(get(counts, n_features, i, i)), n_windows))
            .collect();
        let mut out = vec![0.0; n_features * n_features];
        out.par_chunks_mut(n_features.max(1)).enumerate().for_each(|(i, row)| {
            for (j, (phi, &margin)) in row.iter_mut().zip(&margins).enumerate() {
                let both = get(counts, n_features, i, j);
                *phi = phi_of(n_windows, both, margins[i], margin);
            }
        });
        Ok(out)
    })
}

/// Refuse a number of windows that 32-bit counts cannot hold.
pub(crate) fn check_windows(n_windows: u64) -> Result<()> {
    if n_windows > MAX_WINDOWS {
        return Err(Error::TooManyWindows { got: n_windows });
    }
    Ok(())
}
