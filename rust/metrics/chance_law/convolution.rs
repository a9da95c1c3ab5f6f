//! The law as if each neighbour's position were independent of the others'.

use super::Terms;
use crate::context::Context;
use crate::error::Result;
use crate::simd::{Isa, per_isa};

/// Cells from a score of 0 to 1.
const CELLS: usize = 1 << 15;

/// Score at a cell.
pub(super) fn score(cell: usize) -> f64 {
    cell as f64 / CELLS as f64
}

/// Probability that a score is at least that of each cell.
///
/// A neighbour's law is spread over the cells so that its mean stays; the one of least weight comes
/// first, as the sum then covers few cells for longest.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(super) fn survival(terms: &Terms, context: &Context) -> Result<Vec<f64>> {
    let isa = Isa::active();
    let mut law = vec![0.0; CELLS + 1];
    let mut sum = vec![0.0; CELLS + 1];
    (law[0], sum[0]) = (1.0, 1.0);
    let mut covered = 1;
    for &weight in terms.weights.iter().rev() {
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
