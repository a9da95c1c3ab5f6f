//! The nearest neighbours of each feature, from tiles of pairs; no F × F array is held.

mod bound;
mod cosine;
mod counted;
pub mod entry;
mod pruned;
mod row_lists;
pub mod row_ties;
mod similarity;
mod sort;
mod tiles;
pub mod topk;
mod traversal;
mod whole_row;

use rayon::prelude::*;

use crate::context::Context;
use crate::cooccurrence::histogram::Histogram;
use crate::cooccurrence::sparse;
use crate::error::{Error, Result};
use crate::limits::check_features;
use crate::measures::{Margins, Measure};
use crate::neighbours::cosine::Cosines;
use crate::neighbours::entry::{Double, Entry, Single};
pub use crate::neighbours::row_lists::Neighbours;
pub use crate::neighbours::similarity::{top, top_ranking};
use crate::neighbours::tiles::BitTiles;
use crate::neighbours::traversal::{Query, Tiles, rectangular, symmetric, symmetric_bytes};
use crate::occurrences::Occurrences;

const FEWER: &str = "rank fewer rows at a time (rows=...) or lower top_n";

/// Which lists are wanted: their rows, the features that may appear, their length.
struct Plan {
    /// Whether the rows are the candidates, in their order.
    is_symmetric: bool,
    rows: Vec<u32>,
    candidates: Vec<u32>,
    width: usize,
    /// Whether to keep which neighbours tie.
    ties: bool,
}

impl Plan {
    fn new(
        n_features: usize,
        top_n: usize,
        rows: Option<&[u32]>,
        candidates: Option<&[u32]>,
        context: &Context,
    ) -> Result<Self> {
        if top_n == 0 {
            return Err(Error::argument("top_n", top_n, "at least 1"));
        }
        // A count per feature; an index and margins per row and per candidate.
        let listed = |features: Option<&[u32]>| features.map_or(n_features, <[u32]>::len) as u128;
        let bytes = 8 * n_features as u128 + 24 * (listed(rows) + listed(candidates));
        if bytes >= 1 << 20 {
            context.check_memory("the indices of the features", bytes, FEWER)?;
        }
        let all = || (0..n_features as u32).collect::<Vec<_>>();
        for (name, features) in [("rows", rows), ("candidates", candidates)] {
            let bad = features.and_then(|f| f.iter().position(|&f| f as usize >= n_features));
            if let (Some(at), Some(features)) = (bad, features) {
                let got = format!("{} at position {at}", features[at]);
                return Err(Error::argument(name, got, format!("below n_features = {n_features}")));
            }
        }
        let rows = rows.map_or_else(all, <[u32]>::to_vec);
        let mut candidates = candidates.map_or_else(all, <[u32]>::to_vec);
        candidates.sort_unstable();
        candidates.dedup();
        let is_candidate = rows.iter().any(|row| candidates.binary_search(row).is_ok());
        let width = top_n.min(candidates.len() - usize::from(is_candidate));
        let bytes = rows.len() as u128 * width as u128 * 8;
        context.check_memory("the neighbour lists", bytes, FEWER)?;
        let is_symmetric = rows == candidates;
        Ok(Self { is_symmetric, rows, candidates, width, ties: false })
    }

    fn with_ties(self) -> Self {
        Self { ties: true, ..self }
    }

    fn query(&self) -> Query<'_> {
        let Self { rows, candidates, width, ties, .. } = self;
        Query { rows, candidates, width: *width, ties: *ties }
    }
}

/// Traverse symmetric tiles where all features are ranked among all, otherwise rectangular ones.
fn traverse<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    plan: &Plan,
    context: &Context,
) -> Result<Neighbours> {
    if plan.is_symmetric && plan.width > 0 {
        return symmetric(tiles, zero, plan.query(), context);
    }
    rectangular(tiles, zero, plan.query(), context)
}

/// Rank the neighbours by occurrence of `rows` among `candidates`; `None` means all features.
///
/// # Errors
/// [`Error::Argument`] for `top_n` 0 or a feature that does not exist; [`Error::Memory`];
/// [`Error::Interrupted`].
pub fn functional(
    occurrences: &Occurrences,
    top_n: usize,
    measure: Measure,
    rows: Option<&[u32]>,
    candidates: Option<&[u32]>,
    context: &Context,
) -> Result<Neighbours> {
    let plan = Plan::new(occurrences.n_features(), top_n, rows, candidates, context)?;
    functional_lists(occurrences, measure, &plan, context)
}

/// Rank like [`functional`], and keep which neighbours tie.
///
/// # Errors
/// As [`functional`].
pub fn functional_ranking(
    occurrences: &Occurrences,
    top_n: usize,
    measure: Measure,
    rows: Option<&[u32]>,
    candidates: Option<&[u32]>,
    context: &Context,
) -> Result<Neighbours> {
    let plan = Plan::new(occurrences.n_features(), top_n, rows, candidates, context)?;
    functional_lists(occurrences, measure, &plan.with_ties(), context)
}

fn functional_lists(
    occurrences: &Occurrences,
    measure: Measure,
    plan: &Plan,
    context: &Context,
) -> Result<Neighbours> {
    context.run(|| {
        let counts = occurrences.counts();
        let part = |features: &[u32]| {
            let is_rising = features.is_sorted_by(|a, b| a < b);
            if is_rising && features.len() == occurrences.n_features() {
                return Ok(occurrences.clone());
            }
            occurrences.features(features, context)
        };
        let chosen = |features: &[u32]| -> Vec<u64> {
            features.iter().map(|&f| counts[f as usize]).collect()
        };
        let col_set = part(&plan.candidates)?;
        let row_set = if plan.is_symmetric { col_set.clone() } else { part(&plan.rows)? };
        let (row_counts, col_counts) = (chosen(&plan.rows), chosen(&plan.candidates));
        let pairs = row_counts.len() as f64 * col_counts.len() as f64;
        let pairs = if plan.is_symmetric { pairs / 2.0 } else { pairs };
        let n_windows = occurrences.n_windows();
        let is_sparse = sparse::is_faster(&row_counts, &col_counts, pairs, n_windows);
        if is_sparse {
            sparse::check_memory(&col_counts, n_windows, context)?;
        }
        let n_windows = n_windows as u64;
        let row_margins = &Margins::new(row_counts.into_iter(), n_windows);
        let col_margins = &Margins::new(col_counts.into_iter(), n_windows);
        let (rows, cols) = (&row_set, &col_set);
        let tiles = BitTiles { measure, n_windows, rows, cols, row_margins, col_margins };
        if is_sparse {
            return pruned::neighbours(&tiles, plan.query(), context);
        }
        if plan.is_symmetric {
            let bytes = symmetric_bytes::<Double>(plan.rows.len(), plan.width);
            context.check_memory("the candidates of all rows", bytes, FEWER)?;
        }
        traverse::<Double, _>(&tiles, 0.0, plan, context)
    })
}

/// Rank the neighbours by occurrence, from counts instead of bits.
///
/// # Errors
/// As [`functional`]; [`Error::Contradiction`] as [`Histogram::check`].
pub fn functional_from_counts(
    counts: &Histogram,
    top_n: usize,
    measure: Measure,
    rows: Option<&[u32]>,
    candidates: Option<&[u32]>,
    context: &Context,
) -> Result<Neighbours> {
    let plan = Plan::new(counts.n_features(), top_n, rows, candidates, context)?;
    functional_lists_from_counts(counts, measure, &plan, context)
}

/// Rank like [`functional_from_counts`], and keep which neighbours tie.
///
/// # Errors
/// As [`functional_from_counts`].
pub fn functional_ranking_from_counts(
    counts: &Histogram,
    top_n: usize,
    measure: Measure,
    rows: Option<&[u32]>,
    candidates: Option<&[u32]>,
    context: &Context,
) -> Result<Neighbours> {
    let plan = Plan::new(counts.n_features(), top_n, rows, candidates, context)?;
    functional_lists_from_counts(counts, measure, &plan.with_ties(), context)
}

fn functional_lists_from_counts(
    counts: &Histogram,
    measure: Measure,
    plan: &Plan,
    context: &Context,
) -> Result<Neighbours> {
    counts.check(context)?;
    context.run(|| counted::neighbours(counts, measure, plan.query(), context))
}

/// Rank the neighbours by the cosine of embeddings; `vectors` is row-major with `dim` components
/// per feature.
///
/// # Errors
/// [`Error::NotFinite`]; otherwise as [`functional`].
pub fn semantic(
    vectors: &[f32],
    n_features: usize,
    dim: usize,
    top_n: usize,
    rows: Option<&[u32]>,
    candidates: Option<&[u32]>,
    context: &Context,
) -> Result<Neighbours> {
    check_features(n_features)?;
    let plan = Plan::new(n_features, top_n, rows, candidates, context)?;
    semantic_lists(vectors, dim, &plan, context)
}

/// Rank like [`semantic`], and keep which neighbours tie.
///
/// # Errors
/// As [`semantic`].
pub fn semantic_ranking(
    vectors: &[f32],
    n_features: usize,
    dim: usize,
    top_n: usize,
    rows: Option<&[u32]>,
    candidates: Option<&[u32]>,
    context: &Context,
) -> Result<Neighbours> {
    check_features(n_features)?;
    let plan = Plan::new(n_features, top_n, rows, candidates, context)?;
    semantic_lists(vectors, dim, &plan.with_ties(), context)
}

fn semantic_lists(
    vectors: &[f32],
    dim: usize,
    plan: &Plan,
    context: &Context,
) -> Result<Neighbours> {
    let mut bytes = Cosines::bytes(dim, plan.rows.len(), plan.candidates.len());
    if plan.is_symmetric {
        bytes += symmetric_bytes::<Single>(plan.rows.len(), plan.width);
    }
    context.check_memory("the unit vectors and the candidates of all rows", bytes, FEWER)?;
    context.run(|| {
        if let Some(at) = vectors.par_iter().position_first(|v| !v.is_finite()) {
            return Err(Error::NotFinite {
                what: "embeddings",
                row: at / dim,
                column: at % dim,
                value: f64::from(vectors[at]),
            });
        }
        let cosines = Cosines::new(vectors, dim, &plan.rows, &plan.candidates);
        traverse::<Single, _>(&cosines, 0.0, plan, context)
    })
}
