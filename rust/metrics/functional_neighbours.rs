//! A feature's functional neighbours, looked up by the features that earn gains.

use crate::metrics::feature_map::FeatureMap;
use crate::metrics::ties::{Averages, weighted};
use crate::neighbours::row_ties::Lists;

/// First neighbours of a row that tell which others are like it.
const FIRST: usize = 8;

/// A feature and its functional neighbours; its buffers are reused for the next one.
pub(crate) struct Neighbours {
    pub(crate) feature: u32,
    /// Neighbours and their discounts, nearest first.
    pub(crate) list: Vec<(u32, f64)>,
    /// Place of each neighbour in the list, from 1; 0 for all other features.
    place_of: FeatureMap<u32>,
    /// Discount of each neighbour, in single precision.
    rounded: FeatureMap<f32>,
    /// Discounts by that place.
    pub(crate) discounts: Vec<f64>,
    means: Vec<f64>,
}

impl Neighbours {
    /// Make room for neighbours among features up to and with `largest`.
    pub(crate) fn new(largest: usize) -> Self {
        Self {
            feature: 0,
            list: Vec::new(),
            place_of: FeatureMap::new(largest),
            rounded: FeatureMap::new(largest),
            discounts: Vec::new(),
            means: Vec::new(),
        }
    }

    /// Take the neighbours of a feature, after [`Self::clear`].
    pub(crate) fn set(&mut self, feature: u32, lists: Lists<'_>, row: usize, discounts: &Averages) {
        let list = lists.row(row);
        self.feature = feature;
        self.discounts.push(0.0);
        for (neighbour, discount) in weighted(list, discounts.of(list, &mut self.means)) {
            // Only malformed lists name a feature twice; the first place counts.
            if self.place_of.get(neighbour) == 0 {
                self.list.push((neighbour, discount));
                self.discounts.push(discount);
                self.place_of.set(std::iter::once((neighbour, self.list.len() as u32)));
                self.rounded.set(std::iter::once((neighbour, discount as f32)));
            }
        }
    }

    /// Forget the neighbours.
    pub(crate) fn clear(&mut self) {
        let features = self.list.iter().map(|&(neighbour, _)| neighbour);
        self.place_of.clear(features.clone());
        self.rounded.clear(features.chain([self.feature]));
        self.list.clear();
        self.discounts.clear();
    }

    /// Place of the feature to which a gain of the label of `standing` goes. The feature's own label
    /// would stand where that one stands now.
    #[inline(always)]
    pub(crate) fn place(&self, feature: u32, standing: u32) -> usize {
        self.place_of.get(if feature == self.feature { standing } else { feature }) as usize
    }

    /// The discount of that feature; 0 if it is not listed.
    #[inline(always)]
    pub(crate) fn discount(&self, feature: u32, standing: u32) -> f64 {
        self.discounts[self.place(feature, standing)]
    }

    /// Let the feature stand where `standing` stands now, for [`Self::rounded`].
    #[inline(always)]
    pub(crate) fn exchange(&mut self, standing: u32) {
        let place = self.place_of.get(standing);
        let discount = self.discounts[place as usize] as f32;
        self.rounded.set(std::iter::once((self.feature, discount)));
    }

    /// The discount of a feature in single precision; 0 if it is not listed.
    #[inline(always)]
    pub(crate) fn rounded(&self, feature: u32) -> f32 {
        self.rounded.get(feature)
    }
}

/// The rows in an order in which those with common neighbours most likely follow each other, so that
/// what is known of these is still in the cache: by the least of their first neighbours, by a hash.
pub(crate) fn by_likeness(lists: Lists<'_>) -> Vec<usize> {
    let least = |&row: &usize| {
        let neighbours = lists.row(row).features.iter().take(FIRST);
        // Knuth's multiplicative hash.
        neighbours.map(|&feature| feature.wrapping_mul(2_654_435_761)).min()
    };
    let mut order: Vec<usize> = (0..lists.n_rows).collect();
    order.sort_by_cached_key(least);
    order
}
