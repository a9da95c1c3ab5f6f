//! The law of few candidates: all their orders.

use super::Terms;

/// Distance after a step at which the survival has fallen to the next: sums of the same terms in
/// another order differ by less.
const STEP: f64 = 1e-9;

/// Scores and their survival: two points a step, before and after it falls.
pub(super) fn survival(terms: &Terms) -> (Vec<f64>, Vec<f64>) {
    let mut scores = Vec::new();
    let mut is_free = vec![true; terms.n_candidates];
    each_order(terms, 0, 0.0, &mut is_free, &mut scores);
    scores.sort_unstable_by(f64::total_cmp);
    let total = scores.len() as f64;
    let (mut grid, mut survival) = (vec![0.0], vec![1.0]);
    let mut left = &scores[..];
    while let Some(&score) = left.first() {
        if score > 0.0 {
            grid.push(score);
            survival.push(left.len() as f64 / total);
        }
        left = &left[left.partition_point(|&other| other <= score + STEP)..];
        grid.push(score + 2.0 * STEP);
        survival.push(left.len() as f64 / total);
    }
    (grid, survival)
}

/// Put the neighbour of semantic rank `rank` and all later ones at each of the free positions.
fn each_order(terms: &Terms, rank: usize, score: f64, is_free: &mut [bool], scores: &mut Vec<f64>) {
    let Some(weight) = terms.weights.get(rank) else {
        scores.push(score);
        return;
    };
    for position in 0..terms.n_candidates {
        if is_free[position] {
            is_free[position] = false;
            let discount = terms.discounts.get(position).unwrap_or(&0.0);
            each_order(terms, rank + 1, score + weight * discount, is_free, scores);
            is_free[position] = true;
        }
    }
}
