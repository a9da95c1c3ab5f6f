//! Traversing the tiles of pairs in an order that soon shows every row a sample of all features.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::alloc::filled;
use crate::context::Context;
use crate::error::Result;
use crate::neighbours::entry::Entry;
use crate::neighbours::row_lists::{Neighbours, RowLists};
use crate::neighbours::topk::{TopN, capacity_for};
use crate::simd::Isa;

/// Values of pairs, computed one tile at a time. Value (i, j) must equal value (j, i) to the last
/// bit.
pub(crate) trait Tiles<E: Entry>: Sync {
    /// Rows and columns of a full tile; a multiple of 64.
    const SIDE: usize;
    /// Bands of rows begin at a multiple of this; it divides [`Tiles::SIDE`].
    const ROW_STEP: usize;

    /// Write the values of rows × columns to `out`, whose rows are [`Tiles::SIDE`] apart. What
    /// follows the columns in a row is unspecified. `counts` is a buffer to reuse.
    fn fill(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        counts: &mut Vec<u32>,
        out: &mut [E::Value],
    ) -> Result<()>;
}

/// Which lists are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    /// Feature of each row.
    pub(crate) rows: &'a [u32],
    /// Features that may appear in the lists, ascending.
    pub(crate) candidates: &'a [u32],
    /// Length of the lists: at most the number of candidates other than the row itself.
    pub(crate) width: usize,
    /// Whether to keep which neighbours tie.
    pub(crate) ties: bool,
}

/// Bytes that [`symmetric`] allocates besides its result.
pub(crate) fn symmetric_bytes<E: Entry>(n_features: usize, width: usize) -> u128 {
    n_features as u128 * capacity_for(width) as u128 * size_of::<E>() as u128
}

/// Rank the candidates among themselves, `rows` being the same: each tile on or above the diagonal is computed once, and
/// its values are offered to its rows and to its columns.
///
/// The lists do not depend on the order of the tiles, because candidates are totally ordered.
///
/// Rejected: computing one band of rows at a time, which needs no locks but computes every pair
/// twice; bounds from a sample of columns computed in advance, 6 % of all products for what the
/// first tiles tell anyway; tiles in row order, where the first tiles of a row are not a
/// representative sample.
pub(crate) fn symmetric<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    query: Query<'_>,
    context: &Context,
) -> Result<Neighbours> {
    let (isa, side) = (Isa::active(), T::SIDE);
    let (n, width) = (query.rows.len(), query.width);
    let span = |band: usize| band * side..((band + 1) * side).min(n);
    let n_bands = n.div_ceil(side);
    let mut buffer = filled(n * capacity_for(width), E::FILLER);
    let bands: Vec<_> = buffer
        .chunks_mut(side * capacity_for(width))
        .map(|buffer| {
            RowLists::new(buffer, side, width, |buffer| {
                TopN::with_sampled_bound(width, n - 1, buffer).with_ties(query.ties)
            })
        })
        .map(Mutex::new)
        .collect();
    let lock = |band: usize| bands[band].lock().unwrap_or_else(PoisonError::into_inner);
    (0..n_bands * (n_bands + 1) / 2).into_par_iter().try_for_each_init(
        || (Vec::new(), vec![zero; side * side]),
        |(counts, tile), k| {
            context.proceed()?;
            let (a, b) = tile_pair(k, n_bands);
            let (rows, cols) = (span(a), span(b));
            tiles.fill(rows.clone(), cols.clone(), counts, tile)?;
            let mut lists = lock(a);
            for (i, values) in tile.chunks(side).take(rows.len()).enumerate() {
                let own = rows.start + i;
                lists.offer_row(isa, i, values, cols.len(), |j| {
                    let col = cols.start + j;
                    (col != own).then_some(query.candidates[col])
                });
            }
            drop(lists);
            if a != b {
                let mut lists = lock(b);
                for (i, values) in tile.chunks(side).take(rows.len()).enumerate() {
                    let feature = query.candidates[rows.start + i];
                    lists.offer_column(isa, values, cols.len(), feature);
                }
            }
            Ok(())
        },
    )?;
    let mut found = Neighbours::zeros(n, width, query.ties);
    let outputs = found.row_chunks(side).zip(bands).enumerate();
    let incomplete = outputs.flat_map_iter(|(band, (rows, lists))| {
        let lists = lists.into_inner().unwrap_or_else(PoisonError::into_inner);
        lists.write(band * side, query.ties, rows)
    });
    let incomplete = incomplete.collect();
    recompute(tiles, zero, query, incomplete, &mut found, context)?;
    Ok(found)
}

/// Rank the candidates for each of the rows; tiles are addressed by positions in these two lists.
pub(crate) fn rectangular<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    query: Query<'_>,
    context: &Context,
) -> Result<Neighbours> {
    let (n_rows, width) = (query.rows.len(), query.width);
    // Few rows are split so that all threads are busy.
    let share = n_rows.div_ceil(rayon::current_num_threads());
    let height = share.next_multiple_of(T::ROW_STEP).min(T::SIDE);
    let mut found = Neighbours::zeros(n_rows, width, query.ties);
    if found.indices.is_empty() {
        return Ok(found);
    }
    let incomplete = Mutex::new(Vec::new());
    found.row_chunks(height).enumerate().try_for_each_init(
        || Scratch::new(zero, T::SIDE),
        |scratch, (band, rows)| {
            let span = band * height..((band + 1) * height).min(n_rows);
            let lists = scan_rows(tiles, span.clone(), query, true, scratch, context)?;
            let missing = lists.write(span.start, query.ties, rows);
            incomplete.lock().unwrap_or_else(PoisonError::into_inner).extend(missing);
            Ok(())
        },
    )?;
    let mut incomplete = incomplete.into_inner().unwrap_or_else(PoisonError::into_inner);
    incomplete.sort_unstable();
    recompute(tiles, zero, query, incomplete, &mut found, context)?;
    Ok(found)
}

/// Recompute the lists that a sampled bound left incomplete, this time without a bound.
fn recompute<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    query: Query<'_>,
    incomplete: Vec<usize>,
    found: &mut Neighbours,
    context: &Context,
) -> Result<()> {
    let mut starts: Vec<usize> =
        incomplete.iter().map(|row| row / T::ROW_STEP * T::ROW_STEP).collect();
    starts.dedup();
    let groups: Vec<Neighbours> = starts
        .par_iter()
        .map_init(
            || Scratch::new(zero, T::SIDE),
            |scratch, &start| {
                let span = start..(start + T::ROW_STEP).min(query.rows.len());
                let mut group = Neighbours::zeros(span.len(), query.width, query.ties);
                let lists = scan_rows(tiles, span, query, false, scratch, context)?;
                let Neighbours { indices, values, ties, .. } = &mut group;
                lists.write(start, query.ties, (indices, values, ties));
                Ok(group)
            },
        )
        .collect::<Result<_>>()?;
    let mut groups = starts.into_iter().zip(groups).peekable();
    for row in incomplete {
        while groups.peek().is_some_and(|(start, _)| start + T::ROW_STEP <= row) {
            groups.next();
        }
        if let Some((start, group)) = groups.peek() {
            found.copy_row(row, group, row - start);
        }
    }
    Ok(())
}

/// Buffers that a thread reuses for its next rows.
struct Scratch<E: Entry> {
    counts: Vec<u32>,
    tile: Vec<E::Value>,
    buffer: Vec<E>,
}

impl<E: Entry> Scratch<E> {
    fn new(zero: E::Value, side: usize) -> Self {
        Self { counts: Vec::new(), tile: vec![zero; side * side], buffer: Vec::new() }
    }
}

/// Offer all candidates to the rows `span`. With `sampled`, some lists may end up incomplete.
fn scan_rows<'a, E: Entry, T: Tiles<E>>(
    tiles: &T,
    span: Range<usize>,
    query: Query<'_>,
    sampled: bool,
    scratch: &'a mut Scratch<E>,
    context: &Context,
) -> Result<RowLists<'a, E>> {
    let (isa, side) = (Isa::active(), T::SIDE);
    let Query { rows, candidates, width, ties } = query;
    let Scratch { counts, tile, buffer } = scratch;
    buffer.resize(span.len() * capacity_for(width), E::FILLER);
    let mut lists = RowLists::new(buffer, side, width, |buffer| {
        let list = if sampled {
            TopN::with_sampled_bound(width, candidates.len(), buffer)
        } else {
            TopN::new(width, buffer)
        };
        list.with_ties(ties)
    });
    let n_tiles = candidates.len().div_ceil(side);
    let own_tile = span.start / side;
    for k in 0..n_tiles {
        context.proceed()?;
        let left = (own_tile + golden_order(k, n_tiles)) % n_tiles * side;
        let cols = left..(left + side).min(candidates.len());
        tiles.fill(span.clone(), cols.clone(), counts, tile)?;
        for (i, values) in tile.chunks(side).take(span.len()).enumerate() {
            let own = rows[span.start + i];
            lists.offer_row(isa, i, values, cols.len(), |j| {
                let feature = candidates[left + j];
                (feature != own).then_some(feature)
            });
        }
    }
    Ok(lists)
}

/// Return the `k`-th of all pairs a ≤ b below `n`: one diagonal after the other, in golden order.
fn tile_pair(k: usize, n: usize) -> (usize, usize) {
    // Wrapped around the edge, every diagonal has n pairs; for an even n, the last one has n / 2.
    let full = n.div_ceil(2);
    let (diagonal, a) = (k / n, k % n);
    let step = if diagonal < full { golden_order(diagonal, full) } else { full };
    let b = (a + step) % n;
    (a.min(b), a.max(b))
}

/// Return the `k`-th of the numbers below `n`, in an order in which any few consecutive numbers are
/// spaced evenly, and 0 comes last.
///
/// So the first tiles of a row are a sample of all features, however these are sorted, and its own
/// tile, where similar features may stand, comes late.
fn golden_order(k: usize, n: usize) -> usize {
    // Steps of the golden section leave the most even gaps.
    let step = (0.618 * n as f64) as usize;
    let coprime = |&step: &usize| {
        let (mut a, mut b) = (n, step);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    let step = (step.max(1)..=n).find(coprime).unwrap_or(1);
    (k + 1) * step % n
}

#[cfg(test)]
mod tests;
