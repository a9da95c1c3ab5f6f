//! NDCG under ties: the mean over all orders of features that tie.
//!
//! Both orders are taken as uniformly random and independent, so that the mean of a product of
//! gain and discount is the product of their means, each over the ranks of a feature's tie class.

use rayon::prelude::*;

use crate::context::Context;
use crate::error::Result;
use crate::metrics::feature_map::FeatureMap;
use crate::metrics::ndcg::Scale;
use crate::neighbours::row_ties::{List, Lists};

/// A weight by rank, and its mean over the ranks of tie classes.
pub(crate) struct Averages {
    weights: Vec<f64>,
    /// Sum of the weights from each rank on. Gains fall so fast that the difference of sums from
    /// the front would lose all digits of the later ones.
    sums: Vec<f64>,
}

impl Averages {
    pub(crate) fn new(weights: Vec<f64>) -> Self {
        let mut sums = vec![0.0; weights.len() + 1];
        for (rank, weight) in weights.iter().enumerate().rev() {
            sums[rank] = sums[rank + 1] + weight;
        }
        Self { weights, sums }
    }

    /// The mean weight of each listed feature up to the first that is 0, and that of the features
    /// beyond the list.
    pub(crate) fn of<'a>(&'a self, list: List<'_>, scratch: &'a mut Vec<f64>) -> (&'a [f64], f64) {
        let n = list.features.len();
        if list.ties.is_none() {
            return (&self.weights[..self.weights.len().min(n)], 0.0);
        }
        scratch.clear();
        let mut beyond = 0.0;
        while scratch.len() < n.min(self.weights.len()) {
            let start = scratch.len();
            let (listed, end) = list.class_ends(start);
            let mean = if end == start + 1 {
                self.weights[start]
            } else {
                let sum = self.sums[start] - self.sums[end.min(self.weights.len())];
                sum / (end - start) as f64
            };
            scratch.resize(listed, mean);
            if end > n {
                beyond = mean;
            }
        }
        (scratch, beyond)
    }
}

/// A list's features with their mean weights, those beyond the list last.
pub(crate) fn weighted<'a>(
    list: List<'a>,
    (weights, beyond): (&'a [f64], f64),
) -> impl DoubleEndedIterator<Item = (u32, f64)> {
    let listed = list.features.iter().copied().zip(weights.iter().copied());
    let others = if beyond > 0.0 { list.beyond() } else { &[] };
    listed.chain(others.iter().map(move |&feature| (feature, beyond)))
}

/// Sum over all features of a functional weight times a semantic one, both averaged over ties: one
/// sum a row.
///
/// # Errors
/// [`crate::Error::Memory`]; [`crate::Error::Interrupted`].
pub(crate) fn products(
    (functional, functional_weights): (Lists<'_>, &Averages),
    (semantic, semantic_weights): (Lists<'_>, &Averages),
    context: &Context,
) -> Result<Vec<f64>> {
    let n_rows = functional.n_rows;
    context.check_memory("the scores", 8 * n_rows as u128, "score fewer rows at a time")?;
    context.run(|| {
        let beyond = semantic.ties.iter().flatten().filter_map(|ties| ties.beyond.last());
        let largest = semantic.indices.par_iter().max().copied().max(beyond.max().copied());
        (0..n_rows)
            .into_par_iter()
            .map_init(
                || (FeatureMap::new(largest.unwrap_or(0) as usize), Vec::new(), Vec::new()),
                |(gain_of, semantic_means, functional_means), row| {
                    context.proceed()?;
                    let list = semantic.row(row);
                    let means = semantic_weights.of(list, semantic_means);
                    gain_of.set(weighted(list, means));
                    let other = functional.row(row);
                    let sum = weighted(other, functional_weights.of(other, functional_means))
                        .map(|(feature, weight)| gain_of.get(feature) * weight)
                        .sum();
                    gain_of.clear(weighted(list, means).map(|(feature, _)| feature));
                    Ok(sum)
                },
            )
            .collect()
    })
}

/// NDCG of each row, averaged over ties.
///
/// # Errors
/// As [`crate::ndcg::ranked`].
pub fn ndcg(
    functional: Lists<'_>,
    semantic: Lists<'_>,
    top_n: usize,
    base: f64,
    context: &Context,
) -> Result<Vec<f64>> {
    let scale = Scale::new(top_n, base, functional.width.max(semantic.width))?;
    let ideal = scale.ideal(semantic.width.min(top_n));
    let discounts = Averages::new(scale.discounts().to_vec());
    let gains = Averages::new(scale.gains().to_vec());
    let mut scores = products((functional, &discounts), (semantic, &gains), context)?;
    for score in &mut scores {
        *score = if ideal == 0.0 { f64::NAN } else { *score / ideal };
    }
    Ok(scores)
}
