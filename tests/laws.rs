//! The crate against simple loops.

use proptest::prelude::*;
use sfal::{Context, Histogram, Measure, Occurrences, neighbours};

const FEATURES: usize = 9;

fn windows() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let window = prop::collection::btree_set(0..FEATURES as u32, 0..FEATURES);
    prop::collection::vec(window.prop_map(|w| w.into_iter().collect()), 0..1200)
}

fn csr(windows: &[Vec<u32>]) -> (Vec<i64>, Vec<u32>) {
    let mut indptr = vec![0];
    let mut indices = Vec::new();
    for window in windows {
        indices.extend(window);
        indptr.push(indices.len() as i64);
    }
    (indptr, indices)
}

fn occurrences(windows: &[Vec<u32>]) -> Occurrences {
    let (indptr, indices) = csr(windows);
    let mut set = Occurrences::new(FEATURES).unwrap();
    set.extend(&indptr, &indices, &Context::default()).unwrap();
    set
}

fn loops(windows: &[Vec<u32>]) -> Vec<u32> {
    let mut counts = vec![0; FEATURES * FEATURES];
    for window in windows {
        for &i in window {
            for &j in window {
                counts[i as usize * FEATURES + j as usize] += 1;
            }
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counting_equals_the_loops(windows in windows()) {
        let counted = occurrences(&windows).histogram(&Context::default()).unwrap();
        prop_assert_eq!(counted, loops(&windows));
    }

    #[test]
    fn parts_merge_to_the_whole(windows in windows(), cut in 0.0..1.0) {
        let (head, tail) = windows.split_at((cut * windows.len() as f64) as usize);
        let mut merged = occurrences(head);
        merged.merge(&occurrences(tail), &Context::default()).unwrap();
        prop_assert_eq!(merged.rows(0, windows.len(), &Context::default()).unwrap(), csr(&windows));

        let mut sum = Histogram::new(FEATURES, &Context::default()).unwrap();
        for part in [head, tail] {
            sum.update(&occurrences(part), &Context::default()).unwrap();
        }
        prop_assert_eq!(sum.to_dense(&Context::default()).unwrap(), loops(&windows));
    }

    #[test]
    fn joining_single_windows_or_selecting_all_changes_nothing(windows in windows()) {
        let all: Vec<i64> = (0..windows.len() as i64).collect();
        let set = occurrences(&windows);
        for same in [set.coarsen(&all, &Context::default()), set.select(&all, &Context::default())] {
            prop_assert_eq!(same.unwrap().rows(0, windows.len(), &Context::default()).unwrap(), csr(&windows));
        }
    }

    #[test]
    fn neighbours_descend_in_phi_and_ascend_in_index(windows in windows(), top_n in 1..12_usize) {
        let set = occurrences(&windows);
        let top = neighbours::functional(&set, top_n, Measure::Phi, None, None, &Context::default());
        let top = top.unwrap();
        let counts = loops(&windows);
        let bytes: Vec<u8> = counts.iter().flat_map(|c| c.to_ne_bytes()).collect();
        let n = windows.len() as u64;
        let phi = sfal::measures::phi(&bytes, FEATURES, n, &Context::default()).unwrap();
        for (i, (row, found)) in phi.chunks(FEATURES).zip(top.indices.chunks(top.width)).enumerate() {
            let mut order: Vec<usize> = (0..FEATURES).filter(|&j| j != i).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            let expected: Vec<u32> = order.iter().take(top_n).map(|&j| j as u32).collect();
            prop_assert_eq!(found, &expected[..]);
        }
    }

    #[test]
    fn a_batch_is_appended_whole_or_not_at_all(
        indptr in prop::collection::vec(-2..9_i64, 0..6),
        indices in prop::collection::vec(0..11_u32, 0..8),
    ) {
        let mut set = occurrences(&[vec![1]]);
        let appended = set.extend(&indptr, &indices, &Context::default()).is_ok();
        let expected = if appended { indptr.len() } else { 1 };
        prop_assert_eq!(set.n_windows(), expected);
        let read = set.rows(1, expected, &Context::default()).unwrap();
        prop_assert_eq!(read, if appended { (indptr, indices) } else { (vec![0], vec![]) });
    }
}
