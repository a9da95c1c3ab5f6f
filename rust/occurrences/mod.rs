//! Which feature occurs in which window: append, count, read back.

pub mod bits;
mod csr;
mod transform;

use std::sync::Arc;

use rayon::prelude::*;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::limits::{check_features, check_windows};
use crate::occurrences::bits::{BLOCK_WINDOWS, Block};
use crate::simd::line::{LINE_WINDOWS, for_each_window};

const FEWER: &str = "read fewer windows at a time";
const SMALLER: &str = "count fewer features or windows at a time, or raise memory_limit";

/// Occurrences of features in windows, one bit each.
///
/// A clone shares all blocks, and makes the next append copy at most the last block: a reader can
/// take a clone while the writer goes on.
#[derive(Debug, Clone)]
pub struct Occurrences {
    n_features: usize,
    n_windows: usize,
    pub(crate) blocks: Vec<Arc<Block>>,
}

impl Occurrences {
    /// Make a set of no windows.
    ///
    /// # Errors
    /// [`Error::Argument`] unless there are from 1 to 2³² features.
    pub fn new(n_features: usize) -> Result<Self> {
        check_features(n_features)?;
        Ok(Self { n_features, n_windows: 0, blocks: Vec::new() })
    }

    /// Return the number of features.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Return the number of windows.
    pub fn n_windows(&self) -> usize {
        self.n_windows
    }

    /// Return the bits, block by block; all blocks but the last are full.
    pub fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// Append windows, given by the sorted features of each.
    ///
    /// # Errors
    /// [`Error::Argument`], [`Error::Mismatch`], [`Error::FeatureOutOfRange`] or
    /// [`Error::Unsorted`] for an invalid CSR batch; [`Error::TooManyWindows`]; [`Error::Memory`];
    /// [`Error::Interrupted`]. After an error, nothing is appended.
    ///
    /// # Complexity
    /// O(entries).
    pub fn extend(&mut self, indptr: &[i64], indices: &[u32], context: &Context) -> Result<()> {
        csr::check(indptr, indices, self.n_features)?;
        self.append(indptr.len() - 1, context, |at, here, block| {
            for window in 0..here {
                if window % 1024 == 0 {
                    context.proceed()?;
                }
                let bounds = &indptr[at.source + window..][..2];
                for &feature in &indices[bounds[0] as usize..bounds[1] as usize] {
                    block.set(feature as usize, at.target + window);
                }
            }
            Ok(())
        })
    }

    /// Count the windows in which each feature occurs.
    pub fn counts(&self) -> Vec<u64> {
        (0..self.n_features)
            .into_par_iter()
            .with_min_len(64)
            .map(|feature| {
                let lines = self.blocks.iter().flat_map(|block| block.row(feature));
                lines.flat_map(|line| line.0).map(|word| u64::from(word.count_ones())).sum()
            })
            .collect()
    }

    /// Return the windows `start..stop` as a CSR batch.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `start <= stop <= n_windows`; [`Error::Memory`];
    /// [`Error::Interrupted`].
    pub fn rows(
        &self,
        start: usize,
        stop: usize,
        context: &Context,
    ) -> Result<(Vec<i64>, Vec<u32>)> {
        if stop > self.n_windows {
            return Err(Error::argument("stop", stop, format!("at most {}", self.n_windows)));
        }
        if start > stop {
            return Err(Error::argument("start", start, format!("at most stop = {stop}")));
        }
        let mut indptr = vec![0_i64; stop - start + 1];
        self.for_each_occurrence(start, stop, context, |window, _| indptr[window + 1] += 1)?;
        for i in 1..indptr.len() {
            indptr[i] += indptr[i - 1];
        }
        let mut next = indptr.clone();
        let n = indptr[stop - start] as usize;
        context.check_memory("the features of all windows", 4 * n as u128, FEWER)?;
        let mut indices = vec![0_u32; n];
        self.for_each_occurrence(start, stop, context, |window, feature| {
            indices[next[window] as usize] = feature as u32;
            next[window] += 1;
        })?;
        Ok((indptr, indices))
    }

    /// Call `visit(window - start, feature)` for each occurrence, with features ascending within a
    /// window.
    fn for_each_occurrence(
        &self,
        start: usize,
        stop: usize,
        context: &Context,
        mut visit: impl FnMut(usize, usize),
    ) -> Result<()> {
        for (b, block) in self.blocks.iter().enumerate() {
            let offset = b * BLOCK_WINDOWS;
            let from = start.max(offset);
            let to = stop.min(offset + block.n_windows());
            if from >= to {
                continue;
            }
            let lines = (from - offset) / LINE_WINDOWS..(to - offset).div_ceil(LINE_WINDOWS);
            let offset = offset + lines.start * LINE_WINDOWS;
            for feature in 0..self.n_features {
                context.proceed()?;
                for_each_window(&block.row(feature)[lines.clone()], |window| {
                    let window = offset + window;
                    if (from..to).contains(&window) {
                        visit(window - start, feature);
                    }
                });
            }
        }
        Ok(())
    }

    /// Append `n_new` windows, which `fill` sets block by block; an error restores the former
    /// windows.
    fn append(
        &mut self,
        n_new: usize,
        context: &Context,
        mut fill: impl FnMut(&Offsets, usize, &mut Block) -> Result<()> + Send,
    ) -> Result<()> {
        let first = self.n_windows;
        self.grow(n_new, context)?;
        let filled = context.run(|| {
            self.blocks_between(first, n_new)
                .try_for_each(|(at, here, block)| fill(&at, here, block))
        });
        if filled.is_err() {
            self.truncate(first);
        }
        filled
    }

    /// Remove all windows from `n_windows` on.
    fn truncate(&mut self, n_windows: usize) {
        self.blocks.truncate(n_windows.div_ceil(BLOCK_WINDOWS));
        if let Some(block) = self.blocks.last_mut() {
            Arc::make_mut(block).truncate((n_windows - 1) % BLOCK_WINDOWS + 1);
        }
        self.n_windows = n_windows;
    }

    /// Append `n_new` empty windows.
    pub(crate) fn grow(&mut self, n_new: usize, context: &Context) -> Result<()> {
        let total = self.n_windows as u64 + n_new as u64;
        check_windows(total)?;
        let total = total as usize;
        let n_blocks = total.div_ceil(BLOCK_WINDOWS);
        let last = |n: usize, b: usize| n.saturating_sub(b * BLOCK_WINDOWS).min(BLOCK_WINDOWS);
        let bytes: u128 = (0..n_blocks)
            .filter(|&b| self.blocks.get(b).is_none_or(|block| block.capacity() < last(total, b)))
            .map(|b| Block::bytes(self.n_features, last(total, b)))
            .sum();
        context.check_memory("more windows", bytes, SMALLER)?;
        if let Some(block) = self.blocks.last_mut() {
            let b = self.n_windows.div_ceil(BLOCK_WINDOWS) - 1;
            Arc::make_mut(block).resize(self.n_features, last(total, b));
        }
        for b in self.blocks.len()..n_blocks {
            self.blocks.push(Arc::new(Block::zeros(self.n_features, last(total, b))));
        }
        self.n_windows = total;
        Ok(())
    }

    /// Iterate over the blocks that hold the windows `first..first + n`: where the windows of each
    /// begin, how many there are, and the block.
    pub(crate) fn blocks_between(
        &mut self,
        first: usize,
        n: usize,
    ) -> impl Iterator<Item = (Offsets, usize, &mut Block)> {
        let skip = first / BLOCK_WINDOWS;
        self.blocks.iter_mut().enumerate().skip(skip).filter_map(move |(b, block)| {
            let from = first.max(b * BLOCK_WINDOWS);
            let to = (first + n).min((b + 1) * BLOCK_WINDOWS);
            let at = Offsets { source: from - first, target: from - b * BLOCK_WINDOWS };
            (from < to).then(|| (at, to - from, Arc::make_mut(block)))
        })
    }
}

/// Where a run of windows begins: in the batch, and in the block it is written to.
pub(crate) struct Offsets {
    pub(crate) source: usize,
    pub(crate) target: usize,
}
