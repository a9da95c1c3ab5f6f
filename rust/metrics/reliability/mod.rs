//! How a score varies from one part of the documents to another.
//!
//! Documents are dealt into 16 groups. The counts of all groups come from one pass over the bits,
//! and those of a replicate are sums of its groups'. Each row is ranked in all 32 replicates in turn
//! and compared with its semantic lists on the spot; no list outlives its row.
//!
//! Floor: every pair counted once for each of its two rows, since nothing of F × F is held; then for
//! each row and replicate one measure per column, one pass that selects, and a sort of the
//! neighbours.

mod groups;
mod scorer;
mod splits;

use rayon::prelude::*;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::measures::Measure;
use crate::metrics::ndcg::Scale;
use crate::metrics::reliability::groups::Groups;
use crate::metrics::reliability::scorer::{Replicate, Scorer, Scratch};
pub use crate::metrics::reliability::splits::{GROUPS, SPLITS};
use crate::metrics::reliability::splits::{Members, splits};
use crate::metrics::ties::Averages;
use crate::neighbours::row_ties::Lists;
use crate::occurrences::Occurrences;
use crate::simd::line::LINE_WINDOWS;
use crate::simd::popcount::REGISTER_TILE;

/// Rows that are counted together, at most.
const HEIGHT: usize = 64;
/// Bytes of counts that all threads hold together, if that is enough for four rows each.
const COUNT_BYTES: usize = 1 << 30;
/// Scores of a row from one pair of replicates in each split.
const PAIRS: usize = 2 * SPLITS;
const FEWER: &str = "score fewer rows at a time (rows=...)";

/// NDCG by split and side; NaN where a feature never or always occurs in a replicate.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicates {
    /// For each set of semantic lists, split and half, a score per row.
    pub halves: Vec<f64>,
    /// For each set of semantic lists, split and quarter, a score per row.
    pub quarters: Vec<f64>,
    /// For each split and half, a score per row: how well the half's order predicts the other's.
    pub agreement: Vec<f64>,
}

/// What is ranked, and by which rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    /// Features that are scored.
    pub rows: &'a [u32],
    /// Features that may appear in the functional lists, ascending.
    pub candidates: &'a [u32],
    /// Measure of co-occurrence.
    pub measure: Measure,
    /// Length of the lists.
    pub top_n: usize,
    /// Base of the gains.
    pub base: f64,
    /// Whether ties are averaged; otherwise they go by index.
    pub ties: bool,
}

/// Score the rows in each replicate against each of the semantic lists, which have the same rows.
///
/// # Errors
/// [`Error::Argument`] and [`Error::Mismatch`] for groups other than 0 to 15 of all windows, for
/// features that do not exist, candidates that do not rise, and lists of other rows; as
/// [`crate::ndcg::ranked`].
pub fn replicates(
    occurrences: &Occurrences,
    group_of: &[u8],
    semantic: &[Lists<'_>],
    rule: Rule<'_>,
    context: &Context,
) -> Result<Replicates> {
    check(occurrences.n_features(), semantic, rule)?;
    let width = rule.width();
    let widest = semantic.iter().map(|lists| lists.width).max().unwrap_or(0);
    let scale = Scale::new(rule.top_n, rule.base, width.max(widest))?;
    let n_out = PAIRS * (2 * semantic.len() + 1);
    check_memory(occurrences, rule, n_out, context)?;
    let groups = Groups::new(occurrences, group_of, rule.rows, rule.candidates, context)?;
    let ideal_of = |lists: &Lists<'_>| scale.ideal(lists.width.min(rule.top_n));
    let scorer = Scorer {
        splits: splits().map(|split| {
            let made = |members: Members| Replicate::new(&groups, members);
            [split.halves.map(made), split.quarters.map(made)]
        }),
        semantic,
        rule,
        width,
        ideals: semantic.iter().map(ideal_of).collect(),
        ideal: scale.ideal(width),
        gains: Averages::new(scale.gains().to_vec()),
        discounts: Averages::new(scale.discounts().to_vec()),
        groups,
    };
    let mut scores = vec![f64::NAN; rule.rows.len() * n_out];
    context.run(|| {
        let height = height(scorer.groups.stride(), rule.rows.len());
        scores.par_chunks_mut(height * n_out).enumerate().try_for_each_init(
            || Scratch::new(&scorer, height),
            |scratch, (block, out)| scorer.rows(block * height, (out, n_out), scratch, context),
        )
    })?;
    let n = PAIRS * semantic.len();
    let columns = |from: usize, to: usize| {
        let rows = || scores.chunks(n_out);
        (from..to).flat_map(|column| rows().map(move |row| row[column])).collect()
    };
    Ok(Replicates {
        halves: columns(0, n),
        quarters: columns(n, 2 * n),
        agreement: columns(2 * n, n_out),
    })
}

impl Rule<'_> {
    /// Length of the functional lists.
    fn width(&self) -> usize {
        let is_candidate = |row: &u32| self.candidates.binary_search(row).is_ok();
        self.top_n.min(self.candidates.len() - usize::from(self.rows.iter().any(is_candidate)))
    }
}

fn check(n_features: usize, semantic: &[Lists<'_>], rule: Rule<'_>) -> Result<()> {
    for (name, features) in [("rows", rule.rows), ("candidates", rule.candidates)] {
        if let Some(at) = features.iter().position(|&f| f as usize >= n_features) {
            let got = format!("{} at position {at}", features[at]);
            return Err(Error::argument(name, got, format!("below n_features = {n_features}")));
        }
    }
    if let Some(at) = rule.candidates.windows(2).position(|pair| pair[0] >= pair[1]) {
        let got = format!("{} after {}", rule.candidates[at + 1], rule.candidates[at]);
        return Err(Error::argument("candidates", got, "strictly increasing"));
    }
    for lists in semantic {
        if lists.n_rows != rule.rows.len() {
            return Err(Error::Mismatch {
                what: "a semantic ranking's number of rows",
                got: lists.n_rows,
                other: "rows",
                expected: rule.rows.len(),
            });
        }
    }
    Ok(())
}

/// Refuse to begin where the bits in the order of groups, the counts and the scores would not fit.
fn check_memory(
    occurrences: &Occurrences,
    rule: Rule<'_>,
    n_out: usize,
    context: &Context,
) -> Result<()> {
    let (rows, cols) = (rule.rows.len() as u128, rule.candidates.len() as u128);
    let sides = if rule.rows == rule.candidates { cols } else { rows + cols };
    // The lines of a group are rounded up, and so is their number, to twice at most.
    let lines = 2 * occurrences.n_windows().div_ceil(LINE_WINDOWS) + 2 * GROUPS;
    let margins = 16 * 4 * SPLITS as u128 * sides;
    let counts = COUNT_BYTES as u128;
    let bytes = 64 * lines as u128 * sides + margins + counts + 16 * rows * n_out as u128;
    context.check_memory("the counts of all groups", bytes, FEWER)
}

/// Rows that are counted together.
fn height(stride: usize, n_rows: usize) -> usize {
    let n_threads = rayon::current_num_threads();
    let fitting = COUNT_BYTES / (n_threads * GROUPS * stride.max(1) * size_of::<u32>());
    // Few rows are split so that all threads are busy.
    let rows = fitting.min(n_rows.div_ceil(n_threads)).min(HEIGHT);
    rows.next_multiple_of(REGISTER_TILE).clamp(REGISTER_TILE, HEIGHT)
}
