//! Rare scores: importance sampling of distinct positions, one neighbour after the other.
//!
//! Each neighbour's position is drawn from those that are left, with a probability that rises
//! exponentially with what it adds to the score. How steeply, the tilt, is taken in turn from
//! [`TILTS`] values, and a sample's weight is its probability over the mean of those that it has
//! under all of them (the balance heuristic of Veach and Guibas, 1995).
//!
//! Rejected: one tilt for each level of survival. The law has several modes, and a tilt that centres
//! on a score misses the others: its estimates are too small by a tenth, and their own standard
//! error does not show it. Independent positions without those that collide need no sums over used
//! positions, but fail where candidates are few.

use rayon::prelude::*;

use super::convolution::{cell_of, convolve, masses, score};
use super::{FEWEST_CONVOLVED, FEWEST_SPLIT, FLOOR, LEAST_CONVOLVED, Terms};
use crate::context::Context;
use crate::error::Result;

/// Tilts from 0 on, their squares evenly spaced: rare scores need most of the samples.
const TILTS: usize = 8;
/// Samples drawn together from one seed.
const BATCH: usize = 512;
/// Samples of the first ranks; half as many where all ranks are sampled, which takes longer.
const SAMPLES: usize = 1 << 18;
/// The largest tilt in units of that at which independent positions score as the rarest orders do:
/// distinct positions score less.
const BEYOND: f64 = 1.2;
/// Candidates of which distinct positions score so much less that the largest tilt is doubled.
const FEW: f64 = 250.0;
/// Largest mass of a position: sums of masses from which the used ones are subtracted stay exact
/// enough.
const LARGEST_MASS: f64 = 1e9;
/// Tilt times weight from which a rank has a table of masses. Below it, six terms of the
/// exponential series are exact to 2e-6.
const TABLED: f64 = 0.5;
const ORDERS: usize = 6;
/// Draws of used positions after which the unused ones are gone through.
const TRIES: usize = 8;
/// Standard deviation of the ranks that are replaced by their mean.
const NEGLIGIBLE: f64 = 5e-5;

/// Replace the survival `independent` of each cell where it is not good enough.
///
/// Of many candidates only the first ranks are sampled. The others add little each, so that their
/// positions count as independent, and the law of their sum is convolved with that of the samples.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(super) fn refine(
    terms: &Terms,
    mut independent: Vec<f64>,
    context: &Context,
) -> Result<Vec<f64>> {
    let n_varying = varying_ranks(terms);
    let below = |p: f64| independent.partition_point(|&survival| survival >= p);
    let largest = tilt(terms, n_varying, score(below(FLOOR)));
    let n_tabled = terms.weights[..n_varying].partition_point(|weight| weight * largest >= TABLED);
    let convolved = terms.n_candidates >= FEWEST_SPLIT;
    let n_sampled = if convolved { n_tabled } else { n_varying };
    let n_samples = if convolved { SAMPLES } else { SAMPLES / 2 };
    let tilted = Tilted::new(terms, (n_tabled, n_sampled), largest);
    let first = if terms.n_candidates >= FEWEST_CONVOLVED { below(LEAST_CONVOLVED) } else { 0 };
    let batches = (0..(n_samples / BATCH) as u64).into_par_iter().map(|batch| {
        context.proceed()?;
        Ok(tilted.samples(batch))
    });
    let mut law = vec![0.0; independent.len()];
    for (score, weight) in batches.collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        law[cell_of(score)] += weight;
    }
    // The weights add up to the number of samples only on average, and the survival of low scores is
    // close to their sum.
    let total: f64 = law.iter().sum();
    for mass in &mut law {
        *mass /= total;
    }
    if convolved {
        law = convolve(&law, &masses(terms, n_sampled, context)?);
    }
    let mut at_least = 0.0;
    for cell in (first..independent.len()).rev() {
        at_least += law[cell];
        independent[cell] = at_least;
    }
    Ok(independent)
}

/// Ranks that are sampled; those after them hardly vary.
fn varying_ranks(terms: &Terms) -> usize {
    let n = terms.n_candidates as f64;
    let square = terms.discounts.iter().map(|d| d * d).sum::<f64>() / n;
    let mut variance = 0.0;
    let negligible = terms.weights.iter().rev().take_while(|&&weight| {
        variance += weight * weight * square;
        variance < NEGLIGIBLE * NEGLIGIBLE
    });
    terms.weights.len() - negligible.count()
}

/// The tilt at which independent positions have a mean score of `wanted`.
fn tilt(terms: &Terms, n_sampled: usize, wanted: f64) -> f64 {
    let zeros = (terms.n_candidates - terms.discounts.len()) as f64;
    let mean = |tilt: f64| -> f64 {
        let of_rank = |&weight: &f64| {
            let (mut sum, mut total) = (0.0, zeros);
            for discount in &terms.discounts {
                let mass = (tilt * weight * discount).exp();
                sum += weight * discount * mass;
                total += mass;
            }
            sum / total
        };
        terms.weights[..n_sampled].par_iter().map(of_rank).collect::<Vec<_>>().iter().sum()
    };
    let (mut low, mut high) = (0.0, 64.0);
    while mean(high) < wanted && high < 1e4 {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..10 {
        let middle = f64::midpoint(low, high);
        if mean(middle) < wanted { low = middle } else { high = middle }
    }
    let beyond = BEYOND * (1.0 + FEW / terms.n_candidates as f64);
    (beyond * high).min(LARGEST_MASS.ln() / terms.weights[0])
}

/// The distributions that positions are drawn from.
struct Tilted<'a> {
    terms: &'a Terms,
    n_sampled: usize,
    tilts: [f64; TILTS],
    /// Ranks with a table: those before the first whose masses hardly differ.
    n_tabled: usize,
    /// Sums of the discounts to the powers from 1 on, over the factorial.
    moments: [f64; ORDERS],
    /// Mass of each position under each tilt, rank by rank; 1 at all positions beyond.
    masses: Vec<[f64; TILTS]>,
    /// Sums of the masses up to and with each position: rank by rank, tilt by tilt.
    sums: Vec<f64>,
    /// Sums of all masses of each rank.
    totals: Vec<[f64; TILTS]>,
    /// Sum of the weights of the ranks that count by their mean.
    rest: f64,
}

/// What a thread uses again for the next sample.
struct Scratch {
    is_used: Vec<bool>,
    used: Vec<usize>,
}

impl<'a> Tilted<'a> {
    fn new(terms: &'a Terms, (n_tabled, n_sampled): (usize, usize), largest: f64) -> Self {
        let tilts = std::array::from_fn(|k| largest * (k as f64 / (TILTS - 1) as f64).sqrt());
        let sampled = &terms.weights[..n_tabled];
        let mut moments = [0.0; ORDERS];
        terms.discounts.iter().for_each(|&discount| add_powers(discount, &mut moments));
        let mass = |weight: f64, discount: f64| tilts.map(|tilt| (tilt * weight * discount).exp());
        let masses: Vec<[f64; TILTS]> = sampled
            .iter()
            .flat_map(|&weight| terms.discounts.iter().map(move |&d| mass(weight, d)))
            .collect();
        let mut sums = Vec::with_capacity(masses.len() * TILTS);
        let mut totals = Vec::with_capacity(n_tabled);
        for masses in masses.chunks(terms.discounts.len()) {
            totals.push(std::array::from_fn(|tilt| {
                let mut sum = 0.0;
                sums.extend(masses.iter().map(|mass| {
                    sum += mass[tilt];
                    sum
                }));
                sum
            }));
        }
        let rest = if terms.n_candidates < FEWEST_SPLIT {
            terms.weights[n_sampled..].iter().sum()
        } else {
            0.0
        };
        Self { terms, n_sampled, tilts, n_tabled, moments, masses, sums, totals, rest }
    }

    /// Scores and their weights: all under one tilt, whose sums then stay in the cache.
    fn samples(&self, batch: u64) -> Vec<(f64, f64)> {
        let mut random = SplitMix::new(batch);
        let is_used = vec![false; self.terms.discounts.len()];
        let mut scratch = Scratch { is_used, used: Vec::new() };
        let tilt = batch as usize % TILTS;
        (0..BATCH).map(|_| self.sample(tilt, &mut random, &mut scratch)).collect()
    }

    fn sample(&self, tilt: usize, random: &mut SplitMix, scratch: &mut Scratch) -> (f64, f64) {
        let Terms { n_candidates, weights, discounts } = self.terms;
        let Scratch { is_used, used } = scratch;
        let (n, n_first) = (*n_candidates as f64, discounts.len());
        let n_beyond = n - n_first as f64;
        let (mut score, mut beyond_used) = (0.0, 0.0);
        let mut moments = self.moments;
        // How much more mass there is, under each tilt, than where all positions have a mass of 1.
        let mut excess = [1.0; TILTS];
        for (rank, weight) in weights[..self.n_sampled].iter().enumerate() {
            let n_left = n - rank as f64;
            let (left, drawn) = if rank < self.n_tabled {
                let masses = &self.masses[rank * n_first..][..n_first];
                let sums = &self.sums[rank * TILTS * n_first..][..TILTS * n_first];
                let mut left = self.totals[rank].map(|total| total + (n_beyond - beyond_used));
                for &position in &*used {
                    for (left, mass) in left.iter_mut().zip(&masses[position]) {
                        *left -= mass;
                    }
                }
                let sums = &sums[tilt * n_first..][..n_first];
                let beyond = (n_beyond, beyond_used);
                let urn = Urn { masses, sums, tilt, beyond, left: left[tilt] };
                (left, urn.draw(is_used, random))
            } else {
                let steepness = self.tilts.map(|tilt| tilt * weight);
                let left = steepness.map(|x| {
                    n_left + x * moments.iter().rev().fold(0.0, |sum, moment| moment + x * sum)
                });
                let beyond = (n_beyond, beyond_used);
                (left, draw_evenly(discounts, steepness[tilt], beyond, is_used, random))
            };
            for (excess, left) in excess.iter_mut().zip(left) {
                *excess *= left / n_left;
            }
            if let Some(position) = drawn {
                is_used[position] = true;
                used.push(position);
                score += weight * discounts[position];
                let mut powers = [0.0; ORDERS];
                add_powers(discounts[position], &mut powers);
                moments.iter_mut().zip(powers).for_each(|(sum, power)| *sum -= power);
            } else {
                beyond_used += 1.0;
            }
        }
        let likelihood = |(tilt, excess): (&f64, f64)| (tilt * score).exp() / excess;
        let mean = self.tilts.iter().zip(excess).map(likelihood).sum::<f64>() / TILTS as f64;
        let others = n - self.n_sampled as f64;
        if self.rest > 0.0 {
            let taken: f64 = used.iter().map(|&position| discounts[position]).sum();
            score += self.rest * (discounts.iter().sum::<f64>() - taken) / others;
        }
        for position in used.drain(..) {
            is_used[position] = false;
        }
        (score, 1.0 / mean)
    }
}

/// What a rank's position is drawn from.
struct Urn<'a> {
    /// Mass of each position under all tilts, and sums of the masses under the one in turn.
    masses: &'a [[f64; TILTS]],
    sums: &'a [f64],
    tilt: usize,
    /// Positions beyond those that count, and how many of them are used.
    beyond: (f64, f64),
    /// Mass of all unused positions.
    left: f64,
}

impl Urn<'_> {
    /// An unused position, or `None` for one beyond those that count.
    fn draw(&self, is_used: &[bool], random: &mut SplitMix) -> Option<usize> {
        let (beyond, beyond_used) = self.beyond;
        let first = self.sums[self.sums.len() - 1];
        for _ in 0..TRIES {
            let at = random.uniform() * (first + beyond);
            if at < first {
                let position = self.sums.partition_point(|&sum| sum <= at);
                if !is_used[position] {
                    return Some(position);
                }
            } else if random.uniform() * beyond >= beyond_used {
                return None;
            }
        }
        let mut at = random.uniform() * self.left - (beyond - beyond_used);
        let mut last = None;
        for (position, mass) in self.masses.iter().enumerate().filter(|&(p, _)| !is_used[p]) {
            if at < 0.0 {
                break;
            }
            at -= mass[self.tilt];
            last = Some(position);
        }
        last
    }
}

/// An unused position by a mass of `exp(steepness * discount)`, where masses hardly differ.
fn draw_evenly(
    discounts: &[f64],
    steepness: f64,
    (beyond, beyond_used): (f64, f64),
    is_used: &[bool],
    random: &mut SplitMix,
) -> Option<usize> {
    let n = discounts.len() as f64 + beyond;
    loop {
        let at = random.uniform() * n;
        let position = at as usize;
        let discount = discounts.get(position).copied();
        let is_free = match discount {
            Some(_) => !is_used[position],
            None => at - discounts.len() as f64 >= beyond_used,
        };
        // The first discount, 1, is the largest.
        let share = (steepness * (discount.unwrap_or(0.0) - 1.0)).exp();
        if is_free && random.uniform() < share {
            return discount.map(|_| position);
        }
    }
}

/// Add the powers of a discount, from the first on, each over its factorial.
fn add_powers(discount: f64, sums: &mut [f64; ORDERS]) {
    let mut power = 1.0;
    for (order, sum) in sums.iter_mut().enumerate() {
        power *= discount / (order + 1) as f64;
        *sum += power;
    }
}

/// Steele, Lea and Flood's generator: a few instructions, and streams that need no state but a
/// number.
struct SplitMix(u64);

impl SplitMix {
    /// A stream far from those of other seeds: its state begins at a hash of the seed, as streams
    /// that began at multiples of the step would be the same, shifted.
    fn new(seed: u64) -> Self {
        Self(Self(seed).next().rotate_left(32) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
