//! Which labels may be among the best, from sums that are known within bounds.

/// Labels kept before those are dropped that cannot be among the best any more.
const ROOM: usize = 64;

/// Labels that may be among the `n` of highest sum.
pub(crate) struct Shortlist {
    n: usize,
    /// The `n` highest lower bounds so far, falling.
    lowest: Vec<f64>,
    /// Labels and the upper bounds of their sums.
    labels: Vec<(usize, f64)>,
}

impl Shortlist {
    pub(crate) fn new(n: usize) -> Self {
        Self { n, lowest: Vec::with_capacity(n + 1), labels: Vec::new() }
    }

    /// Forget all labels.
    pub(crate) fn clear(&mut self) {
        self.lowest.clear();
        self.labels.clear();
    }

    /// Add a label whose sum is within two bounds.
    pub(crate) fn add(&mut self, label: usize, (low, high): (f64, f64)) {
        if self.n == 0 || high < self.least() {
            return;
        }
        let at = self.lowest.partition_point(|&other| other >= low);
        if at < self.n {
            self.lowest.insert(at, low);
            self.lowest.truncate(self.n);
        }
        if self.labels.len() == self.labels.capacity().max(ROOM) {
            let least = self.least();
            self.labels.retain(|&(_, high)| high >= least);
        }
        self.labels.push((label, high));
    }

    /// The labels that may be among the best.
    pub(crate) fn labels(&self) -> impl Iterator<Item = usize> {
        let least = self.least();
        self.labels.iter().filter(move |&&(_, high)| high >= least).map(|&(label, _)| label)
    }

    /// No sum below this one can be among the highest.
    pub(crate) fn least(&self) -> f64 {
        if self.lowest.len() < self.n { f64::NEG_INFINITY } else { self.lowest[self.n - 1] }
    }
}
