//! Hostile values: refused, or answered correctly, and never a panic.

use std::sync::Arc;

use proptest::prelude::*;
use sfal::neighbours::entry::{Double, Single};
use sfal::{Bytes, Context, Histogram, Measure, Occurrences, ndcg, neighbours};

/// Counts at an offset in memory, possibly unaligned.
struct At(Vec<u8>, usize);

impl At {
    fn new(counts: &[u32], offset: usize) -> Self {
        let mut bytes = vec![0; offset];
        bytes.extend(counts.iter().flat_map(|count| count.to_ne_bytes()));
        Self(bytes, offset)
    }
}

impl Bytes for At {
    fn bytes(&self) -> &[u8] {
        &self.0[self.1..]
    }
}

/// Square counts, symmetric or not, of plausible size or not.
fn counts() -> impl Strategy<Value = (usize, Vec<u32>)> {
    let count = prop_oneof![8 => 0..4_u32, 1 => Just(u32::MAX), 1 => any::<u32>()];
    (1..9_usize, any::<bool>(), prop::collection::vec(count, 64)).prop_map(
        |(n, symmetric, values)| {
            let at = |i: usize, j: usize| match symmetric {
                true if i == j => values[i * 8 + i].max(4),
                true => values[i.min(j) * 8 + i.max(j)],
                false => values[i * 8 + j],
            };
            (n, (0..n * n).map(|k| at(k / n, k % n)).collect())
        },
    )
}

fn possible(counts: &[u32], n: usize, n_windows: u64) -> bool {
    let at = |i: usize, j: usize| counts[i * n + j];
    (0..n).all(|i| {
        u64::from(at(i, i)) <= n_windows
            && (0..n).all(|j| at(i, j) == at(j, i) && at(i, j) <= at(i, i).min(at(j, j)))
    })
}

fn float() -> impl Strategy<Value = f32> {
    prop_oneof![
        20 => -2.0..2.0_f32,
        2 => prop::sample::select(vec![0.0, -0.0, f32::MAX, f32::MIN, 1e-45, -1e-45, 3e38]),
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
    ]
}

fn set(n_windows: usize) -> Occurrences {
    let indptr: Vec<i64> = (0..=n_windows as i64).collect();
    let indices: Vec<u32> = (0..n_windows as u32).map(|window| window % 5).collect();
    let mut set = Occurrences::new(5).unwrap();
    set.extend(&indptr, &indices, &Context::default()).unwrap();
    set
}

fn index() -> impl Strategy<Value = i64> {
    prop_oneof![9 => -2..70_i64, 1 => any::<i64>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn possible_counts_are_accepted_and_others_refused(
        (n, counts) in counts(),
        n_windows in prop_oneof![0..9_u64, Just(u64::from(u32::MAX)), any::<u64>()],
        offset in 0..4_usize,
    ) {
        let context = Context::default();
        let good = possible(&counts, n, n_windows) && u32::try_from(n_windows).is_ok();
        let bytes = Arc::new(At::new(&counts, offset));
        let phi = sfal::measures::phi(bytes.bytes(), n, n_windows, &context);
        prop_assert_eq!(phi.is_ok(), good);
        let checked = Histogram::from_counts(bytes.clone(), n, n_windows, &context);
        prop_assert_eq!(checked.is_ok(), good);
        // Deferred counts are refused by the first call that reads them.
        if let Ok(deferred) = Histogram::from_counts_deferred(bytes, n, n_windows) {
            let top = neighbours::functional_from_counts(
                &deferred, 3, Measure::Phi, None, None, &context,
            );
            prop_assert_eq!(top.is_ok(), good);
        }
        if let Ok(phi) = phi {
            prop_assert!(phi.iter().all(|phi| (-1.0..=1.0).contains(phi)));
        }
    }

    #[test]
    fn rows_of_any_floats_are_ranked_or_refused(
        n in 1..8_usize,
        values in prop::collection::vec(float(), 56),
        row_start in 0..9_usize,
        top_n in prop_oneof![0..9_usize, Just(usize::MAX)],
    ) {
        let n_rows = values.len() / n;
        let similarity = &values[..n_rows * n];
        let fits = row_start + n_rows <= n && top_n > 0;
        let finite = (0..n_rows * n).all(|k| k / n + row_start == k % n || similarity[k].is_finite());
        let context = Context::default();
        let found = neighbours::top::<Single>(similarity, n_rows, n, top_n, row_start, &context);
        prop_assert_eq!(found.is_ok(), fits && (finite || n == 1));
        let wide: Vec<f64> = similarity.iter().map(|&value| value.into()).collect();
        let same = neighbours::top::<Double>(&wide, n_rows, n, top_n, row_start, &context);
        prop_assert_eq!(found.map(|top| top.indices).ok(), same.map(|top| top.indices).ok());
    }

    #[test]
    fn vectors_of_any_floats_have_cosines_or_are_refused(
        dim in 0..6_usize,
        values in prop::collection::vec(float(), 40),
        top_n in 1..9_usize,
        rows in prop::option::of(prop::collection::vec(0..9_u32, 0..12)),
    ) {
        let n = values.len().checked_div(dim).unwrap_or(5);
        let vectors = &values[..n * dim];
        let known = rows.iter().flatten().all(|&row| (row as usize) < n);
        let found =
            neighbours::semantic(vectors, n, dim, top_n, rows.as_deref(), None, &Context::default());
        prop_assert_eq!(found.is_ok(), known && vectors.iter().all(|value| value.is_finite()));
        if let Ok(found) = found {
            prop_assert!(found.values.iter().all(|cosine| cosine.abs() <= 1.0 + 1e-5));
        }
    }

    #[test]
    fn lists_of_any_features_have_a_score(
        lists in prop::collection::vec(prop_oneof![0..9_u32, any::<u32>()], 0..48),
        n_rows in 0..5_usize,
        top_n in 1..40_usize,
        base in prop_oneof![Just(1.1), 0.0..4.0_f64, Just(f64::NAN), Just(f64::INFINITY)],
    ) {
        let both = &lists[..lists.len() / 2 / n_rows.max(1) * n_rows];
        let scores = ndcg::ranked(both, both, n_rows, top_n, base, &Context::default());
        prop_assert_eq!(scores.is_ok(), base > 1.0 && base.is_finite());
        for score in scores.unwrap_or_default() {
            prop_assert!(score.is_nan() || score >= 0.0);
        }
    }

    #[test]
    fn existing_windows_are_selected_and_others_refused(
        n_windows in 1..64_usize,
        chosen in prop::collection::vec(index(), 0..40),
    ) {
        let set = set(n_windows);
        let context = Context::default();
        let all = chosen.iter().all(|&window| (0..n_windows as i64).contains(&window));
        prop_assert_eq!(set.select(&chosen, &context).is_ok(), all);
        let rising = chosen.windows(2).all(|pair| pair[0] < pair[1]);
        let runs = all && rising && chosen.first() == Some(&0);
        prop_assert_eq!(set.coarsen(&chosen, &context).is_ok(), runs);
        for pair in chosen.windows(2) {
            let (start, stop) = (pair[0] as usize, pair[1] as usize);
            let there = start <= stop && stop <= n_windows;
            prop_assert_eq!(set.rows(start, stop, &context).is_ok(), there);
        }
    }

    #[test]
    fn existing_features_are_ranked_and_others_refused(picked in prop::collection::vec(0..8_u32, 0..12)) {
        let set = set(40);
        let there = picked.iter().all(|&feature| feature < 5);
        for (rows, candidates) in [(Some(&picked[..]), None), (None, Some(&picked[..]))] {
            let context = Context::default();
            let top = neighbours::functional(&set, 3, Measure::Phi, rows, candidates, &context);
            prop_assert_eq!(top.is_ok(), there);
        }
    }
}
