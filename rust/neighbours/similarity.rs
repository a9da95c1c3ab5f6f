//! Neighbours from similarities that exist already.

use rayon::prelude::*;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::neighbours::FEWER;
use crate::neighbours::entry::Entry;
use crate::neighbours::row_lists::{Neighbours, each_row, write_list};
use crate::neighbours::topk::best_of_row;
use crate::simd::Isa;

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
    best_of_rows::<E>(similarity, (n_rows, n_features), top_n, row_start, false, context)
}

/// Rank like [`top`], and keep which neighbours tie.
///
/// # Errors
/// As [`top`].
pub fn top_ranking<E: Entry>(
    similarity: &[E::Value],
    n_rows: usize,
    n_features: usize,
    top_n: usize,
    row_start: usize,
    context: &Context,
) -> Result<Neighbours> {
    best_of_rows::<E>(similarity, (n_rows, n_features), top_n, row_start, true, context)
}

fn best_of_rows<E: Entry>(
    similarity: &[E::Value],
    (n_rows, n_features): (usize, usize),
    top_n: usize,
    row_start: usize,
    ties: bool,
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
    let mut found = Neighbours::zeros(n_rows, width, ties);
    // Rows without neighbours hold no value to check.
    if found.indices.is_empty() {
        return Ok(found);
    }
    let isa = Isa::active();
    context.run(|| {
        let rows = found.row_chunks(1).zip(similarity.par_chunks(n_features)).enumerate();
        rows.map_init(Vec::new, |best, (row, (rows, similarity))| {
            context.proceed()?;
            let refuse = |column: usize| Error::NotFinite {
                what: "similarity",
                row,
                column,
                value: similarity[column].into(),
            };
            let own = Some(row_start + row);
            let beyond = best_of_row::<E>(isa, similarity, own, width, best).map_err(refuse)?;
            each_row(rows).for_each(|row| write_list(best, ties.then(|| beyond.clone()), row));
            Ok(())
        })
        // Report the error of the first row, not of the first thread that finds one.
        .find_first(Result::is_err)
        .unwrap_or(Ok(()))
    })?;
    Ok(found)
}
