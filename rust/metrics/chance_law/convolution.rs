//! The law as if each neighbour's position were independent of the others'.

use super::Terms;
use crate::context::Context;
use crate::error::Result;
use crate::simd::{Isa, per_isa};

/// Cells from a score of 0 to 1.
const CELLS: usize = 1 << 15;
/// Mass of cells that are left out at the end of a law: far below what is told apart.
const NEGLIGIBLE: f64 = 1e-16;

/// Score at a cell.
pub(super) fn score(cell: usize) -> f64 {
    cell as f64 / CELLS as f64
}

/// Cell of a score; sums of the same terms may differ in their last digits.
pub(super) fn cell_of(score: f64) -> usize {
    (((score + 1e-9) * CELLS as f64) as usize).min(CELLS)
}

/// Probability of each cell for what neighbours from semantic rank `first` on add to a score.
///
/// A neighbour's law is spread over the cells so that its mean stays; the one of least weight comes
/// first, as the sum then covers few cells for longest.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(super) fn masses(terms: &Terms, first: usize, context: &Context) -> Result<Vec<f64>> {
    let isa = Isa::active();
    let mut law = vec![0.0; CELLS + 1];
    let mut sum = vec![0.0; CELLS + 1];
    (law[0], sum[0]) = (1.0, 1.0);
    let mut covered = 1;
    for &weight in terms.weights[first..].iter().rev() {
        context.proceed()?;
        let cells = cells(terms, weight);
        let end = (covered + cells.last().map_or(0, |cell| cell.0)).min(CELLS + 1);
        sum[..end].fill(0.0);
        for &(shift, mass) in &cells {
            if shift < end {
                let n = covered.min(end - shift);
                add_scaled(isa, mass, &law[..n], &mut sum[shift..shift + n]);
            }
        }
        (law, sum) = (sum, law);
        covered = end;
    }
    Ok(law)
}

/// Probability of a sum in each cell, of two independent terms.
pub(super) fn convolve(one: &[f64], other: &[f64]) -> Vec<f64> {
    let isa = Isa::active();
    let within = |law: &[f64]| law.iter().rposition(|&mass| mass > NEGLIGIBLE).map_or(0, |k| k + 1);
    let (one, other) = (&one[..within(one)], &other[..within(other)]);
    let mut sum = vec![0.0; CELLS + 1];
    for (cell, &mass) in one.iter().enumerate().filter(|&(_, &mass)| mass > 0.0) {
        let n = other.len().min(sum.len() - cell);
        add_scaled(isa, mass, &other[..n], &mut sum[cell..cell + n]);
    }
    sum
}

/// Probability that a score is at least that of each cell, as if all positions were independent.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(super) fn survival(terms: &Terms, context: &Context) -> Result<Vec<f64>> {
    let mut law = masses(terms, 0, context)?;
    let mut above = 0.0;
    for mass in law.iter_mut().rev() {
        // A cell stands for the scores half a cell around it.
        let at_least = above + *mass / 2.0;
        above += *mass;
        *mass = at_least;
    }
    Ok(law)
}

/// The law of one neighbour: cells, ascending, and the mass of each.
fn cells(terms: &Terms, weight: f64) -> Vec<(usize, f64)> {
    let n = terms.n_candidates as f64;
    let mut cells = vec![(0, (n - terms.discounts.len() as f64) / n)];
    let mut add = |cell: usize, mass: f64| match cells.last_mut() {
        Some(last) if last.0 == cell => last.1 += mass,
        _ => cells.push((cell, mass)),
    };
    // Each position's value lies between two cells; the lower cells of all come in order, and the
    // upper ones too.
    let values: Vec<f64> =
        terms.discounts.iter().rev().map(|discount| weight * discount * CELLS as f64).collect();
    for &value in &values {
        add(value as usize, (1.0 - value.fract()) / n);
    }
    let mut upper = Vec::new();
    for &value in &values {
        upper.push((value as usize + 1, value.fract() / n));
    }
    for (cell, mass) in upper {
        match cells.binary_search_by_key(&cell, |&(cell, _)| cell) {
            Ok(at) => cells[at].1 += mass,
            Err(at) => cells.insert(at, (cell, mass)),
        }
    }
    cells
}

per_isa! {
    /// Add `scale` times `values` to `out`.
    pub fn add_scaled(scale: f64, values: &[f64], out: &mut [f64]) = add_scaled_plain
}

#[inline(always)]
fn add_scaled_plain(scale: f64, values: &[f64], out: &mut [f64]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out += scale * value;
    }
}
