//! Top-k selection in a total order: larger value first, then smaller feature index.

use crate::neighbours::entry::Entry;
use crate::neighbours::sort::best_of;
use crate::simd::Isa;
use crate::simd::line::for_each_bit;
use crate::simd::threshold::CHUNK;

/// The best `n` of the candidates that are pushed, in any order.
///
/// The entries are held in a borrowed buffer, so that many lists can share huge pages.
#[derive(Debug)]
pub struct TopN<'a, E> {
    n: usize,
    buffer: &'a mut [E],
    len: usize,
    worst: Option<E>,
    /// Number of entries at which the worse ones are dropped.
    limit: usize,
    /// Number of entries kept then.
    kept: usize,
    /// Dropped candidates whose value is that of the worst entry, where they are wanted.
    ties: Option<Vec<u32>>,
}

impl<'a, E: Entry> TopN<'a, E> {
    /// Make an empty list of the best `n`; `buffer` holds at least [`capacity_for`] `n` entries.
    pub fn new(n: usize, buffer: &'a mut [E]) -> Self {
        let buffer = &mut buffer[..capacity_for(n)];
        Self { n, len: 0, worst: None, limit: buffer.len(), kept: n, ties: None, buffer }
    }

    /// Make a list for `total` candidates, the first of which serve as a sample of all.
    ///
    /// Quantiles of the sample bound the rest early. Where the sample is not representative, the
    /// list ends up [`TopN::is_incomplete`] and must be computed again with [`TopN::new`].
    pub fn with_sampled_bound(n: usize, total: usize, buffer: &'a mut [E]) -> Self {
        let mut list = Self::new(n, buffer);
        let kept = rank_in_sample(n, n, total, 3.0);
        let passing = kept as f64 / n as f64 * total as f64;
        // Without a sample, the k-th candidate is kept with probability n / k.
        let kept_anyway = n as f64 * (1.0 + (total as f64 / n as f64).ln());
        if n as f64 + passing < 0.9 * kept_anyway {
            (list.limit, list.kept) = (n, kept);
        }
        list
    }

    /// Make a list of the best `n` candidates that reach `bound`. Where fewer do, it ends up
    /// [`TopN::is_incomplete`].
    pub fn with_bound(n: usize, bound: E::Value, buffer: &'a mut [E]) -> Self {
        Self { worst: Some(E::new(bound, u32::MAX)), ..Self::new(n, buffer) }
    }

    /// Keep, beside the best `n`, the features that tie with the last of them.
    #[must_use]
    pub fn with_ties(mut self, is_wanted: bool) -> Self {
        self.ties = is_wanted.then(Vec::new);
        self
    }

    /// Return the bound: no value below it can enter the list.
    #[inline]
    pub fn bound(&self) -> E::Value {
        self.worst.map_or(E::LOWEST, E::exact)
    }

    /// Add one candidate if it can be among the best.
    #[inline]
    pub fn push(&mut self, entry: E) {
        if self.n == 0 {
            return;
        }
        if let Some(worst) = self.worst.filter(|&worst| entry >= worst) {
            if let Some(ties) = self.ties.as_mut().filter(|_| entry.ties_with(worst)) {
                ties.push(entry.feature());
            }
            return;
        }
        self.buffer[self.len] = entry;
        self.len += 1;
        if self.len == self.limit {
            self.cut();
        }
    }

    /// Tell whether the bound rejected some of the best, given that `n` candidates or more were
    /// pushed.
    pub fn is_incomplete(&self) -> bool {
        self.len < self.n
    }

    /// Return the entries, best first, and the other features that tie with the last, ascending.
    pub fn finish(self) -> (&'a [E], Vec<u32>) {
        let Self { n, buffer, len, worst, ties, .. } = self;
        let n = best_of(&mut buffer[..len], n);
        let (best, rest) = buffer[..len].split_at(n);
        let (Some(mut ties), Some(&last)) = (ties, best.last()) else {
            return (best, Vec::new());
        };
        if !worst.is_some_and(|worst| worst.ties_with(last)) {
            ties.clear();
        }
        ties.extend(tying_with(last, rest));
        ties.sort_unstable();
        (best, ties)
    }

    fn cut(&mut self) {
        let (_, &mut worst, rest) = self.buffer[..self.len].select_nth_unstable(self.kept - 1);
        if let Some(ties) = &mut self.ties {
            if !self.worst.is_some_and(|old| old.ties_with(worst)) {
                ties.clear();
            }
            ties.extend(tying_with(worst, rest));
        }
        (self.worst, self.len) = (Some(worst), self.kept);
        (self.limit, self.kept) = (self.buffer.len(), self.n);
    }
}

/// Features of the entries whose value is that of `entry`.
fn tying_with<E: Entry>(entry: E, entries: &[E]) -> impl Iterator<Item = u32> {
    entries.iter().filter(move |other| other.ties_with(entry)).map(|other| other.feature())
}

/// Return the number of entries that a list of the best `n` holds at most: half as many again, so
/// that one selection per n / 2 insertions costs O(1) each.
pub fn capacity_for(n: usize) -> usize {
    n + n / 2 + 1
}

/// Return the rank in a sample of `size` whose value the best `n` of `total` most likely reach: the
/// expected rank, plus a number of standard deviations.
pub(crate) fn rank_in_sample(size: usize, n: usize, total: usize, deviations: f64) -> usize {
    let share = n as f64 / total.max(1) as f64;
    let expected = size as f64 * share;
    let rank = expected + deviations * (expected * (1.0 - share).max(0.0)).sqrt() + 2.0;
    (rank as usize).clamp(1, size.max(1))
}

/// Return `size` positions, evenly spaced over `total` candidates, of which there are no fewer.
pub(crate) fn evenly_spaced(size: usize, total: usize) -> impl Iterator<Item = usize> {
    let step = total / size;
    (0..size).map(move |k| k * step + step / 2)
}

/// Write the best `n` of a row of values to `best`, best first; the value at `own` is not read.
/// Columns of other values that equal the last are returned, ascending.
///
/// A bound from a sample passes few more than `n` values, so that the row is read once and only
/// those values are selected and sorted.
///
/// # Errors
/// The first column whose value is not finite.
pub fn best_of_row<E: Entry>(
    isa: Isa,
    values: &[E::Value],
    own: Option<usize>,
    n: usize,
    best: &mut Vec<E>,
) -> Result<Vec<u32>, usize> {
    let bound = sampled_bound::<E>(values, n, best);
    collect_reaching(isa, values, own, bound, best)?;
    let others = values.len() - usize::from(own.is_some_and(|own| own < values.len()));
    if best.len() < n.min(others) {
        collect_reaching(isa, values, own, E::LOWEST, best)?;
    }
    Ok(cut_to_best(best, n))
}

/// Keep the best `n` entries, best first, and return the features of others that tie with the last,
/// ascending.
pub(crate) fn cut_to_best<E: Entry>(entries: &mut Vec<E>, n: usize) -> Vec<u32> {
    let n = best_of(entries, n);
    let rest = entries.split_off(n);
    let mut ties: Vec<u32> = entries.last().map_or(Vec::new(), |&e| tying_with(e, &rest).collect());
    ties.sort_unstable();
    ties
}

/// Estimate from a sample a value that at least `n` values reach, and not many more.
fn sampled_bound<E: Entry>(values: &[E::Value], n: usize, scratch: &mut Vec<E>) -> E::Value {
    const SAMPLE: usize = 512;
    let share = n as f64 / values.len().max(1) as f64;
    if values.len() < 4 * SAMPLE || share > 0.4 {
        return E::LOWEST;
    }
    // Two standard deviations: one row in fifty is read twice.
    let rank = rank_in_sample(SAMPLE, n, values.len(), 2.0);
    scratch.clear();
    scratch.extend(evenly_spaced(SAMPLE, values.len()).map(|at| E::new(values[at], 0)));
    let (_, &mut found, _) = scratch.select_nth_unstable(rank);
    found.exact()
}

/// Collect the entries of a row that reach `bound`.
fn collect_reaching<E: Entry>(
    isa: Isa,
    values: &[E::Value],
    own: Option<usize>,
    bound: E::Value,
    out: &mut Vec<E>,
) -> Result<(), usize> {
    out.clear();
    let bounds = [bound; CHUNK];
    let (chunks, tail) = values.as_chunks::<CHUNK>();
    for (c, chunk) in chunks.iter().enumerate() {
        let (mut mask, finite) = E::above(isa, chunk, &bounds);
        let own = own.and_then(|own| own.checked_sub(c * CHUNK)).filter(|&own| own < CHUNK);
        if let Some(own) = own {
            mask &= !(1 << own);
        }
        if !finite {
            let bad = chunk.iter().enumerate().find(|&(k, &v)| Some(k) != own && !is_finite(v));
            if let Some((k, _)) = bad {
                return Err(c * CHUNK + k);
            }
        }
        for_each_bit(mask, |k| out.push(E::new(chunk[k], (c * CHUNK + k) as u32)));
    }
    for (&value, column) in tail.iter().zip(values.len() - tail.len()..) {
        if Some(column) == own {
            continue;
        }
        if !is_finite(value) {
            return Err(column);
        }
        if value >= bound {
            out.push(E::new(value, column as u32));
        }
    }
    Ok(())
}

fn is_finite(value: impl Into<f64>) -> bool {
    value.into().is_finite()
}
