//! The law of the NDCG of a uniformly random functional order.
//!
//! `S = Σ_r w_r d(π_r)`, where `w_r` is the gain of semantic rank r over the ideal, `d` the discount
//! of a position and `π_r` the position that a random order gives the neighbour of rank r: distinct
//! positions, uniform among the candidates. The law is a mixture of steps, as the nearest neighbour
//! alone decides half of an unusually high score, so normal and saddlepoint approximations fail.
//!
//! Three methods share the work, each where it is best:
//!
//! - up to [`MOST_ENUMERATED`] candidates, all orders;
//! - the convolution of the neighbours' laws as if they were independent, from
//!   [`FEWEST_CONVOLVED`] candidates on and down to [`LEAST_CONVOLVED`];
//! - below that, importance sampling of distinct positions.

mod convolution;
mod enumeration;
mod sampling;

use crate::context::Context;
use crate::error::Result;
use crate::metrics::ndcg::Scale;

/// Candidates whose orders are all enumerated: 8! = 40,320.
const MOST_ENUMERATED: usize = 8;
/// Candidates from which independent positions are within 4 % of distinct ones.
const FEWEST_CONVOLVED: usize = 4096;
/// Candidates from which only the first ranks are sampled.
const FEWEST_SPLIT: usize = 1024;
/// Survival down to which the convolution is used.
const LEAST_CONVOLVED: f64 = 1e-4;
/// Least survival that is told apart.
const FLOOR: f64 = 1e-9;

/// A survival function by points, between which it is to be interpolated linearly.
#[derive(Debug, Clone, PartialEq)]
pub struct Law {
    /// Scores, ascending from 0.
    pub grid: Vec<f64>,
    /// Probability that a random order scores at least as much: falls from 1, at least 1e-9.
    pub survival: Vec<f64>,
}

/// The weights of the semantic ranks and the discounts of the positions.
struct Terms {
    n_candidates: usize,
    /// Gain over the ideal, by semantic rank; falling.
    weights: Vec<f64>,
    /// Discount by position; 0 at all positions beyond.
    discounts: Vec<f64>,
}

/// Survival function of the NDCG of a uniformly random functional order of `n_candidates`.
///
/// Sampling starts from a fixed seed, so the same arguments give the same bits.
///
/// # Errors
/// As [`Scale::new`]; [`crate::Error::Interrupted`].
pub fn chance_law(n_candidates: u32, top_n: usize, base: f64, context: &Context) -> Result<Law> {
    let n_candidates = n_candidates as usize;
    let scale = Scale::new(top_n, base, n_candidates)?;
    let ideal = scale.ideal(scale.gains().len());
    let terms = Terms {
        n_candidates,
        weights: scale.gains().iter().map(|gain| gain / ideal).collect(),
        discounts: scale.discounts().to_vec(),
    };
    context.run(|| {
        let (grid, survival) = if n_candidates <= MOST_ENUMERATED {
            enumeration::survival(&terms)
        } else {
            let independent = convolution::survival(&terms, context)?;
            let survival = sampling::refine(&terms, independent, context)?;
            ((0..survival.len()).map(convolution::score).collect(), survival)
        };
        Ok(Law { grid, survival: falling(survival) })
    })
}

/// Take the least survival so far, from 1 to the floor.
fn falling(mut survival: Vec<f64>) -> Vec<f64> {
    let mut least = 1.0_f64;
    for (k, value) in survival.iter_mut().enumerate() {
        least = if k == 0 { 1.0 } else { least.min(value.max(FLOOR)) };
        *value = least;
    }
    survival
}

#[cfg(test)]
mod tests;
