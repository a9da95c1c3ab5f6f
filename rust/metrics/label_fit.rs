//! How well every label fits every feature.
//!
//! If features i and j exchanged their labels, the NDCG of i would be
//! `S[i, j] = Σ_f D[i, f] G[j, f] + D[i, j] G[j, i]`: D is the discount of f among i's functional
//! neighbours, G the gain of f among j's semantic ones, over the ideal. The last term is there
//! because the label of i then stands on j.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::metrics::label_gains::LabelGains;
use crate::metrics::label_sums::Fit;
pub use crate::metrics::labels::Labels;
use crate::metrics::labels::{Same, check};
use crate::metrics::ndcg::{Scale, chance};
use crate::metrics::ties::Averages;
use crate::metrics::transposed::{GAIN_ERROR, LEAST_GAIN, transpose};
use crate::neighbours::row_ties::Lists;

/// Most that the gains after the first tier add to a sum.
const FIRST_BOUND: f64 = 0.03;
/// The same after the second tier, in units of what a random order scores.
const SECOND_BOUND: f64 = 0.01;
/// Stands where there is no better label.
pub const NO_LABEL: u32 = u32::MAX;

/// How well labels fit, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelFit {
    /// Labels that fit at least as well as a feature's own, which is counted too.
    pub rank: Vec<u32>,
    /// Mean fit of the other labels.
    pub mean: Vec<f64>,
    /// Features whose labels fit best, `best` a row, as far as they fit better than the own.
    pub better: Vec<u32>,
    /// What the NDCG would be with these labels.
    pub value: Vec<f32>,
}

/// Fit of every label to the features of `functional`; `best` better labels are named.
///
/// # Errors
/// [`Error::Argument`] for a row whose feature has no label and for `labels` that do not rise;
/// [`Error::Mismatch`]; [`Error::Memory`]; [`Error::Interrupted`]; as [`crate::ndcg::ranked`].
pub fn label_fit(
    (functional, semantic): (Lists<'_>, Lists<'_>),
    given: Labels<'_>,
    (top_n, base): (usize, f64),
    best: usize,
    context: &Context,
) -> Result<LabelFit> {
    let scale = Scale::new(top_n, base, functional.width.max(semantic.width))?;
    let ideal = scale.ideal(scale.gains().len());
    let all: Vec<u32>;
    let labels = if let Some(labels) = given.labels {
        labels
    } else {
        all = (0..semantic.n_rows as u32).collect();
        &all
    };
    check(functional, semantic, labels, given)?;
    let rows = given.rows.unwrap_or(labels);
    let features = [functional, semantic].into_iter().flat_map(|lists| {
        let beyond = lists.ties.iter().flatten().flat_map(|ties| &ties.beyond);
        lists.indices.iter().chain(beyond)
    });
    let n_features = features.chain(labels).max().map_or(0, |&most| most as usize + 1);
    let bytes = 32 * n_features as u128 + 64 * rows.len() as u128;
    context.check_memory("the labels of all features", bytes, "number features from 0")?;
    let mut label_of = vec![NO_LABEL; n_features];
    for (label, &feature) in labels.iter().enumerate() {
        label_of[feature as usize] = label as u32;
    }
    let own = |&row: &u32| label_of.get(row as usize).copied().filter(|&own| own != NO_LABEL);
    if let Some(&row) = rows.iter().find(|row| own(row).is_none()) {
        return Err(Error::argument("rows", row, "features that have a label"));
    }
    let gains = scale.gains().iter().map(|gain| if ideal > 0.0 { gain / ideal } else { 0.0 });
    let gains = Averages::new(gains.collect());
    let discounts = Averages::new(scale.discounts().to_vec());
    let random = chance(n_features as u32, top_n, base)?;
    let second = (SECOND_BOUND * random).min(FIRST_BOUND / 4.0);
    let bounds = [FIRST_BOUND, if second > 0.0 { second } else { FIRST_BOUND / 4.0 }];
    context.run(|| {
        let by_label = LabelGains::new(semantic, &gains, scale.discounts(), bounds, context)?;
        let blocks = transpose(&by_label, n_features, context)?;
        let mut totals = vec![0.0; n_features];
        for label in 0..by_label.len() {
            for (feature, gain) in by_label.of(label) {
                totals[feature as usize] += f64::from(gain);
            }
        }
        let fit = Fit {
            functional,
            semantic,
            labels,
            label_of,
            gains,
            discounts,
            slack: f64::from(LEAST_GAIN) * by_label.longest() as f64,
            // That of the gains, and the sums of each term's rounding, twice over.
            error: 1.01 * GAIN_ERROR + f64::from(f32::EPSILON) * (by_label.longest() + 8) as f64,
            bounds,
            by_label,
            blocks,
            totals,
            same: Same::new(given.same),
            best,
        };
        fit.rows(rows, context)
    })
}
