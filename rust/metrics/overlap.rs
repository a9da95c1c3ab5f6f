//! Metrics of two rankings that need no gains: overlap and rank-biased overlap, averaged over ties.

use rayon::prelude::*;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::metrics::feature_map::FeatureMap;
use crate::metrics::ties::{Averages, products};
use crate::neighbours::row_ties::{List, Lists};

/// Share of the first `depth` features that two lists have in common, averaged over ties.
///
/// Lists shorter than `depth` are compared as a whole; NaN where one is empty.
///
/// # Errors
/// [`Error::Argument`] for `depth` 0; [`Error::Memory`]; [`Error::Interrupted`].
pub fn overlap(
    functional: Lists<'_>,
    semantic: Lists<'_>,
    depth: usize,
    context: &Context,
) -> Result<Vec<f64>> {
    if depth == 0 {
        return Err(Error::argument("depth", depth, "at least 1"));
    }
    let depth = depth.min(functional.width).min(semantic.width);
    let is_first = Averages::new(vec![1.0; depth]);
    let mut shares = products((functional, &is_first), (semantic, &is_first), context)?;
    for share in &mut shares {
        *share /= depth as f64;
    }
    Ok(shares)
}

/// Rank-biased overlap of the first `top_n` features of two lists, extrapolated (equation 32 of
/// Webber, Moffat and Zobel, 2010), averaged over ties (variant a of Corsi and Urbano, 2024).
///
/// NaN where a list is empty.
///
/// # Errors
/// [`Error::Argument`] for `top_n` 0 or `persistence` outside 0 to 1; [`Error::Memory`];
/// [`Error::Interrupted`].
pub fn rank_biased_overlap(
    functional: Lists<'_>,
    semantic: Lists<'_>,
    top_n: usize,
    persistence: f64,
    context: &Context,
) -> Result<Vec<f64>> {
    if top_n == 0 {
        return Err(Error::argument("top_n", top_n, "at least 1"));
    }
    if !(persistence > 0.0 && persistence < 1.0) {
        return Err(Error::argument("p", persistence, "between 0 and 1"));
    }
    let n_rows = functional.n_rows;
    context.check_memory("the scores", 8 * n_rows as u128, "score fewer rows at a time")?;
    let depth = top_n.min(functional.width).min(semantic.width);
    let weights = DepthWeights::new(depth, persistence);
    context.run(|| {
        let beyond = semantic.ties.iter().flatten().filter_map(|ties| ties.beyond.last());
        let largest = semantic.indices.par_iter().max().copied().max(beyond.max().copied());
        (0..n_rows)
            .into_par_iter()
            .map_init(
                || (FeatureMap::new(largest.unwrap_or(0) as usize), Vec::new(), Vec::new()),
                |(class_of, semantic_classes, functional_classes), row| {
                    context.proceed()?;
                    let list = semantic.row(row);
                    classes(list, depth, semantic_classes);
                    // Numbers from 1 on, as 0 stands for features of no class.
                    let features: Vec<(u32, u32)> = members(list, semantic_classes)
                        .map(|(feature, _)| feature)
                        .zip(1..)
                        .collect();
                    class_of.set(features.iter().copied());
                    let other = functional.row(row);
                    classes(other, depth, functional_classes);
                    let sum: f64 = members(other, functional_classes)
                        .filter_map(|(feature, class)| {
                            let at = class_of.get(feature).checked_sub(1)?;
                            Some(weights.shared(class, semantic_classes[at as usize]))
                        })
                        .sum();
                    class_of.clear(features.into_iter().map(|(feature, _)| feature));
                    Ok(if depth == 0 { f64::NAN } else { sum })
                },
            )
            .collect()
    })
}

/// A tie class: its first rank and how many features it has.
type Class = (usize, usize);

/// The class of each feature of a list as far as it may stand above rank `depth`, those beyond the
/// list last.
fn classes(list: List<'_>, depth: usize, classes: &mut Vec<Class>) {
    classes.clear();
    while classes.len() < depth {
        let start = classes.len();
        let (listed, end) = list.class_ends(start);
        let listed = if end > list.features.len() { end } else { listed };
        classes.resize(listed, (start, end - start));
    }
}

/// Features and their classes.
fn members<'a>(list: List<'a>, classes: &'a [Class]) -> impl Iterator<Item = (u32, Class)> {
    let features = list.features.iter().chain(list.beyond());
    features.copied().zip(classes.iter().copied())
}

/// What a feature that both lists have among their first d is worth, summed over all depths d.
struct DepthWeights {
    depth: usize,
    /// Sums over the depths from each on of their weight, times the depth to the powers 0, 1, 2.
    sums: Vec<[f64; 3]>,
}

impl DepthWeights {
    fn new(depth: usize, p: f64) -> Self {
        let mut sums = vec![[0.0; 3]; depth + 2];
        for d in (1..=depth).rev() {
            let (at, rank) = (d as f64, i32::try_from(d).unwrap_or(i32::MAX));
            let mut weight = (1.0 - p) / p * p.powi(rank) / at;
            if d == depth {
                weight += p.powi(rank) / at;
            }
            let later = sums[d + 1];
            sums[d] = [later[0] + weight, later[1] + weight * at, later[2] + weight * at * at];
        }
        Self { depth, sums }
    }

    /// The worth of a feature in two classes. Within a class, the probability to be among the first
    /// d rises linearly with d; behind it, it is 1.
    fn shared(&self, a: Class, b: Class) -> f64 {
        let (mut from, mut total) = (a.0.max(b.0), 0.0);
        // Without ties, it is 1 from the later of the two ranks on.
        if a.1 == 1 && b.1 == 1 {
            return self.sums[from + 1][0];
        }
        let ends = [a.0 + a.1, b.0 + b.1];
        for end in [ends[0].min(ends[1]), ends[0].max(ends[1]), self.depth] {
            let end = end.min(self.depth);
            if from < end {
                total += self.between(from + 1, end, a, b);
                from = end;
            }
        }
        total
    }

    /// The same over the depths `first` to `last`, in which neither class begins or ends.
    fn between(&self, first: usize, last: usize, a: Class, b: Class) -> f64 {
        let sum = |power: usize| self.sums[first][power] - self.sums[last + 1][power];
        // The probability as intercept and slope.
        let line = |(start, size): Class| {
            if first > start + size {
                (1.0, 0.0)
            } else {
                (-(start as f64) / size as f64, 1.0 / size as f64)
            }
        };
        let ((a0, a1), (b0, b1)) = (line(a), line(b));
        a0 * b0 * sum(0) + (a0 * b1 + a1 * b0) * sum(1) + a1 * b1 * sum(2)
    }
}
