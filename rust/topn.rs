//! The best few of many, in a total order: larger value first, then smaller feature index.

/// A candidate that compares as it ranks: the better one is the smaller.
pub trait Entry: Copy + Ord + Send + Sync {
    /// What is ranked.
    type Value: Copy + Into<f64> + Send + Sync;

    /// Candidate `feature` with `value`.
    fn new(value: Self::Value, feature: u32) -> Self;
    /// The feature.
    fn feature(self) -> u32;
    /// The value in single precision.
    fn value(self) -> f32;
    /// Whether the value can be ranked.
    fn is_finite(value: Self::Value) -> bool;
}

/// A float32 candidate: value bits that fall as the value rises, above the feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Single(u64);

/// A float64 candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Double {
    key: u64,
    feature: u32,
}

impl Entry for Single {
    type Value = f32;

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
    fn value(self) -> f32 {
        let falling = (self.0 >> 32) as u32;
        f32::from_bits(falling ^ (!((falling as i32) >> 31) as u32 & 0x7fff_ffff))
    }

    fn is_finite(value: f32) -> bool {
        value.is_finite()
    }
}

impl Entry for Double {
    type Value = f64;

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
    fn value(self) -> f32 {
        let key = self.key;
        f64::from_bits(key ^ (!((key as i64) >> 63) as u64 & 0x7fff_ffff_ffff_ffff)) as f32
    }

    fn is_finite(value: f64) -> bool {
        value.is_finite()
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
        Self { n, entries: Vec::with_capacity(Self::capacity(n)), worst: None }
    }

    /// Half as much again: a selection every n/2 insertions costs O(1) each.
    pub fn capacity(n: usize) -> usize {
        n + n / 2 + 1
    }

    /// Show one candidate.
    #[inline]
    pub fn push(&mut self, entry: E) {
        if self.worst.is_some_and(|worst| entry >= worst) || self.n == 0 {
            return;
        }
        self.entries.push(entry);
        if self.entries.len() == Self::capacity(self.n) {
            self.cut();
        }
    }

    /// The best, best first.
    pub fn finish(mut self) -> Vec<E> {
        self.entries.sort_unstable();
        self.entries.truncate(self.n);
        self.entries
    }

    fn cut(&mut self) {
        let (_, worst, _) = self.entries.select_nth_unstable(self.n - 1);
        self.worst = Some(*worst);
        self.entries.truncate(self.n);
    }
}
