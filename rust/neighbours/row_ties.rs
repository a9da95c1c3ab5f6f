//! Which neighbours of a ranked list tie with each other, and with features that found no place.

use crate::neighbours::entry::Entry;

/// The ties of a list that has any.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTies {
    /// Bit r: whether the neighbour of rank r ties with the one before it.
    joined: Vec<u64>,
    /// Features that are not listed, but tie with the last that is; ascending.
    pub beyond: Vec<u32>,
}

impl RowTies {
    /// The ties of a ranked list and of the features beyond it; `None` where there are none.
    pub(crate) fn of<E: Entry>(best: &[E], beyond: Vec<u32>) -> Option<Box<Self>> {
        let joined = best.windows(2).map(|pair| pair[0].ties_with(pair[1]));
        Self::new(best.len(), joined, beyond)
    }

    /// The ties of a list, all of whose features have one value.
    pub(crate) fn of_equal(n: usize, beyond: Vec<u32>) -> Option<Box<Self>> {
        Self::new(n, (1..n).map(|_| true), beyond)
    }

    /// `joined` says for each rank after the first whether it ties with the one before.
    fn new(n: usize, joined: impl Iterator<Item = bool>, beyond: Vec<u32>) -> Option<Box<Self>> {
        let mut bits = Vec::new();
        for (rank, joined) in (1..).zip(joined) {
            if joined {
                bits.resize(n.div_ceil(64), 0);
                bits[rank / 64] |= 1 << (rank % 64);
            }
        }
        if bits.is_empty() && beyond.is_empty() {
            return None;
        }
        Some(Box::new(Self { joined: bits, beyond }))
    }

    /// Whether the neighbour of rank `rank` ties with the one before it.
    pub fn is_joined(&self, rank: usize) -> bool {
        self.joined.get(rank / 64).is_some_and(|bits| bits >> (rank % 64) & 1 == 1)
    }
}

/// A view of ranked lists: `width` features a row.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    /// Rows.
    pub n_rows: usize,
    /// Features a row.
    pub width: usize,
    /// Features, best first.
    pub indices: &'a [u32],
    /// Ties of each row; empty where ties go by index.
    pub ties: &'a [Option<Box<RowTies>>],
}

impl<'a> Lists<'a> {
    /// One row.
    pub fn row(&self, row: usize) -> List<'a> {
        List {
            features: &self.indices[row * self.width..][..self.width],
            ties: self.ties.get(row).and_then(Option::as_deref),
        }
    }
}

/// One ranked list.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// Features, best first.
    pub features: &'a [u32],
    /// Its ties, where it has any.
    pub ties: Option<&'a RowTies>,
}

impl<'a> List<'a> {
    /// Features that tie with the last one listed.
    pub fn beyond(&self) -> &'a [u32] {
        self.ties.map_or(&[], |ties| &ties.beyond)
    }

    /// Exclusive ends of the tie class that begins at `start`: within the list, and with the features
    /// beyond it counted.
    pub fn class_ends(&self, start: usize) -> (usize, usize) {
        let n = self.features.len();
        let Some(ties) = self.ties else {
            return (start + 1, start + 1);
        };
        let end = (start + 1..n).find(|&rank| !ties.is_joined(rank)).unwrap_or(n);
        (end, if end == n { n + ties.beyond.len() } else { end })
    }
}
