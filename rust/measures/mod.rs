//! Measures of association between two features, from the counts of their windows.

use std::ops::Range;

use rayon::prelude::*;

use crate::alloc::zeros;
use crate::context::Context;
use crate::cooccurrence::check_dense;
use crate::cooccurrence::validate::{Rules, copy_row, get};
use crate::error::{Error, Result};
use crate::limits::check_windows;
use crate::simd::Isa;

mod logarithm;
mod pairs;

/// A measure of association between two features.
///
/// Let a be the windows with both features, n all windows, E = `c_i c_j / n` those expected if the
/// features were independent. Where a feature occurs in no window or in all, the measure is 0 unless
/// stated otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Pearson's correlation of the two occurrence indicators.
    Phi,
    /// Its absolute value.
    AbsPhi,
    /// Log-likelihood ratio of dependence to independence, negative where a is below E.
    Llr,
    /// Normalised pointwise mutual information, `ln(a / E) / -ln(a / n)`: -1 where a is 0, 0 where
    /// it is n.
    Npmi,
    /// Logarithm of the odds ratio, half a window added to each cell.
    Odds,
    /// `a / E`.
    Lift,
    /// Cole's C7: phi over its bound for the counts given.
    Cole,
    /// Windows of both among those of either.
    Jaccard,
    /// Cosine of the two occurrence indicators.
    Cosine,
}

/// Names of all measures.
const MEASURES: [(&str, Measure); 9] = [
    ("phi", Measure::Phi),
    ("abs_phi", Measure::AbsPhi),
    ("llr", Measure::Llr),
    ("npmi", Measure::Npmi),
    ("odds", Measure::Odds),
    ("lift", Measure::Lift),
    ("cole", Measure::Cole),
    ("jaccard", Measure::Jaccard),
    ("cosine", Measure::Cosine),
];

/// Other names, and the measure here that ranks alike.
const EQUIVALENTS: [(&str, &str); 13] = [
    ("pearson", "same as phi"),
    ("correlation", "same as phi"),
    ("mcc", "same as phi"),
    ("chi2", "same order as abs_phi"),
    ("g2", "same order as llr where features attract each other"),
    ("pmi", "same order as lift"),
    ("yule_q", "nearly the same order as odds"),
    ("yule_y", "nearly the same order as odds"),
    ("c7", "same as cole"),
    ("dice", "same order as jaccard"),
    ("sorensen", "same order as jaccard"),
    ("f1", "same order as jaccard"),
    ("ochiai", "same as cosine"),
];

impl Measure {
    /// Return the measure of that name.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown name; it says which measure ranks alike, where one does.
    pub fn from_name(name: &str) -> Result<Self> {
        if let Some(&(_, measure)) = MEASURES.iter().find(|(known, _)| *known == name) {
            return Ok(measure);
        }
        let names: Vec<&str> = MEASURES.iter().map(|(name, _)| *name).collect();
        let mut expected = format!("one of {}", names.join(", "));
        let plain = name.to_lowercase().replace([' ', '-'], "_");
        if let Some((other, alike)) = EQUIVALENTS.iter().find(|(other, _)| *other == plain) {
            expected = format!("{expected} ({other}: {alike})");
        }
        Err(Error::argument("measure", format!("{name:?}"), expected))
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
        let kernel = match self {
            Self::Phi => pairs::phi_row,
            Self::AbsPhi => pairs::abs_phi_row,
            Self::Llr => pairs::llr_row,
            Self::Npmi => pairs::npmi_row,
            Self::Odds => pairs::odds_row,
            Self::Lift => pairs::lift_row,
            Self::Cole => pairs::cole_row,
            Self::Jaccard => pairs::jaccard_row,
            Self::Cosine => pairs::cosine_row,
        };
        let (counts, variances) = (&margins.counts[cols.clone()], &margins.variances[cols]);
        kernel(Isa::active(), n_windows, rows.of(row), both, counts, variances, out);
    }

    /// Compute the measure of one pair, with the same bits as [`Measure::row`].
    pub(crate) fn pair(self, n_windows: u64, row: (u64, f64), col: (u64, f64), both: u32) -> f64 {
        let of = match self {
            Self::Phi => pairs::phi,
            Self::AbsPhi => pairs::abs_phi,
            Self::Llr => pairs::llr,
            Self::Npmi => pairs::npmi,
            Self::Odds => pairs::odds,
            Self::Lift => pairs::lift,
            Self::Cole => pairs::cole,
            Self::Jaccard => pairs::jaccard,
            Self::Cosine => pairs::cosine,
        };
        of(n_windows, row, col, both)
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
