//! Windows that two features share: AND, popcount, add.
//!
//! Floor: three operations on 512 bits a pair and line. Two 512-bit operations a cycle at most
//! (AMD Zen 4 splits each in two halves over four units) make 24 cycles for a 4 × 4 tile of one
//! line, 341 bits a cycle: about 1.2 Tbit/s at 3.5 GHz.
//!
//! Rejected: carry-save adders, which save a popcount for two ternary operations each, the same
//! number of instructions; six-bit table look-ups (`vpermb`), 12 % better on paper for a layout
//! that nothing else can read; 64-bit scalar popcounts for AVX2, 0.21 against 0.37 Tbit/s.

use super::per_isa;
use crate::bits::{Line, REGISTER_TILE as T};

/// Features of a register tile.
type Rows<'a> = [&'a [Line]; T];

per_isa! {
    /// Add to `out` the windows shared by each of four features with each of four others. All
    /// eight must be of one length.
    pub fn count_4x4(a: Rows<'_>, b: Rows<'_>, out: &mut [[u32; T]; T]) = plain; portable = plain; avx2 = bytes
}

#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn plain(a: Rows<'_>, b: Rows<'_>, out: &mut [[u32; T]; T]) {
    let n = a[0].len();
    let (a, b) = (a.map(|row| &row[..n]), b.map(|row| &row[..n]));
    let mut sums = [[[0_u64; 8]; T]; T];
    for k in 0..n {
        for i in 0..T {
            for j in 0..T {
                for (lane, sum) in sums[i][j].iter_mut().enumerate() {
                    // Wrapping, as nothing can overflow and the check would undo the vectors.
                    let both = a[i][k].0[lane] & b[j][k].0[lane];
                    *sum = sum.wrapping_add(u64::from(both.count_ones()));
                }
            }
        }
    }
    for (out, sums) in out.iter_mut().flatten().zip(sums.iter().flatten()) {
        *out += sums.iter().fold(0, |sum: u64, &lane| sum.wrapping_add(lane)) as u32;
    }
}

/// Four-bit look-ups, added as bytes for as long as these cannot overflow: AVX2 has no popcount,
/// and what the compiler makes of the plain loop is half as fast.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
#[allow(clippy::needless_range_loop)]
fn bytes(a: Rows<'_>, b: Rows<'_>, out: &mut [[u32; T]; T]) {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256, _mm256_extract_epi64,
        _mm256_sad_epu8, _mm256_set1_epi8, _mm256_setr_epi8, _mm256_setr_epi64x,
        _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    };
    /// 15 lines add 15 × 2 × 8 = 240 to a byte at most.
    const RUN: usize = 15;

    let ones = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3,
        3, 4,
    );
    let (low, zero) = (_mm256_set1_epi8(15), _mm256_setzero_si256());
    let half = |line: &Line, h: usize| -> __m256i {
        let w = |k: usize| line.0[h * 4 + k] as i64;
        _mm256_setr_epi64x(w(0), w(1), w(2), w(3))
    };
    let n = a[0].len();
    let (a, b) = (a.map(|row| &row[..n]), b.map(|row| &row[..n]));
    // 2 × 2 of the 4 × 4 at a time: there are 16 registers.
    for (i0, j0) in [(0, 0), (0, 2), (2, 0), (2, 2)] {
        let mut sums = [[zero; 2]; 2];
        for start in (0..n).step_by(RUN) {
            let mut runs = [[zero; 2]; 2];
            for k in start..(start + RUN).min(n) {
                for h in 0..2 {
                    let x = [half(&a[i0][k], h), half(&a[i0 + 1][k], h)];
                    let y = [half(&b[j0][k], h), half(&b[j0 + 1][k], h)];
                    for i in 0..2 {
                        for j in 0..2 {
                            let both = _mm256_and_si256(x[i], y[j]);
                            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(both), low);
                            let both = _mm256_add_epi8(
                                _mm256_shuffle_epi8(ones, _mm256_and_si256(both, low)),
                                _mm256_shuffle_epi8(ones, high),
                            );
                            runs[i][j] = _mm256_add_epi8(runs[i][j], both);
                        }
                    }
                }
            }
            for i in 0..2 {
                for j in 0..2 {
                    let run = _mm256_sad_epu8(runs[i][j], zero);
                    sums[i][j] = _mm256_add_epi64(sums[i][j], run);
                }
            }
        }
        for i in 0..2 {
            for j in 0..2 {
                let s = sums[i][j];
                let sum = _mm256_extract_epi64::<0>(s)
                    + _mm256_extract_epi64::<1>(s)
                    + _mm256_extract_epi64::<2>(s)
                    + _mm256_extract_epi64::<3>(s);
                out[i0 + i][j0 + j] += sum as u32;
            }
        }
    }
}
