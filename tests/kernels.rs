//! Each instruction set of this CPU against plain loops.

use proptest::prelude::*;
use sfal::cooccurrence::tile::{count_tile, mirror};
use sfal::occurrences::bits::Block;
use sfal::simd::Isa;
use sfal::simd::gemm::{COLS, ROWS, multiply};
use sfal::simd::line::LINE_WINDOWS;
use sfal::simd::threshold::{CHUNK, above_f32, above_f64};

const SIDE: usize = 16;

fn block(n_features: usize, n_windows: usize, words: &[u64]) -> Block {
    let mut block = Block::zeros(n_features, n_windows);
    for feature in 0..n_features {
        for window in 0..n_windows {
            let word = words[(feature * 31 + window / 64) % words.len()];
            if word.rotate_left(feature as u32) >> (window % 64) & 1 == 1 {
                block.set(feature, window);
            }
        }
    }
    block
}

fn shared(block: &Block, i: usize, j: usize) -> u32 {
    let (i, j) = (block.row(i), block.row(j));
    let words = i.iter().flat_map(|line| line.0).zip(j.iter().flat_map(|line| line.0));
    words.map(|(i, j)| (i & j).count_ones()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_sets_count_the_same_pairs(
        n_features in 1..14_usize,
        n_windows in (1..4_usize, 0..2_usize).prop_map(|(n, odd)| n * 17 * LINE_WINDOWS / 2 - odd),
        words in prop::collection::vec(prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)], 1..9),
    ) {
        let block = block(n_features, n_windows, &words);
        for isa in Isa::available() {
            let mut whole = vec![7; SIDE * SIDE];
            count_tile(isa, (&block, 0..n_features), (&block, 0..n_features), &mut whole, SIDE);
            mirror(&mut whole, n_features, SIDE);
            for i in 0..n_features {
                for j in 0..n_features {
                    let expected = 7 + shared(&block, i, j);
                    prop_assert_eq!(whole[i * SIDE + j], expected, "{} {} {}", isa.name(), i, j);
                }
            }
            if n_features > 4 {
                let mut part = vec![0; SIDE * SIDE];
                count_tile(isa, (&block, 4..n_features), (&block, 0..4), &mut part, SIDE);
                for i in 4..n_features {
                    for j in 0..4 {
                        prop_assert_eq!(part[(i - 4) * SIDE + j], shared(&block, i, j));
                    }
                }
            }
        }
    }

    #[test]
    fn products_are_sums_over_the_components(
        depth in 0..40_usize,
        seeds in prop::collection::vec(-9..9_i8, 7),
    ) {
        let component = |k: usize| f32::from(seeds[k % 7]) + (k % 5) as f32 / 4.0;
        let a: Vec<f32> = (0..depth * ROWS).map(component).collect();
        let b: Vec<f32> = (0..depth * COLS).map(|k| component(k + 3)).collect();
        for isa in Isa::available() {
            let mut out = [[1.0; COLS]; ROWS];
            multiply(isa, &a, &b, &mut out);
            for (i, row) in out.iter().enumerate() {
                for (j, &product) in row.iter().enumerate() {
                    // All terms are small multiples of 1/16, so no order of summation rounds.
                    let expected = (0..depth).map(|k| a[k * ROWS + i] * b[k * COLS + j]).sum::<f32>();
                    prop_assert!((product - 1.0 - expected).abs() < 1e-6, "{}", isa.name());
                }
            }
        }
    }

    #[test]
    fn all_sets_find_the_same_values(
        values in prop::collection::vec(prop_oneof![any::<f64>(), Just(0.0), Just(-0.0), Just(f64::NAN)], CHUNK),
        bound in prop_oneof![any::<f64>(), Just(0.0), Just(f64::NEG_INFINITY)],
    ) {
        let double: [f64; CHUNK] = values.try_into().unwrap();
        let single = double.map(|v| v as f32);
        for isa in Isa::available() {
            let (mask, finite) = above_f64(isa, &double, &[bound; CHUNK]);
            let (mask32, finite32) = above_f32(isa, &single, &[bound as f32; CHUNK]);
            for k in 0..CHUNK {
                prop_assert_eq!(mask >> k & 1 == 1, double[k] >= bound);
                prop_assert_eq!(mask32 >> k & 1 == 1, single[k] >= bound as f32);
            }
            prop_assert_eq!(finite, double.iter().all(|v| v.is_finite()));
            prop_assert_eq!(finite32, single.iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
fn the_portable_set_is_always_available_and_one_set_is_active() {
    let sets = Isa::available();
    assert_eq!(sets[0].name(), "portable");
    assert!(sets.contains(&Isa::active()));
}
