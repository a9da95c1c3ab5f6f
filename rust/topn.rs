//! The best few of many, in a total order: larger value first, then smaller feature index.

use crate::kernels::Isa;
use crate::kernels::above::{CHUNK, above_f32, above_f64};

/// A candidate that compares as it ranks: the better one is the smaller.
pub trait Entry: Copy + Ord + Send + Sync {
    /// What is ranked.
    type Value: Copy + PartialOrd + Into<f64> + Send + Sync;
    /// Below every value.
    const LOWEST: Self::Value;

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
#[derive(Debug)]
pub struct TopN<E> {
    n: usize,
    entries: Vec<E>,
    worst: Option<E>,
}

impl<E: Entry> TopN<E> {
    /// Room for the best `n`.
    pub fn new(n: usize) -> Self {
        Self { n, entries: Vec::new(), worst: None }
    }

    /// Entries held at most. Half as much again as are wanted: a selection every n/2 insertions
    /// costs O(1) each.
    pub fn capacity(n: usize) -> usize {
        n + n / 2 + 1
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
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(Self::capacity(self.n));
        }
        self.entries.push(entry);
        if self.entries.len() == Self::capacity(self.n) {
            self.cut();
        }
    }

    /// The best, best first.
    pub fn finish(mut self) -> Vec<E> {
        best_of(&mut self.entries, self.n);
        self.entries
    }

    fn cut(&mut self) {
        let (_, worst, _) = self.entries.select_nth_unstable(self.n - 1);
        self.worst = Some(*worst);
        self.entries.truncate(self.n);
    }
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
    best_of(best, n);
    Ok(())
}

/// Cut to the best `n`, in order.
fn best_of<E: Entry>(entries: &mut Vec<E>, n: usize) {
    if n > 0 && entries.len() > n {
        entries.select_nth_unstable(n - 1);
    }
    entries.truncate(n);
    entries.sort_unstable();
}

/// A value that at least `n` others reach, most likely, and not many more.
fn guess<E: Entry>(values: &[E::Value], n: usize, scratch: &mut Vec<E>) -> E::Value {
    const SAMPLE: usize = 512;
    let share = n as f64 / values.len().max(1) as f64;
    if values.len() < 4 * SAMPLE || share > 0.4 {
        return E::LOWEST;
    }
    // Two standard deviations of the count above the quantile: one row in fifty is read twice.
    let expected = SAMPLE as f64 * share;
    let rank = (expected + 2.0 * (expected * (1.0 - share)).sqrt() + 2.0) as usize;
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
        while mask != 0 {
            let k = mask.trailing_zeros() as usize;
            out.push(E::new(chunk[k], (c * CHUNK + k) as u32));
            mask &= mask - 1;
        }
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
