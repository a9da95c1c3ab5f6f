//! A natural logarithm that the compiler turns into vectors: no branch, no call, the same bits on
//! every instruction set.

/// ln 2, the first part without its last 21 bits, so that a multiple of it is exact.
const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
/// Bits of √½: the mantissa is brought to √½ to √2.
const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;

/// Exponent and mantissa, from √½ to √2, of a positive number.
#[inline(always)]
fn split(y: f64) -> (f64, f64) {
    let above = y.to_bits().wrapping_sub(ROOT_HALF);
    let exponent = (above as i64 >> 52) as u64;
    let mantissa = f64::from_bits(y.to_bits().wrapping_sub(exponent << 52));
    // Not a conversion, for which AVX2 has no instruction: the number stands in the last bits.
    let magic = 0x4338_0000_0000_0000;
    (f64::from_bits(exponent.wrapping_add(magic)) - f64::from_bits(magic), mantissa)
}

/// `(atanh(s) - s) / s³` for |s| up to 0.1716: a series to the last bit.
#[inline(always)]
#[allow(clippy::unreadable_literal)]
fn series(square: f64) -> f64 {
    let mut sum = 1.0 / 23.0;
    sum = sum * square + 1.0 / 21.0;
    sum = sum * square + 1.0 / 19.0;
    sum = sum * square + 1.0 / 17.0;
    sum = sum * square + 1.0 / 15.0;
    sum = sum * square + 1.0 / 13.0;
    sum = sum * square + 1.0 / 11.0;
    sum = sum * square + 1.0 / 9.0;
    sum = sum * square + 1.0 / 7.0;
    sum = sum * square + 1.0 / 5.0;
    sum * square + 1.0 / 3.0
}

/// ln of a positive number.
#[inline(always)]
pub(super) fn ln(y: f64) -> f64 {
    ln_1p(y, y - 1.0)
}

/// ln of a positive number, of which also its difference from 1 is known.
#[inline(always)]
pub(super) fn ln_1p(y: f64, x: f64) -> f64 {
    let (exponent, mantissa) = split(y);
    let near = exponent == 0.0;
    // Chosen before the division, which takes longest of all.
    let (above, below) = if near { (x, 2.0 + x) } else { (mantissa - 1.0, mantissa + 1.0) };
    let s = above / below;
    let square = s * s;
    let small = 2.0 * s + 2.0 * s * square * series(square);
    exponent * LN_2[0] + (small + exponent * LN_2[1])
}

/// `(1 + x) ln(1 + x) - x`, which is 0 at 0 and positive elsewhere; 1 at x = -1. `y` is 1 + x.
#[inline(always)]
pub(super) fn excess(y: f64, x: f64) -> f64 {
    let (exponent, mantissa) = split(y);
    let near = exponent == 0.0;
    // Chosen before the division, which takes longest of all.
    let (above, below) = if near { (x, 2.0 + x) } else { (mantissa - 1.0, mantissa + 1.0) };
    let s = above / below;
    let square = s * s;
    let rest = 2.0 * s * square * series(square);
    let far = y * (exponent * LN_2[0] + (2.0 * s + rest + exponent * LN_2[1])) - x;
    // 2 s (1 + x) - x is x² / (2 + x): nothing cancels.
    let value = if near { x * s + y * rest } else { far };
    if y > 0.0 { value } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_the_library() {
        for k in -20_000..20_000 {
            let y = (f64::from(k) / 1000.0 * 1.37).exp();
            let (found, expected) = (ln(y), y.ln());
            assert!((found - expected).abs() <= 4e-16 * expected.abs().max(1e-3), "{y} {found}");
            let x = y - 1.0;
            if x.abs() < 0.5 {
                assert!((ln_1p(y, x) / x.ln_1p() - 1.0).abs() < 1e-15 || x == 0.0, "{x}");
            }
        }
    }

    #[test]
    fn the_excess_keeps_its_digits() {
        for x in [1e-12, 1e-8, 1e-4, 1e-3_f64] {
            for x in [x, -x] {
                let expected = x * x / 2.0 - x * x * x / 6.0 + x.powi(4) / 12.0 - x.powi(5) / 20.0;
                assert!((excess(1.0 + x, x) / expected - 1.0).abs() < 1e-13, "{x}");
            }
        }
        for x in [-0.999, -0.5, -0.3, 0.3, 0.41, 0.42, 1.0, 10.0, 1e6_f64] {
            let expected = (1.0 + x) * x.ln_1p() - x;
            assert!((excess(1.0 + x, x) / expected - 1.0).abs() < 1e-14, "{x}");
        }
        let ends = [excess(0.0, -1.0), excess(1.0, 0.0)].map(f64::to_bits);
        assert_eq!(ends, [1.0, 0.0].map(f64::to_bits));
    }
}
