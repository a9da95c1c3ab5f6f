//! The nearest neighbours of each feature, from tiles of pairs; no F × F array is held.

mod bound;
mod cosine;
mod pruned;
mod row_lists;
mod tiles;
pub mod topk;
mod traversal;

use rayon::prelude::*;

use crate::context::Context;
use crate::cooccurrence::histogram::Histogram;
use crate::cooccurrence::sparse;
use crate::error::{Error, Result};
use crate::measures::{Margins, Measure};
use crate::neighbours::cosine::Cosines;
pub use crate::neighbours::row_lists::Neighbours;
use crate::neighbours::row_lists::write_list;
use crate::neighbours::tiles::{BitTiles, CountTiles};
use crate::neighbours::topk::{Double, Entry, Single, best_of_row};
use crate::neighbours::traversal::{Query, Tiles, rectangular, symmetric, symmetric_bytes};
use crate::occurrences::Occurrences;
use crate::simd::Isa;

const FEWER: &str = "rank fewer rows at a time (rows=...) or lower top_n";

/// Which lists are wanted: their rows, the features that may appear, their length.
struct Plan {
    /// Whether all features are ranked among all features.
    all: bool,
    rows: Vec<u32>,
    candidates: Vec<u32>,
    width: usize,
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
        let everything = rows.is_none() && candidates.is_none();
        let rows = rows.map_or_else(all, <[u32]>::to_vec);
        let mut candidates = candidates.map_or_else(all, <[u32]>::to_vec);
        candidates.sort_unstable();
        candidates.dedup();
        let is_candidate = rows.iter().any(|row| candidates.binary_search(row).is_ok());
        let width = top_n.min(candidates.len() - usize::from(is_candidate));
        let bytes = rows.len() as u128 * width as u128 * 8;
        context.check_memory("the neighbour lists", bytes, FEWER)?;
        Ok(Self { all: everything, rows, candidates, width })
    }

    fn query(&self) -> Query<'_> {
        Query { rows: &self.rows, candidates: &self.candidates, width: self.width }
    }
}

/// Traverse symmetric tiles where all features are ranked among all, otherwise rectangular ones.
fn traverse<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    plan: &Plan,
    context: &Context,
) -> Result<Neighbours> {
    if plan.all && plan.width > 0 {
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
    context.run(|| {
        let counts = occurrences.counts();
        let part = |wanted: Option<&[u32]>, features: &[u32]| match wanted {
            None => Ok(occurrences.clone()),
            Some(_) => occurrences.features(features, context),
        };
        let chosen = |features: &[u32]| -> Vec<u64> {
            features.iter().map(|&f| counts[f as usize]).collect()
        };
        let (row_set, col_set) = (part(rows, &plan.rows)?, part(candidates, &plan.candidates)?);
        let (row_counts, col_counts) = (chosen(&plan.rows), chosen(&plan.candidates));
        let pairs = row_counts.len() as f64 * col_counts.len() as f64;
        let pairs = if plan.all { pairs / 2.0 } else { pairs };
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
        if plan.all {
            let bytes = symmetric_bytes::<Double>(plan.rows.len(), plan.width);
            context.check_memory("the candidates of all rows", bytes, FEWER)?;
        }
        traverse::<Double, _>(&tiles, 0.0, &plan, context)
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
    if plan.all {
        let bytes = symmetric_bytes::<Double>(plan.rows.len(), plan.width);
        context.check_memory("the candidates of all rows", bytes, FEWER)?;
    }
    let margins = |features: &[u32]| {
        let count = |&f: &u32| u64::from(counts.get(f as usize, f as usize));
        Margins::new(features.iter().map(count), counts.n_windows())
    };
    if !plan.all {
        counts.check(context)?;
    }
    let tiles = CountTiles {
        measure,
        counts,
        rules: counts.unchecked()?,
        rows: &plan.rows,
        cols: &plan.candidates,
        row_margins: &margins(&plan.rows),
        col_margins: &margins(&plan.candidates),
    };
    let found = context.run(|| traverse::<Double, _>(&tiles, 0.0, &plan, context))?;
    counts.mark_checked();
    Ok(found)
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
    Occurrences::new(n_features)?;
    let plan = Plan::new(n_features, top_n, rows, candidates, context)?;
    let mut bytes = Cosines::bytes(dim, plan.rows.len(), plan.candidates.len());
    if plan.all {
        bytes += symmetric_bytes::<Single>(n_features, plan.width);
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
        traverse::<Single, _>(&cosines, 0.0, &plan, context)
    })
}

/// Rank the largest of each row of similarities. Row r belongs to feature `row_start + r`; the
/// similarity of a feature to itself is never read.
///
/// # Errors
/// [`Error::Argument`] for `top_n` 0 or rows beyond the last feature; [`Error::NotFinite`];
/// [`Error::Memory`]; [`Error::Interrupted`].
pub fn top<E: Entry>(
    similarity: &[E::Value],
    n_rows: usize,
    n_features: usize,
    top_n: usize,
    row_start: usize,
    context: &Context,
) -> Result<Neighbours> {
    if top_n == 0 {
        return Err(Error::argument("top_n", top_n, "at least 1"));
    }
    if row_start.checked_add(n_rows).is_none_or(|end| end > n_features) {
        return Err(Error::argument(
            "row_start",
            row_start,
            format!("at most {n_features} features minus {n_rows} rows"),
        ));
    }
    let width = top_n.min(n_features.saturating_sub(1));
    context.check_memory("the neighbour lists", n_rows as u128 * width as u128 * 8, FEWER)?;
    let mut found = Neighbours::zeros(n_rows, width);
    // Rows without neighbours hold no value to check.
    if found.indices.is_empty() {
        return Ok(found);
    }
    let isa = Isa::active();
    context.run(|| {
        let rows = found.row_chunks(1).zip(similarity.par_chunks(n_features)).enumerate();
        rows.map_init(Vec::new, |best, (row, ((indices, values), similarity))| {
            context.proceed()?;
            let refuse = |column: usize| Error::NotFinite {
                what: "similarity",
                row,
                column,
                value: similarity[column].into(),
            };
            best_of_row::<E>(isa, similarity, Some(row_start + row), width, best)
                .map_err(refuse)?;
            write_list(best, indices, values);
            Ok(())
        })
        // Report the error of the first row, not of the first thread that finds one.
        .find_first(Result::is_err)
        .unwrap_or(Ok(()))
    })?;
    Ok(found)
}
