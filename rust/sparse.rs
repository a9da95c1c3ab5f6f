//! Counting pairs where occurrences are rare: an increment for each, instead of all the bits.
//!
//! Row i of the counts is the sum of the windows in which i occurs, each a list of features.
//! The lists are cut into panels of [`PANEL`] features, whose 16-bit counts fill the L1 cache.
//!
//! Floor: an increment a cycle at best, `sum over windows of k²` of them, k features a window;
//! against three operations on 512 windows a pair for the dense kernel. So the two meet where
//! about one feature in thirty occurs.

use rayon::prelude::*;

use crate::bits::{BLOCK_WINDOWS, for_each_one};
use crate::error::Result;
use crate::job::Job;
use crate::kernels::Isa;
use crate::occurrences::Occurrences;

/// Features a panel: 32 KiB of counts.
const PANEL: usize = 16_384;
/// Windows after which a 16-bit count might overflow.
const RUN: usize = u16::MAX as usize;

/// For each feature its windows.
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

/// The windows of one feature.
pub(crate) fn windows(occurrences: &Occurrences, feature: usize) -> Vec<u32> {
    let mut windows = Vec::new();
    for (b, block) in occurrences.blocks().iter().enumerate() {
        let used = &block.row(feature)[..block.n_lines()];
        for_each_one(used, |w| windows.push((b * BLOCK_WINDOWS + w) as u32));
    }
    windows
}

/// For each window its features, panel by panel.
#[derive(Debug)]
pub(crate) struct ByWindow {
    panels: Vec<Panel>,
    n_features: usize,
}

#[derive(Debug)]
struct Panel {
    bounds: Vec<usize>,
    features: Vec<u16>,
}

impl ByWindow {
    pub(crate) fn new(by_feature: &ByFeature, n_windows: usize) -> Self {
        let panel = |features: &[Vec<u32>]| {
            let mut bounds = vec![0; n_windows + 1];
            for &window in features.iter().flatten() {
                bounds[window as usize + 1] += 1;
            }
            for w in 0..n_windows {
                bounds[w + 1] += bounds[w];
            }
            let mut next = bounds.clone();
            let mut members = vec![0; bounds[n_windows]];
            for (feature, windows) in features.iter().enumerate() {
                for &window in windows {
                    members[next[window as usize]] = feature as u16;
                    next[window as usize] += 1;
                }
            }
            Panel { bounds, features: members }
        };
        Self {
            panels: by_feature.windows.par_chunks(PANEL).map(panel).collect(),
            n_features: by_feature.windows.len(),
        }
    }

    /// Add to `out`, one count a feature, the windows among `windows` in which it occurs.
    pub(crate) fn count(&self, windows: &[u32], counts: &mut Vec<u16>, out: &mut [u32]) {
        counts.resize(PANEL, 0);
        let Some(counts) = counts.first_chunk_mut::<PANEL>() else {
            return;
        };
        for (panel, out) in self.panels.iter().zip(out[..self.n_features].chunks_mut(PANEL)) {
            for run in windows.chunks(RUN) {
                counts.fill(0);
                for &window in run {
                    let bounds = &panel.bounds[window as usize..][..2];
                    for &feature in &panel.features[bounds[0]..bounds[1]] {
                        let count = &mut counts[feature as usize % PANEL];
                        *count = count.wrapping_add(1);
                    }
                }
                for (out, &count) in out.iter_mut().zip(counts.iter()) {
                    *out += u32::from(count);
                }
            }
        }
    }
}

/// Refuse lists beyond the memory limit: those of features that occur `counts` times.
pub(crate) fn check_memory(counts: &[u64], n_windows: usize, job: &Job) -> Result<()> {
    let occurrences = counts.iter().map(|&c| u128::from(c)).sum::<u128>();
    let bounds = size_of::<usize>() * (n_windows + 1) * counts.len().div_ceil(PANEL);
    let bytes = occurrences * (size_of::<u32>() + size_of::<u16>()) as u128 + bounds as u128;
    job.check_memory("the windows of each feature", bytes, "count fewer windows at a time")
}

/// Whether counting by increments beats the dense kernel for these rows and columns, given how
/// often their features occur. `pairs` is the number that the dense kernel would count.
pub(crate) fn pays(rows: &[u64], cols: &[u64], pairs: f64, n_windows: usize) -> bool {
    let occurrences = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let n = n_windows.max(1) as f64;
    let increments = occurrences(rows) * (occurrences(cols) / n);
    // Measured: ns an increment, and bits a ns, on one machine; the optimum is flat.
    let bits_a_ns = match Isa::active().name() {
        "avx512" => 1000.0,
        "avx2" => 370.0,
        _ => 100.0,
    };
    let touched = (rows.len() * cols.len()) as f64 * 0.2;
    0.7 * increments + touched < pairs * n.max(512.0) / bits_a_ns
}
