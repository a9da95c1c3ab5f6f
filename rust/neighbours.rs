//! Each feature's best neighbours, from tiles of pairs; no F × F array is held.

use std::ops::Range;

use rayon::prelude::*;

use crate::bits::count_tile;
use crate::error::{Error, Result};
use crate::histogram::Histogram;
use crate::job::Job;
use crate::measures::{Margin, Measure, phi_of};
use crate::occurrences::Occurrences;
use crate::topn::{Double, Entry, Single, TopN};

const FEWER: &str = "ask for fewer rows at a time (rows=...) or a smaller top_n";
const TILE_ROWS: usize = 64;
const TILE_COLS: usize = 256;

/// Ranked neighbours, `width` a row, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Rows.
    pub n_rows: usize,
    /// Neighbours a row.
    pub width: usize,
    /// Their features, best first.
    pub indices: Vec<u32>,
    /// Their similarity.
    pub values: Vec<f32>,
}

/// Which lists are asked for: the rows wanted, the features that may appear, the length.
struct Plan {
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
        job: &Job,
    ) -> Result<Self> {
        if top_n == 0 {
            return Err(Error::argument("top_n", top_n, "at least 1"));
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
        let among = rows.iter().any(|row| candidates.binary_search(row).is_ok());
        let width = top_n.min(candidates.len() - usize::from(among));
        let bytes = rows.len() as u128 * width as u128 * 8;
        job.check_memory("the neighbour lists", bytes, FEWER)?;
        Ok(Self { rows, candidates, width })
    }
}

/// The values of a tile of pairs, by positions in the plan's rows and candidates.
trait Pairs<V>: Sync {
    fn tile(&self, rows: Range<usize>, cols: Range<usize>, scratch: &mut Vec<u32>, out: &mut [V]);
}

fn rank<E: Entry>(
    plan: &Plan,
    pairs: &impl Pairs<E::Value>,
    zero: E::Value,
    job: &Job,
) -> Result<Neighbours> {
    let n = plan.width;
    let strips: Result<Vec<Vec<Vec<E>>>> = (0..plan.rows.len())
        .step_by(TILE_ROWS)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|top| {
            let rows = top..(top + TILE_ROWS).min(plan.rows.len());
            let mut best: Vec<_> = rows.clone().map(|_| TopN::<E>::new(n)).collect();
            let (mut scratch, mut tile) = (Vec::new(), vec![zero; TILE_ROWS * TILE_COLS]);
            for left in (0..plan.candidates.len()).step_by(TILE_COLS) {
                job.proceed()?;
                let cols = left..(left + TILE_COLS).min(plan.candidates.len());
                let width = cols.len();
                pairs.tile(
                    rows.clone(),
                    cols.clone(),
                    &mut scratch,
                    &mut tile[..rows.len() * width],
                );
                for (i, best) in best.iter_mut().enumerate() {
                    let own = plan.rows[top + i];
                    let values = &tile[i * width..][..width];
                    for (&feature, &value) in plan.candidates[cols.clone()].iter().zip(values) {
                        if feature != own {
                            best.push(E::new(value, feature));
                        }
                    }
                }
            }
            Ok(best.into_iter().map(TopN::finish).collect())
        })
        .collect();
    let strips = strips?;
    let entries = || strips.iter().flatten().flatten();
    Ok(Neighbours {
        n_rows: plan.rows.len(),
        width: n,
        indices: entries().map(|e| e.feature()).collect(),
        values: entries().map(|e| e.value()).collect(),
    })
}

struct BitPairs<'a> {
    rows: &'a Occurrences,
    cols: &'a Occurrences,
    row_margins: &'a [Margin],
    col_margins: &'a [Margin],
    n_windows: u64,
}

impl Pairs<f64> for BitPairs<'_> {
    fn tile(&self, rows: Range<usize>, cols: Range<usize>, counts: &mut Vec<u32>, out: &mut [f64]) {
        counts.clear();
        counts.resize(out.len(), 0);
        for (a, b) in self.rows.blocks().iter().zip(self.cols.blocks()) {
            count_tile(a, rows.clone(), b, cols.clone(), counts);
        }
        let width = cols.len();
        for (i, row) in rows.enumerate() {
            let a = self.row_margins[row];
            for (j, col) in cols.clone().enumerate() {
                let at = i * width + j;
                out[at] = phi_of(self.n_windows, counts[at], a, self.col_margins[col]);
            }
        }
    }
}

/// Neighbours by occurrence, of `rows` among `candidates` (`None`: all features).
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
    job: &Job,
) -> Result<Neighbours> {
    let Measure::Phi = measure;
    let plan = Plan::new(occurrences.n_features(), top_n, rows, candidates, job)?;
    job.run(|| {
        let n_windows = occurrences.n_windows() as u64;
        let counts = occurrences.counts();
        let margins = |features: &[u32]| -> Vec<Margin> {
            features.iter().map(|&f| Margin::new(counts[f as usize], n_windows)).collect()
        };
        let part = |wanted: Option<&[u32]>, features: &[u32]| match wanted {
            None => Ok(occurrences.clone()),
            Some(_) => occurrences.features(features, job),
        };
        let pairs = BitPairs {
            rows: &part(rows, &plan.rows)?,
            cols: &part(candidates, &plan.candidates)?,
            row_margins: &margins(&plan.rows),
            col_margins: &margins(&plan.candidates),
            n_windows,
        };
        rank::<Double>(&plan, &pairs, 0.0, job)
    })
}

struct CountPairs<'a> {
    counts: &'a Histogram,
    plan: &'a Plan,
    margins: &'a [Margin],
}

impl Pairs<f64> for CountPairs<'_> {
    fn tile(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
        row_counts: &mut Vec<u32>,
        out: &mut [f64],
    ) {
        let cols = &self.plan.candidates[cols];
        let (Some(&first), Some(&last)) = (cols.first(), cols.last()) else {
            return;
        };
        row_counts.resize((last - first) as usize + 1, 0);
        for (row, out) in self.plan.rows[rows].iter().zip(out.chunks_mut(cols.len())) {
            self.counts.copy_row(*row as usize, first as usize, row_counts);
            let margin = self.margins[*row as usize];
            for (out, &col) in out.iter_mut().zip(cols) {
                let both = row_counts[(col - first) as usize];
                *out = phi_of(self.counts.n_windows(), both, margin, self.margins[col as usize]);
            }
        }
    }
}

/// Neighbours by occurrence, from counts instead of bits.
///
/// # Errors
/// As [`functional`].
pub fn functional_from_counts(
    counts: &Histogram,
    top_n: usize,
    measure: Measure,
    rows: Option<&[u32]>,
    candidates: Option<&[u32]>,
    job: &Job,
) -> Result<Neighbours> {
    let Measure::Phi = measure;
    let plan = Plan::new(counts.n_features(), top_n, rows, candidates, job)?;
    let n_windows = counts.n_windows();
    let margins: Vec<_> = counts.counts().iter().map(|&c| Margin::new(c, n_windows)).collect();
    let pairs = CountPairs { counts, plan: &plan, margins: &margins };
    job.run(|| rank::<Double>(&plan, &pairs, 0.0, job))
}

struct VectorPairs<'a> {
    vectors: &'a [f32],
    dim: usize,
    plan: &'a Plan,
}

impl Pairs<f32> for VectorPairs<'_> {
    fn tile(&self, rows: Range<usize>, cols: Range<usize>, _: &mut Vec<u32>, out: &mut [f32]) {
        let vector = |feature: u32| &self.vectors[feature as usize * self.dim..][..self.dim];
        let cols = &self.plan.candidates[cols];
        for (&row, out) in self.plan.rows[rows].iter().zip(out.chunks_mut(cols.len())) {
            for (out, &col) in out.iter_mut().zip(cols) {
                *out = dot(vector(row), vector(col));
            }
        }
    }
}

/// Sum in an order that is the same for every pair, and either way round.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (heads, tails) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in heads.0.iter().zip(tails.0) {
        for k in 0..16 {
            sums[k] += a[k] * b[k];
        }
    }
    for (k, (a, b)) in heads.1.iter().zip(tails.1).enumerate() {
        sums[k] += a * b;
    }
    sums.iter().sum()
}

/// Neighbours by cosine of embeddings: `vectors` is row-major, `dim` a feature.
///
/// # Errors
/// [`Error::NotFinite`]; else as [`functional`].
pub fn semantic(
    vectors: &[f32],
    n_features: usize,
    dim: usize,
    top_n: usize,
    rows: Option<&[u32]>,
    candidates: Option<&[u32]>,
    job: &Job,
) -> Result<Neighbours> {
    Occurrences::new(n_features)?;
    let plan = Plan::new(n_features, top_n, rows, candidates, job)?;
    if let Some(at) = vectors.iter().position(|v| !v.is_finite()) {
        return Err(Error::NotFinite {
            what: "embeddings",
            row: at / dim,
            column: at % dim,
            value: f64::from(vectors[at]),
        });
    }
    job.check_memory("the normalised embeddings", vectors.len() as u128 * 4, FEWER)?;
    job.run(|| {
        let mut unit = vectors.to_vec();
        unit.par_chunks_mut(dim.max(1)).for_each(normalise);
        let pairs = VectorPairs { vectors: &unit, dim, plan: &plan };
        rank::<Single>(&plan, &pairs, 0.0, job)
    })
}

/// Scale to length 1; the zero vector stays.
fn normalise(vector: &mut [f32]) {
    let square: f64 = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    if square > 0.0 {
        let norm = square.sqrt();
        for v in vector {
            *v = (f64::from(*v) / norm) as f32;
        }
    }
}

/// The best of each row of similarities; row r belongs to feature `row_start + r`, and the
/// similarity of a feature with itself is never read.
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
    job: &Job,
) -> Result<Neighbours> {
    if top_n == 0 {
        return Err(Error::argument("top_n", top_n, "at least 1"));
    }
    if row_start.checked_add(n_rows).is_none_or(|end| end > n_features) {
        return Err(Error::argument(
            "row_start",
            row_start,
            format!("at most {n_features} features less {n_rows} rows"),
        ));
    }
    let width = top_n.min(n_features.saturating_sub(1));
    job.check_memory("the neighbour lists", n_rows as u128 * width as u128 * 8, FEWER)?;
    let mut indices = vec![0; n_rows * width];
    let mut values = vec![0.0; n_rows * width];
    if width == 0 {
        return Ok(Neighbours { n_rows, width, indices, values });
    }
    job.run(|| {
        let out = indices.par_chunks_mut(width).zip(values.par_chunks_mut(width));
        out.zip(similarity.par_chunks(n_features)).enumerate().try_for_each(
            |(row, ((indices, values), similarity))| {
                job.proceed()?;
                let mut best = TopN::<E>::new(width);
                for (column, &value) in similarity.iter().enumerate() {
                    if column == row_start + row {
                        continue;
                    }
                    if !E::is_finite(value) {
                        return Err(Error::NotFinite {
                            what: "similarity",
                            row,
                            column,
                            value: value.into(),
                        });
                    }
                    best.push(E::new(value, column as u32));
                }
                for ((index, value), entry) in indices.iter_mut().zip(values).zip(best.finish()) {
                    *index = entry.feature();
                    *value = entry.value();
                }
                Ok(())
            },
        )
    })?;
    Ok(Neighbours { n_rows, width, indices, values })
}
