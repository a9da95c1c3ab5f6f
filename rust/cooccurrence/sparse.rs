//! Counting pairs where occurrences are sparse: one increment per shared window.
//!
//! Row i of the counts is the sum over the windows in which i occurs, each a list of features. The
//! lists are cut into panels of [`PANEL`] features, whose 16-bit counts fit the L2 cache.
//!
//! Rejected: panels whose counts fit the L1 cache, 16,384 features or fewer. Their lists are
//! shorter, and finding the next list costs more than reaching the more distant counts.
//!
//! Floor: one increment per cycle at best, the sum over windows of k² of them for k features in a
//! window; the dense kernel takes three operations per pair and 512 windows. So the two are equally
//! fast where about one feature in thirty occurs.

use std::ops::Range;

use rayon::prelude::*;

use crate::context::Context;
use crate::error::Result;
use crate::occurrences::Occurrences;
use crate::occurrences::bits::BLOCK_WINDOWS;
use crate::simd::line::for_each_window;
use crate::simd::{Isa, prefetch};

/// Features in a panel: as many as 16 bits can index.
const PANEL: usize = 1 << 16;
/// Number of windows by which the prefetch of a list precedes its counting.
const PREFETCH_DISTANCE: usize = 4;
/// 16-bit features in a cache line.
const LINE: usize = 32;
/// Largest number of windows that a 16-bit count can hold.
pub(crate) const RUN: usize = u16::MAX as usize;

/// The windows of each feature.
#[derive(Debug)]
pub(crate) struct ByFeature {
    windows: Vec<Vec<u32>>,
}

impl ByFeature {
    pub(crate) fn new(occurrences: &Occurrences) -> Self {
        let features = (0..occurrences.n_features()).into_par_iter().with_min_len(16);
        Self { windows: features.map(|feature| windows(occurrences, feature)).collect() }
    }

    pub(crate) fn windows(&self, feature: usize) -> &[u32] {
        &self.windows[feature]
    }
}

/// List the windows in which a feature occurs.
pub(crate) fn windows(occurrences: &Occurrences, feature: usize) -> Vec<u32> {
    let mut windows = Vec::new();
    for (b, block) in occurrences.blocks().iter().enumerate() {
        let used = &block.row(feature)[..block.n_lines()];
        for_each_window(used, |w| windows.push((b * BLOCK_WINDOWS + w) as u32));
    }
    windows
}

/// The features of each window, panel by panel.
#[derive(Debug)]
pub(crate) struct ByWindow {
    panels: Vec<Panel>,
}

/// The features of one panel that occur in each window.
#[derive(Debug)]
pub(crate) struct Panel {
    n_features: usize,
    bounds: Vec<usize>,
    features: Vec<u16>,
}

impl ByWindow {
    pub(crate) fn new(by_feature: &ByFeature, n_windows: usize) -> Self {
        let panels = by_feature.windows.par_chunks(PANEL);
        Self { panels: panels.map(|features| Panel::new(features, n_windows)).collect() }
    }

    /// Iterate over the panels and the first feature of each.
    pub(crate) fn panels(&self) -> impl Iterator<Item = (usize, &Panel)> {
        self.panels.iter().enumerate().map(|(p, panel)| (p * PANEL, panel))
    }

    /// Add to `out`, for each feature, how many of `windows` it occurs in.
    pub(crate) fn count(&self, windows: &[u32], counts: &mut PanelCounts, out: &mut [u32]) {
        for (panel, out) in self.panels.iter().zip(out.chunks_mut(PANEL)) {
            for run in windows.chunks(RUN) {
                for (out, &count) in out.iter_mut().zip(panel.tally(run, counts)) {
                    *out += u32::from(count);
                }
            }
        }
    }
}

impl Panel {
    /// Index up to [`PANEL`] features, given the windows of each.
    pub(crate) fn new(features: &[impl AsRef<[u32]>], n_windows: usize) -> Self {
        let mut bounds = vec![0; n_windows + 1];
        for &window in features.iter().flat_map(AsRef::as_ref) {
            bounds[window as usize + 1] += 1;
        }
        for w in 0..n_windows {
            bounds[w + 1] += bounds[w];
        }
        let mut next = bounds.clone();
        let mut members = vec![0; bounds[n_windows]];
        for (feature, windows) in features.iter().enumerate() {
            for &window in windows.as_ref() {
                members[next[window as usize]] = feature as u16;
                next[window as usize] += 1;
            }
        }
        Self { n_features: features.len(), bounds, features: members }
    }

    /// Count for each feature how many of `windows`, at most [`RUN`], it occurs in.
    pub(crate) fn tally<'a>(&self, windows: &[u32], counts: &'a mut PanelCounts) -> &'a [u16] {
        let counts = &mut counts.0;
        counts[..self.n_features].fill(0);
        for (i, &window) in windows.iter().enumerate() {
            // The lists of a row's windows are scattered in memory: each would be a cache miss.
            if let Some(&later) = windows.get(i + PREFETCH_DISTANCE) {
                for at in self.list(later).step_by(LINE) {
                    prefetch(&self.features, at);
                }
            }
            for &feature in &self.features[self.list(window)] {
                let count = &mut counts[feature as usize];
                *count = count.wrapping_add(1);
            }
        }
        &counts[..self.n_features]
    }

    /// Return the range of the features of a window.
    #[inline]
    fn list(&self, window: u32) -> Range<usize> {
        let bounds = &self.bounds[window as usize..][..2];
        bounds[0]..bounds[1]
    }
}

/// A buffer for the counts of a panel.
pub(crate) struct PanelCounts(Box<[u16; PANEL]>);

impl PanelCounts {
    pub(crate) fn new() -> Self {
        Self(vec![0; PANEL].try_into().expect("the length of a panel"))
    }
}

/// Refuse lists that exceed the memory limit, for features that occur `counts` times.
pub(crate) fn check_memory(counts: &[u64], n_windows: usize, context: &Context) -> Result<()> {
    let occurrences = counts.iter().map(|&c| u128::from(c)).sum::<u128>();
    // A sample of the features may add one panel.
    let bounds = size_of::<usize>() * (n_windows + 1) * (counts.len().div_ceil(PANEL) + 1);
    let bounds_of_features = 2 * size_of::<f32>() * counts.len();
    let lists = occurrences * (size_of::<u32>() + size_of::<u16>()) as u128;
    let bytes = lists + (bounds + bounds_of_features) as u128;
    context.check_memory("the windows of each feature", bytes, "count fewer windows at a time")
}

/// Tell whether increments are faster than the dense kernel, given how often the features of the
/// rows and of the columns occur. `pairs` is the number of pairs that the dense kernel would count.
pub(crate) fn is_faster(rows: &[u64], cols: &[u64], pairs: f64, n_windows: usize) -> bool {
    let occurrences = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let n = n_windows.max(1) as f64;
    let increments = occurrences(rows) * (occurrences(cols) / n);
    // Measured on one machine: ns per increment, and bits per ns. The optimum is flat.
    let bits_per_ns = match Isa::active().name() {
        "avx512" => 1000.0,
        "avx2" => 370.0,
        _ => 100.0,
    };
    let touched = (rows.len() * cols.len()) as f64 * 0.2;
    0.7 * increments + touched < pairs * n.max(512.0) / bits_per_ns
}
