//! A value for each feature of a row.

use std::collections::HashMap;

/// Features that a table holds at most: 32 MiB of gains per thread.
const LARGEST_TABLE: usize = 1 << 22;

/// Values by feature; the default for features that are not in the row.
pub(crate) enum FeatureMap<T> {
    /// By index.
    Table(Vec<T>),
    /// For indices too large for a table.
    Map(HashMap<u32, T>),
}

impl<T: Copy + Default> FeatureMap<T> {
    /// Make a map for features up to and with `largest`.
    pub(crate) fn new(largest: usize) -> Self {
        if largest < LARGEST_TABLE {
            Self::Table(vec![T::default(); largest + 1])
        } else {
            Self::Map(HashMap::new())
        }
    }

    /// Set the values from the last to the first, so that the first of a feature remains.
    #[inline(always)]
    pub(crate) fn set(&mut self, values: impl DoubleEndedIterator<Item = (u32, T)>) {
        match self {
            Self::Table(table) => values.rev().for_each(|(f, value)| table[f as usize] = value),
            Self::Map(map) => map.extend(values.rev()),
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, feature: u32) -> T {
        let value = match self {
            Self::Table(table) => table.get(feature as usize),
            Self::Map(map) => map.get(&feature),
        };
        value.copied().unwrap_or_default()
    }

    /// Forget the values of `features`, which are all that were set.
    #[inline(always)]
    pub(crate) fn clear(&mut self, features: impl Iterator<Item = u32>) {
        match self {
            Self::Table(table) => features.for_each(|f| table[f as usize] = T::default()),
            Self::Map(map) => map.clear(),
        }
    }
}
