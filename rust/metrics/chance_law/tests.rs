use super::*;

fn law(n: u32, top_n: usize, base: f64) -> Law {
    let law = chance_law(n, top_n, base, &Context::default()).unwrap();
    assert_eq!((law.grid[0], law.survival[0]), (0.0, 1.0));
    assert!(law.grid.is_sorted_by(|a, b| a < b));
    assert!(law.survival.is_sorted_by(|a, b| a >= b));
    assert!(law.survival.iter().all(|&p| p >= FLOOR));
    law
}

/// Survival at a score, as a reader of the grid interpolates it.
fn survival(law: &Law, score: f64) -> f64 {
    let right = law.grid.partition_point(|&x| x < score);
    let (a, b) = (right - 1, right.min(law.grid.len() - 1));
    let share = if a == b { 0.0 } else { (score - law.grid[a]) / (law.grid[b] - law.grid[a]) };
    law.survival[a] + share * (law.survival[b] - law.survival[a])
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() < tolerance, "{found}, expected {expected}");
}

#[test]
fn the_law_of_16_384_features() {
    let law = law(16_383, 1023, 1.1);
    for (p, score) in [(0.05, 0.0513), (0.01, 0.0732), (1e-3, 0.1217), (1e-4, 0.2228)] {
        let found = law.grid[law.survival.partition_point(|&survival| survival > p)];
        assert!((found - score).abs() < 1.5e-4, "{p} {found}");
    }
    close(survival(&law, 0.2620), 1e-5, 0.06);
    close(survival(&law, 0.2925), 8.3e-7, 0.05);
    // From 64 times as many samples of another seed.
    close(survival(&law, 0.323_974), 1e-7, 0.05);
    close(survival(&law, 0.363_311), 1e-8, 0.05);
}

#[test]
fn the_law_of_32_768_features() {
    let law = law(32_767, 1023, 1.1);
    for (p, score) in [(0.05, 0.0335), (0.01, 0.0515), (1e-3, 0.0885)] {
        let found = law.grid[law.survival.partition_point(|&survival| survival > p)];
        assert!((found - score).abs() < 1.5e-4, "{p} {found}");
    }
    close(survival(&law, 0.1877), 1e-4, 0.04);
    close(survival(&law, 0.2394), 1e-5, 0.05);
    close(survival(&law, 0.2642), 9.4e-7, 0.05);
    // From 64 times as many samples of another seed.
    close(survival(&law, 0.329_254), 1e-8, 0.05);
}

/// The low side of the law, from 60,000 random orders.
#[test]
fn the_law_of_common_scores() {
    let law = law(1023, 1023, 1.1);
    for (score, expected) in [(0.26, 1.0), (0.2734, 0.9965), (0.29, 0.778), (0.31, 0.3033)] {
        let found = survival(&law, score);
        assert!((found - expected).abs() < 0.006, "{score} {found}");
    }
    assert!(survival(&law, 0.26) > 0.9995);
}

/// Too many orders to list, and so few candidates that only a steep tilt finds the rarest of them.
#[test]
fn the_law_of_few_candidates() {
    let law = law(20, 1023, 1.1);
    // From 64 times as many samples of another seed.
    close(survival(&law, 0.95), 1.854e-3, 0.03);
    close(survival(&law, 0.98), 1.007e-5, 0.05);
    close(survival(&law, 0.99), 1.538e-7, 0.08);
}

#[test]
fn all_orders_of_few_candidates() {
    let five = law(5, 3, 1.1);
    close(survival(&five, 0.913_032), 6.0 / 120.0, 1e-12);
    let seven = law(7, 4, 1.1);
    close(survival(&seven, 0.9), 1.0 / 42.0, 1e-12);
    close(survival(&seven, 0.5), 131.0 / 280.0, 1e-12);
    // The area under a survival function is the mean.
    for (law, mean) in [(five, 0.532_011_143_898), (seven, 0.492_572_211_789)] {
        let points = law.grid.windows(2).zip(law.survival.windows(2));
        let area: f64 = points.map(|(x, p)| (x[1] - x[0]) * (p[0] + p[1]) / 2.0).sum();
        assert!((area - mean).abs() < 1e-6, "{area}");
    }
}

/// Where all orders can still be listed, sampling meets them: also orders so unlikely that their
/// samples were drawn with a tilt.
#[test]
fn sampling_meets_all_orders() {
    for (n, top_n, base) in [(9, 9, 1.1), (9, 4, 2.0), (9, 9, 1.001)] {
        let sampled = law(n, top_n, base);
        let scale = Scale::new(top_n, base, n as usize).unwrap();
        let ideal = scale.ideal(top_n);
        let terms = Terms {
            n_candidates: n as usize,
            weights: scale.gains().iter().map(|gain| gain / ideal).collect(),
            discounts: scale.discounts().to_vec(),
        };
        let (grid, survival_of) = enumeration::survival(&terms);
        let exact = Law { grid, survival: falling(survival_of) };
        for score in [0.3, 0.5, 0.7, 0.8, 0.9, 0.95] {
            let expected = survival(&exact, score);
            if expected > 1e-8 {
                close(survival(&sampled, score), expected, 0.06);
            }
        }
    }
}

#[test]
fn the_mean_is_that_of_chance() {
    for (n, top_n) in [(9, 5), (50, 20), (5_000, 1023)] {
        let law = law(n, top_n, 1.1);
        let points = law.grid.windows(2).zip(law.survival.windows(2));
        let area: f64 = points.map(|(x, p)| (x[1] - x[0]) * (p[0] + p[1]) / 2.0).sum();
        close(area, crate::metrics::ndcg::chance(n, top_n, 1.1).unwrap(), 0.01);
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let on = |n| chance_law(300, 100, 1.1, &Context::with_threads(n)).unwrap();
    assert_eq!(on(1), on(3));
}

#[test]
fn no_candidate_or_one() {
    for n in [0, 1] {
        let law = law(n, 5, 1.1);
        assert!(law.survival.iter().all(|p| p.is_finite()));
    }
}
