//! NDCG with exponential gains: how well one ranking predicts another.

use rayon::prelude::*;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::metrics::feature_map::FeatureMap;

/// Gains and discounts by rank.
#[derive(Debug)]
pub struct Scale {
    gains: Vec<f64>,
    discounts: Vec<f64>,
}

impl Scale {
    /// Compute gains `base^(top_n - r) - 1` and discounts `1 / log2(r + 2)` for `width` ranks.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `base` exceeds 1 and all gains are finite, or for `top_n` 0.
    pub fn new(top_n: usize, base: f64, width: usize) -> Result<Self> {
        check_scale(top_n, base)?;
        let width = width.min(top_n);
        Ok(Self {
            gains: (0..width).map(|rank| gain(base, top_n, rank)).collect(),
            discounts: (0..width).map(discount).collect(),
        })
    }

    /// Gains by semantic rank.
    pub(crate) fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// Discounts by functional rank.
    pub(crate) fn discounts(&self) -> &[f64] {
        &self.discounts
    }

    /// What the first `n` semantic neighbours collect in their own order.
    pub(crate) fn ideal(&self, n: usize) -> f64 {
        self.gains.iter().zip(&self.discounts).take(n).map(|(g, d)| g * d).sum()
    }
}

fn gain(base: f64, top_n: usize, rank: usize) -> f64 {
    base.powf((top_n - rank) as f64) - 1.0
}

fn discount(rank: usize) -> f64 {
    1.0 / ((rank + 2) as f64).log2()
}

fn check_scale(top_n: usize, base: f64) -> Result<()> {
    if top_n == 0 {
        return Err(Error::argument("top_n", top_n, "at least 1"));
    }
    if !(base > 1.0 && base.is_finite()) {
        return Err(Error::argument("base", base, "a finite number above 1"));
    }
    // The sum of all gains is below base^(top_n + 1) / (base - 1).
    if !(base.powf(top_n as f64 + 1.0) / (base - 1.0)).is_finite() {
        let expected = format!("small enough for the sum of base^1 to base^{top_n} to be finite");
        return Err(Error::argument("base", base, expected));
    }
    Ok(())
}

/// Compute the expected NDCG of a uniformly random order of `n_candidates`.
///
/// It is the mean gain of a candidate times the sum of discounts, divided by the ideal DCG; NaN
/// without candidates.
///
/// # Errors
/// As [`Scale::new`].
pub fn chance(n_candidates: u32, top_n: usize, base: f64) -> Result<f64> {
    check_scale(top_n, base)?;
    let (mut gains, mut discounts, mut ideal) = (0.0, 0.0, 0.0);
    for rank in 0..top_n.min(n_candidates as usize) {
        let (gain, discount) = (gain(base, top_n, rank), discount(rank));
        gains += gain;
        discounts += discount;
        ideal += gain * discount;
    }
    Ok(gains / f64::from(n_candidates) * discounts / ideal)
}

/// Compute the NDCG of each row of `functional`, with gains from the same row of `semantic`.
///
/// Both hold ranked features, `functional.len() / n_rows` and `semantic.len() / n_rows` per row, and
/// are cut to `top_n`. A feature that appears twice in `semantic` has the gain of its first rank.
///
/// # Errors
/// As [`Scale::new`]; [`Error::Memory`]; [`Error::Interrupted`].
pub fn ranked(
    functional: &[u32],
    semantic: &[u32],
    n_rows: usize,
    top_n: usize,
    base: f64,
    context: &Context,
) -> Result<Vec<f64>> {
    if n_rows == 0 {
        Scale::new(top_n, base, 0)?;
        return Ok(Vec::new());
    }
    context.check_memory("the scores", 8 * n_rows as u128, "score fewer rows at a time")?;
    let (width_f, width_s) = (functional.len() / n_rows, semantic.len() / n_rows);
    let scale = Scale::new(top_n, base, width_f.max(width_s))?;
    let row_of = |lists, width, row| ranked_row(lists, width, row, top_n);
    let ideal = scale.ideal(width_s.min(top_n));
    context.run(|| {
        let largest = semantic.par_iter().max().map_or(0, |&feature| feature as usize);
        (0..n_rows)
            .into_par_iter()
            .map_init(
                || FeatureMap::new(largest),
                |gain_of, row| {
                    context.proceed()?;
                    let semantic = row_of(semantic, width_s, row);
                    gain_of.set(semantic.iter().copied().zip(scale.gains.iter().copied()));
                    let dcg: f64 = row_of(functional, width_f, row)
                        .iter()
                        .zip(&scale.discounts)
                        .map(|(&feature, discount)| gain_of.get(feature) * discount)
                        .sum();
                    gain_of.clear(semantic.iter().copied());
                    Ok(if ideal == 0.0 { f64::NAN } else { dcg / ideal })
                },
            )
            .collect()
    })
}

fn ranked_row(lists: &[u32], width: usize, row: usize, top_n: usize) -> &[u32] {
    &lists[row * width..][..width.min(top_n)]
}
