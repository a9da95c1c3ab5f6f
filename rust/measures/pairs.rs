//! The measures of one pair, and of one feature with many.
//!
//! Every formula treats both features alike to the last bit: products and sums of two commute, and
//! each half of a four-term sum is itself symmetric. There is no fused
//! multiply-add, so that all instruction sets give the same bits.

use super::logarithm::{excess, ln, ln_1p};
use crate::simd::per_isa;

/// Count of a feature, and its variance times n².
type Margin = (u64, f64);

/// One kernel for each measure: the plain formula over a row.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident, $plain:ident = $of:ident;)*) => {$(
        per_isa! {
            $(#[$doc])*
            pub fn $name(
                n_windows: u64,
                row: Margin,
                both: &[u32],
                counts: &[u64],
                variances: &[f64],
                out: &mut [f64],
            ) = $plain
        }

        #[inline(always)]
        fn $plain(
            n_windows: u64,
            row: Margin,
            both: &[u32],
            counts: &[u64],
            variances: &[f64],
            out: &mut [f64],
        ) {
            for (((out, &both), &c_j), &v_j) in out.iter_mut().zip(both).zip(counts).zip(variances)
            {
                *out = $of(n_windows, row, (c_j, v_j), both);
            }
        }
    )*};
}

rows! {
    /// phi of one feature with each of many.
    phi_row, phi_plain = phi;
    /// Absolute phi of one feature with each of many.
    abs_phi_row, abs_phi_plain = abs_phi;
    /// Signed log-likelihood ratio of one feature with each of many.
    llr_row, llr_plain = llr;
    /// Normalised pointwise mutual information of one feature with each of many.
    npmi_row, npmi_plain = npmi;
    /// Log odds ratio of one feature with each of many.
    odds_row, odds_plain = odds;
    /// Lift of one feature with each of many.
    lift_row, lift_plain = lift;
    /// Cole's C7 of one feature with each of many.
    cole_row, cole_plain = cole;
    /// Jaccard's index of one feature with each of many.
    jaccard_row, jaccard_plain = jaccard;
    /// Cosine of the indicators of one feature with each of many.
    cosine_row, cosine_plain = cosine;
}

/// `n a - c_i c_j`, exact: both products are below 2⁶⁴ and their difference below 2⁶².
#[inline(always)]
fn numerator(n_windows: u64, c_i: u64, c_j: u64, both: u32) -> f64 {
    n_windows.wrapping_mul(u64::from(both)).wrapping_sub(c_i.wrapping_mul(c_j)) as i64 as f64
}

/// Value, or 0 where a feature occurs in no window or in all.
#[inline(always)]
fn unless_constant(v_i: f64, v_j: f64, value: f64) -> f64 {
    if v_i * v_j > 0.0 { value } else { 0.0 }
}

#[inline(always)]
pub(super) fn phi(n_windows: u64, (c_i, v_i): Margin, (c_j, v_j): Margin, both: u32) -> f64 {
    let phi = numerator(n_windows, c_i, c_j, both) / (v_i * v_j).sqrt();
    unless_constant(v_i, v_j, phi.clamp(-1.0, 1.0))
}

#[inline(always)]
pub(super) fn abs_phi(n_windows: u64, row: Margin, col: Margin, both: u32) -> f64 {
    phi(n_windows, row, col, both).abs()
}

/// `2 Σ O ln(O / E)` over the four cells. The plain sum cancels near independence; as the cells'
/// differences from E add up to 0, it is `2 Σ E ((1 + x) ln(1 + x) - x)` with `x = O / E - 1`, whose
/// terms are all positive.
#[inline(always)]
pub(super) fn llr(n_windows: u64, (c_i, v_i): Margin, (c_j, v_j): Margin, both: u32) -> f64 {
    let n = n_windows as f64;
    let difference = numerator(n_windows, c_i, c_j, both) / n;
    let (with_i, with_j, both) = (c_i as f64, c_j as f64, f64::from(both));
    let (without_i, without_j) = (n - with_i, n - with_j);
    let cell = |observed: f64, product: f64, difference: f64| {
        // One division in place of two by the expected count.
        let inverse = n / product;
        product * excess(observed * inverse, difference * inverse)
    };
    let alike = cell(both, with_i * with_j, difference)
        + cell(n - (with_i + with_j) + both, without_i * without_j, difference);
    let unlike = cell(with_i - both, with_i * without_j, -difference)
        + cell(with_j - both, without_i * with_j, -difference);
    let ratio = (2.0 * (alike + unlike) / n).max(0.0);
    unless_constant(v_i, v_j, if difference < 0.0 { -ratio } else { ratio })
}

#[inline(always)]
pub(super) fn npmi(n_windows: u64, (c_i, _): Margin, (c_j, _): Margin, both: u32) -> f64 {
    let product = c_i.wrapping_mul(c_j) as f64;
    let n = n_windows as f64;
    let ratio = n * f64::from(both) / product;
    let information = ln_1p(ratio, numerator(n_windows, c_i, c_j, both) / product);
    let others = n - f64::from(both);
    let value = information / -ln_1p(f64::from(both) / n, -others / n);
    let value = if others > 0.0 { value } else { 0.0 };
    if both == 0 { -1.0 } else { value }
}

#[inline(always)]
pub(super) fn odds(n_windows: u64, (c_i, v_i): Margin, (c_j, v_j): Margin, both: u32) -> f64 {
    let (with_i, with_j, both) = (c_i as f64, c_j as f64, f64::from(both));
    let alike = (both + 0.5) * (n_windows as f64 - (with_i + with_j) + both + 0.5);
    let unlike = (with_i - both + 0.5) * (with_j - both + 0.5);
    unless_constant(v_i, v_j, ln(alike / unlike))
}

#[inline(always)]
pub(super) fn lift(n_windows: u64, (c_i, v_i): Margin, (c_j, v_j): Margin, both: u32) -> f64 {
    let product = c_i.wrapping_mul(c_j) as f64;
    unless_constant(v_i, v_j, n_windows.wrapping_mul(u64::from(both)) as f64 / product)
}

/// phi over the most that it could be, or the least, given how often each occurs.
#[inline(always)]
pub(super) fn cole(n_windows: u64, (c_i, v_i): Margin, (c_j, v_j): Margin, both: u32) -> f64 {
    let difference = numerator(n_windows, c_i, c_j, both);
    let (with_i, with_j, n) = (c_i as f64, c_j as f64, n_windows as f64);
    let most = with_i.min(with_j) * (n - with_i.max(with_j));
    // c_i c_j - n (c_i + c_j - n) is (n - c_i)(n - c_j).
    let least = if with_i + with_j > n { (n - with_i) * (n - with_j) } else { with_i * with_j };
    unless_constant(v_i, v_j, difference / if difference > 0.0 { most } else { least })
}

#[inline(always)]
pub(super) fn jaccard(_: u64, (c_i, v_i): Margin, (c_j, v_j): Margin, both: u32) -> f64 {
    let both = f64::from(both);
    unless_constant(v_i, v_j, both / (c_i as f64 + c_j as f64 - both))
}

#[inline(always)]
pub(super) fn cosine(_: u64, (c_i, v_i): Margin, (c_j, v_j): Margin, both: u32) -> f64 {
    unless_constant(v_i, v_j, f64::from(both) / (c_i as f64 * c_j as f64).sqrt())
}
