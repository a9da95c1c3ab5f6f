//! The best few of many, in a total order: larger value first, then smaller feature index.

use crate::simd::Isa;
use crate::simd::line::for_each_bit;
use crate::simd::threshold::{CHUNK, above_f32, above_f64};

/// A candidate that compares as it ranks: the better one is the smaller.
pub trait Entry: Copy + Ord + Send + Sync {
    /// What is ranked.
    type Value: Copy + PartialOrd + Into<f64> + Send + Sync;
    /// Below every value.
    const LOWEST: Self::Value;
    /// Stands where no candidate has come yet.
    const FILLER: Self;

    /// Candidate `feature` with `value`.
    fn new(value: Self::Value, feature: u32) -> Self;
    /// The feature.
    fn feature(self) -> u32;
    /// The value.
    fn exact(self) -> Self::Value;
    /// The value in single precision.
    fn value(self) -> f32;
    /// Bit k: `values[k] >= bounds[k]`; and whether all values are finite.
    fn above(isa: Isa, values: &[Self::Value; CHUNK], bounds: &[Self::Value; CHUNK])
    -> (u64, bool);
}

/// A float32 candidate: value bits that fall as the value rises, above the feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Single(u64);

/// A float64 candidate; packed, as millions of them are held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
pub struct Double {
    key: u64,
    feature: u32,
}

impl Entry for Single {
    type Value = f32;
    const LOWEST: f32 = f32::NEG_INFINITY;
    const FILLER: Self = Self(u64::MAX);

    #[inline]
    fn new(value: f32, feature: u32) -> Self {
        // Adding 0 makes one zero of the two, which are equal as numbers.
        let bits = (value + 0.0).to_bits();
        let falling = bits ^ (!((bits as i32) >> 31) as u32 & 0x7fff_ffff);
        Self(u64::from(falling) << 32 | u64::from(feature))
    }

    #[inline]
    fn feature(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    fn exact(self) -> f32 {
        let falling = (self.0 >> 32) as u32;
        f32::from_bits(falling ^ (!((falling as i32) >> 31) as u32 & 0x7fff_ffff))
    }

    #[inline]
    fn value(self) -> f32 {
        self.exact()
    }

    #[inline]
    fn above(isa: Isa, values: &[f32; CHUNK], bounds: &[f32; CHUNK]) -> (u64, bool) {
        above_f32(isa, values, bounds)
    }
}

impl Entry for Double {
    type Value = f64;
    const LOWEST: f64 = f64::NEG_INFINITY;
    const FILLER: Self = Self { key: u64::MAX, feature: u32::MAX };

    #[inline]
    fn new(value: f64, feature: u32) -> Self {
        let bits = (value + 0.0).to_bits();
        let key = bits ^ (!((bits as i64) >> 63) as u64 & 0x7fff_ffff_ffff_ffff);
        Self { key, feature }
    }

    #[inline]
    fn feature(self) -> u32 {
        self.feature
    }

    #[inline]
    fn exact(self) -> f64 {
        let key = self.key;
        f64::from_bits(key ^ (!((key as i64) >> 63) as u64 & 0x7fff_ffff_ffff_ffff))
    }

    #[inline]
    fn value(self) -> f32 {
        self.exact() as f32
    }

    #[inline]
    fn above(isa: Isa, values: &[f64; CHUNK], bounds: &[f64; CHUNK]) -> (u64, bool) {
        above_f64(isa, values, bounds)
    }
}

/// Keeps the best `n` of the candidates it is shown, in any order.
///
/// Its entries stand in room that is lent to it, so that many lists can share large pages.
#[derive(Debug)]
pub struct TopN<'a, E> {
    n: usize,
    room: &'a mut [E],
    len: usize,
    worst: Option<E>,
    /// Entries at which fewer are kept.
    limit: usize,
    /// How many are kept then.
    kept: usize,
}

impl<'a, E: Entry> TopN<'a, E> {
    /// The best `n`, in room for [`room_for`] them.
    pub fn new(n: usize, room: &'a mut [E]) -> Self {
        let room = &mut room[..room_for(n)];
        Self { n, len: 0, worst: None, limit: room.len(), kept: n, room }
    }

    /// The same, knowing that `total` candidates will be shown, the first of them no better than
    /// others: their quantiles tell early which of the rest can be among the best. Where they
    /// deceive, the list ends up [`TopN::short`], and has to be made anew without a guess.
    pub fn guessing(n: usize, total: usize, room: &'a mut [E]) -> Self {
        let mut list = Self::new(n, room);
        let kept = rank_in_sample(n, n, total, 3.0);
        let passing = kept as f64 / n as f64 * total as f64;
        // Without a guess each candidate is kept with probability n / its number.
        let kept_anyway = n as f64 * (1.0 + (total as f64 / n as f64).ln());
        if n as f64 + passing < 0.9 * kept_anyway {
            (list.limit, list.kept) = (n, kept);
        }
        list
    }

    /// The best `n` of those that reach `bound`. Where fewer do, the list ends up [`TopN::short`].
    pub fn reaching(n: usize, bound: E::Value, room: &'a mut [E]) -> Self {
        Self { worst: Some(E::new(bound, u32::MAX)), ..Self::new(n, room) }
    }

    /// No value below this one is wanted any more.
    #[inline]
    pub fn bound(&self) -> E::Value {
        self.worst.map_or(E::LOWEST, E::exact)
    }

    /// Show one candidate.
    #[inline]
    pub fn push(&mut self, entry: E) {
        if self.worst.is_some_and(|worst| entry >= worst) || self.n == 0 {
            return;
        }
        self.room[self.len] = entry;
        self.len += 1;
        if self.len == self.limit {
            self.cut();
        }
    }

    /// Whether a guess has kept out some of the best, `n` or more candidates having been shown.
    pub fn short(&self) -> bool {
        self.len < self.n
    }

    /// The best, best first.
    pub fn finish(self) -> &'a [E] {
        let n = best_of(&mut self.room[..self.len], self.n);
        &self.room[..n]
    }

    fn cut(&mut self) {
        let (_, worst, _) = self.room[..self.len].select_nth_unstable(self.kept - 1);
        (self.worst, self.len) = (Some(*worst), self.kept);
        (self.limit, self.kept) = (self.room.len(), self.n);
    }
}

/// Entries that a list of the best `n` holds at most. Half as much again as are wanted: a selection
/// every n/2 insertions costs O(1) each.
pub fn room_for(n: usize) -> usize {
    n + n / 2 + 1
}

/// Rank in a sample of `size` that the best `n` of `total` most likely reach: so many standard
/// deviations of a count below their quantile.
pub(crate) fn rank_in_sample(size: usize, n: usize, total: usize, deviations: f64) -> usize {
    let share = n as f64 / total.max(1) as f64;
    let expected = size as f64 * share;
    let rank = expected + deviations * (expected * (1.0 - share).max(0.0)).sqrt() + 2.0;
    (rank as usize).clamp(1, size.max(1))
}

/// The best `n` of a row of values into `best`, best first; the value at `own` is not read.
///
/// A bound guessed from a sample lets through little more than `n`, so that the row is read once
/// and only those are selected and sorted.
///
/// # Errors
/// The column of a value that is not finite.
pub fn best_of_row<E: Entry>(
    isa: Isa,
    values: &[E::Value],
    own: Option<usize>,
    n: usize,
    best: &mut Vec<E>,
) -> Result<(), usize> {
    let bound = guess::<E>(values, n, best);
    reaching(isa, values, own, bound, best)?;
    let others = values.len() - usize::from(own.is_some_and(|own| own < values.len()));
    if best.len() < n.min(others) {
        reaching(isa, values, own, E::LOWEST, best)?;
    }
    let n = best_of(best, n);
    best.truncate(n);
    Ok(())
}

/// Bring the best `n` to the front, in order; how many there are.
fn best_of<E: Entry>(entries: &mut [E], n: usize) -> usize {
    if n > 0 && entries.len() > n {
        entries.select_nth_unstable(n - 1);
    }
    let n = n.min(entries.len());
    entries[..n].sort_unstable();
    n
}

/// A value that at least `n` others reach, most likely, and not many more.
fn guess<E: Entry>(values: &[E::Value], n: usize, scratch: &mut Vec<E>) -> E::Value {
    const SAMPLE: usize = 512;
    let share = n as f64 / values.len().max(1) as f64;
    if values.len() < 4 * SAMPLE || share > 0.4 {
        return E::LOWEST;
    }
    // One row in fifty is read twice.
    let rank = rank_in_sample(SAMPLE, n, values.len(), 2.0);
    let step = values.len() / SAMPLE;
    scratch.clear();
    scratch.extend((0..SAMPLE).map(|k| E::new(values[k * step + step / 2], 0)));
    let (_, &mut found, _) = scratch.select_nth_unstable(rank);
    found.exact()
}

/// All entries of a row that reach `bound`.
fn reaching<E: Entry>(
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
