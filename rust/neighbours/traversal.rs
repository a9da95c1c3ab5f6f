//! Tiles of pairs, in an order in which every row soon sees a sample of all.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::alloc::filled;
use crate::context::Context;
use crate::error::Result;
use crate::neighbours::row_lists::{Neighbours, Strip};
use crate::neighbours::topk::{Entry, TopN, room_for};
use crate::simd::Isa;

/// Values of pairs, a tile at a time. `value(i, j)` must be `value(j, i)` to the last bit.
pub(crate) trait Tiles<E: Entry>: Sync {
    /// Rows and columns of a full tile; a multiple of [`CHUNK`].
    const SIDE: usize;
    /// Strips of rows begin at a multiple of this; it divides [`Tiles::SIDE`].
    const ROW_STEP: usize;

    /// Write the values of rows × columns, [`Tiles::SIDE`] from row to row. What lies beyond the
    /// columns in a row may be anything.
    fn fill(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        counts: &mut Vec<u32>,
        out: &mut [E::Value],
    ) -> Result<()>;
}

/// The rows that are asked for, and the features that may appear in their lists.
#[derive(Clone, Copy)]
pub(crate) struct Among<'a> {
    /// Feature of each row.
    pub(crate) rows: &'a [u32],
    /// Features, rising.
    pub(crate) candidates: &'a [u32],
    /// Length of the lists: for each row, at most the candidates other than itself.
    pub(crate) width: usize,
}

/// Bytes that [`symmetric`] holds besides its result.
pub(crate) fn symmetric_bytes<E: Entry>(n_features: usize, width: usize) -> u128 {
    n_features as u128 * room_for(width) as u128 * size_of::<E>() as u128
}

/// Lists of all features among all: each tile above the diagonal is computed once and shown to
/// its rows and to its columns.
///
/// Rejected: one side of tiles at a time, which needs no locks but computes every pair twice; bounds
/// from a sample of columns that is computed beforehand, 6 % of all products for what the first
/// tiles tell in passing; rows in order, where what a row sees first need be no sample. The
/// lists do not depend on the order in which tiles come, as candidates are totally ordered.
pub(crate) fn symmetric<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    among: Among<'_>,
    context: &Context,
) -> Result<Neighbours> {
    let (isa, side) = (Isa::active(), T::SIDE);
    let (n, width) = (among.rows.len(), among.width);
    let span = |strip: usize| strip * side..((strip + 1) * side).min(n);
    let n_strips = n.div_ceil(side);
    let mut room = filled(n * room_for(width), E::FILLER);
    let strips: Vec<_> = room
        .chunks_mut(side * room_for(width))
        .map(|room| Strip::new(room, side, width, |room| TopN::guessing(width, n - 1, room)))
        .map(Mutex::new)
        .collect();
    let lock = |s: usize| strips[s].lock().unwrap_or_else(PoisonError::into_inner);
    (0..n_strips * (n_strips + 1) / 2).into_par_iter().try_for_each_init(
        || (Vec::new(), vec![zero; side * side]),
        |(counts, tile), k| {
            context.proceed()?;
            let (a, b) = pair(k, n_strips);
            let (rows, cols) = (span(a), span(b));
            tiles.fill(rows.clone(), cols.clone(), counts, tile)?;
            let mut strip = lock(a);
            for (i, values) in tile.chunks(side).take(rows.len()).enumerate() {
                let own = rows.start + i;
                strip.show_row(isa, i, values, cols.len(), |j| {
                    let feature = cols.start + j;
                    (feature != own).then_some(feature as u32)
                });
            }
            drop(strip);
            if a != b {
                let mut strip = lock(b);
                for (i, values) in tile.chunks(side).take(rows.len()).enumerate() {
                    strip.show_column(isa, values, cols.len(), (rows.start + i) as u32);
                }
            }
            Ok(())
        },
    )?;
    let mut found = Neighbours::zeros(n, width);
    let lists = found.strips(side).zip(strips).enumerate();
    let short = lists.flat_map_iter(|(s, ((indices, values), strip))| {
        let strip = strip.into_inner().unwrap_or_else(PoisonError::into_inner);
        strip.write(s * side, indices, values)
    });
    let short = short.collect();
    redo(tiles, zero, among, short, &mut found, context)?;
    Ok(found)
}

/// Lists of the features `rows` among `candidates`, by their positions in these.
pub(crate) fn rectangular<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    among: Among<'_>,
    context: &Context,
) -> Result<Neighbours> {
    let (n_rows, width) = (among.rows.len(), among.width);
    // Few rows still keep all threads busy.
    let share = n_rows.div_ceil(rayon::current_num_threads());
    let height = share.next_multiple_of(T::ROW_STEP).min(T::SIDE);
    let mut found = Neighbours::zeros(n_rows, width);
    if found.indices.is_empty() {
        return Ok(found);
    }
    let short = Mutex::new(Vec::new());
    found.strips(height).enumerate().try_for_each_init(
        || Scratch::new(zero, T::SIDE),
        |scratch, (s, (indices, values))| {
            let span = s * height..((s + 1) * height).min(n_rows);
            let strip = shown(tiles, span.clone(), among, true, scratch, context)?;
            let missing = strip.write(span.start, indices, values);
            short.lock().unwrap_or_else(PoisonError::into_inner).extend(missing);
            Ok(())
        },
    )?;
    let mut short = short.into_inner().unwrap_or_else(PoisonError::into_inner);
    short.sort_unstable();
    redo(tiles, zero, among, short, &mut found, context)?;
    Ok(found)
}

/// Make the lists of the rows anew in which a guess was wrong, this time without one.
fn redo<E: Entry, T: Tiles<E>>(
    tiles: &T,
    zero: E::Value,
    among: Among<'_>,
    short: Vec<usize>,
    found: &mut Neighbours,
    context: &Context,
) -> Result<()> {
    let mut starts: Vec<usize> = short.iter().map(|row| row / T::ROW_STEP * T::ROW_STEP).collect();
    starts.dedup();
    let groups: Vec<Neighbours> = starts
        .par_iter()
        .map_init(
            || Scratch::new(zero, T::SIDE),
            |scratch, &start| {
                let span = start..(start + T::ROW_STEP).min(among.rows.len());
                let mut group = Neighbours::zeros(span.len(), among.width);
                let strip = shown(tiles, span, among, false, scratch, context)?;
                strip.write(start, &mut group.indices, &mut group.values);
                Ok(group)
            },
        )
        .collect::<Result<_>>()?;
    let mut groups = starts.into_iter().zip(groups).peekable();
    for row in short {
        while groups.peek().is_some_and(|(start, _)| start + T::ROW_STEP <= row) {
            groups.next();
        }
        if let Some((start, group)) = groups.peek() {
            found.copy_row(row, group, row - start);
        }
    }
    Ok(())
}

/// What a thread uses again for the next rows.
struct Scratch<E: Entry> {
    counts: Vec<u32>,
    tile: Vec<E::Value>,
    room: Vec<E>,
}

impl<E: Entry> Scratch<E> {
    fn new(zero: E::Value, side: usize) -> Self {
        Self { counts: Vec::new(), tile: vec![zero; side * side], room: Vec::new() }
    }
}

/// The rows `span` after all candidates have passed; with `guess`, some lists may be short.
fn shown<'a, E: Entry, T: Tiles<E>>(
    tiles: &T,
    span: Range<usize>,
    among: Among<'_>,
    guess: bool,
    scratch: &'a mut Scratch<E>,
    context: &Context,
) -> Result<Strip<'a, E>> {
    let (isa, side) = (Isa::active(), T::SIDE);
    let Among { rows, candidates, width } = among;
    let Scratch { counts, tile, room } = scratch;
    room.resize(span.len() * room_for(width), E::FILLER);
    let mut strip = Strip::new(room, side, width, |room| {
        if guess { TopN::guessing(width, candidates.len(), room) } else { TopN::new(width, room) }
    });
    let n_tiles = candidates.len().div_ceil(side);
    let own_tile = span.start / side;
    for k in 0..n_tiles {
        context.proceed()?;
        let left = (own_tile + spread(k, n_tiles)) % n_tiles * side;
        let cols = left..(left + side).min(candidates.len());
        tiles.fill(span.clone(), cols.clone(), counts, tile)?;
        for (i, values) in tile.chunks(side).take(span.len()).enumerate() {
            let own = rows[span.start + i];
            strip.show_row(isa, i, values, cols.len(), |j| {
                let feature = candidates[left + j];
                (feature != own).then_some(feature)
            });
        }
    }
    Ok(strip)
}

/// The `k`-th of all pairs a ≤ b below `n`: diagonal by diagonal, these spread.
fn pair(k: usize, n: usize) -> (usize, usize) {
    // Around the corner all diagonals have n pairs; of an even n, the last is half a one.
    let full = n.div_ceil(2);
    let (diagonal, a) = (k / n, k % n);
    let step = if diagonal < full { spread(diagonal, full) } else { full };
    let b = (a + step) % n;
    (a.min(b), a.max(b))
}

/// The `k`-th of the numbers below `n`, in an order in which any few in a row are spread evenly,
/// and 0 is the last: so what a row sees first is a sample of all, however features are sorted, and
/// its own tile, where features alike may stand, comes late.
fn spread(k: usize, n: usize) -> usize {
    // The golden section leaves the most even gaps.
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
