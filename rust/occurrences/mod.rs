//! Which feature fires in which window: append, merge, count, read back.

pub mod bits;
mod csr;
mod transform;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::context::{Job, zeros};
use crate::cooccurrence::{add_pairs, check_dense};
use crate::error::{Error, Result};
use crate::occurrences::bits::{
    BLOCK_WINDOWS, Block, LINE_WINDOWS, Line, MAX_WINDOWS, for_each_one,
};

const FEWER: &str = "read fewer windows at a time";
const SMALLER: &str = "count fewer features or windows at a time, or raise memory_limit";

/// Occurrences of features in windows, one bit each.
///
/// A clone shares all blocks, and costs the next append no more than a copy of the last one: a
/// reader can take a clone and let the writer go on.
#[derive(Debug, Clone)]
pub struct Occurrences {
    n_features: usize,
    n_windows: usize,
    pub(crate) blocks: Vec<Arc<Block>>,
}

impl Occurrences {
    /// No windows yet.
    ///
    /// # Errors
    /// [`Error::Argument`] unless there is a feature, and each has a 32-bit index.
    pub fn new(n_features: usize) -> Result<Self> {
        if n_features == 0 || n_features as u64 > 1 << 32 {
            return Err(Error::argument("n_features", n_features, "from 1 to 4294967296"));
        }
        Ok(Self { n_features, n_windows: 0, blocks: Vec::new() })
    }

    /// Features there are.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Windows seen.
    pub fn n_windows(&self) -> usize {
        self.n_windows
    }

    /// The bits, block by block; all but the last are full.
    pub fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// Append windows, given as the sorted features of each.
    ///
    /// # Errors
    /// [`Error::Argument`], [`Error::Mismatch`], [`Error::FeatureOutOfRange`] or
    /// [`Error::Unsorted`] for what is no CSR batch; [`Error::TooManyWindows`]; [`Error::Memory`];
    /// [`Error::Interrupted`]. Nothing is appended then.
    ///
    /// # Complexity
    /// O(entries).
    pub fn extend(&mut self, indptr: &[i64], indices: &[u32], job: &Job) -> Result<()> {
        csr::check(indptr, indices, self.n_features)?;
        self.append(indptr.len() - 1, job, |at, here, block| {
            for window in 0..here {
                if window % 1024 == 0 {
                    job.proceed()?;
                }
                let bounds = &indptr[at.source + window..][..2];
                for &feature in &indices[bounds[0] as usize..bounds[1] as usize] {
                    block.set(feature as usize, at.target + window);
                }
            }
            Ok(())
        })
    }

    /// Append all windows of `other` after one's own.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number of features, [`Error::TooManyWindows`],
    /// [`Error::Memory`], [`Error::Interrupted`]. Nothing is appended then.
    pub fn merge(&mut self, other: &Self, job: &Job) -> Result<()> {
        if other.n_features != self.n_features {
            return Err(Error::Mismatch {
                what: "the other set's n_features",
                got: other.n_features,
                other: "this set's n_features",
                expected: self.n_features,
            });
        }
        self.append(other.n_windows, job, |at, here, block| {
            copy_windows(other, at.source..at.source + here, block, at.target, job)
        })
    }

    /// Windows in which each feature occurs.
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

    /// Windows in which both features of each pair occur: F × F, symmetric, row-major.
    ///
    /// # Errors
    /// [`Error::Memory`] where the result exceeds the limit.
    pub fn histogram(&self, job: &Job) -> Result<Vec<u32>> {
        check_dense(self.n_features, 4, job)?;
        let mut counts = zeros(self.n_features * self.n_features);
        job.run(|| add_pairs(&mut counts, self.n_features, self, job))?;
        Ok(counts)
    }

    /// The windows `start..stop` as a CSR batch.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `start <= stop <= n_windows`; [`Error::Memory`];
    /// [`Error::Interrupted`].
    pub fn rows(&self, start: usize, stop: usize, job: &Job) -> Result<(Vec<i64>, Vec<u32>)> {
        if stop > self.n_windows {
            return Err(Error::argument("stop", stop, format!("at most {}", self.n_windows)));
        }
        if start > stop {
            return Err(Error::argument("start", start, format!("at most stop = {stop}")));
        }
        let mut indptr = vec![0_i64; stop - start + 1];
        self.visit(start, stop, job, |window, _| indptr[window + 1] += 1)?;
        for i in 1..indptr.len() {
            indptr[i] += indptr[i - 1];
        }
        let mut next = indptr.clone();
        let n = indptr[stop - start] as usize;
        job.check_memory("the features of all windows", 4 * n as u128, FEWER)?;
        let mut indices = vec![0_u32; n];
        self.visit(start, stop, job, |window, feature| {
            indices[next[window] as usize] = feature as u32;
            next[window] += 1;
        })?;
        Ok((indptr, indices))
    }

    /// Call `visit(window - start, feature)` for each occurrence, features ascending in a window.
    fn visit(
        &self,
        start: usize,
        stop: usize,
        job: &Job,
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
                job.proceed()?;
                for_each_one(&block.row(feature)[lines.clone()], |window| {
                    let window = offset + window;
                    if (from..to).contains(&window) {
                        visit(window - start, feature);
                    }
                });
            }
        }
        Ok(())
    }

    /// Append `n_new` windows, block by block as `fill` sets them; on an error there are as many
    /// as before.
    fn append(
        &mut self,
        n_new: usize,
        job: &Job,
        mut fill: impl FnMut(&At, usize, &mut Block) -> Result<()> + Send,
    ) -> Result<()> {
        let first = self.n_windows;
        self.grow(n_new, job)?;
        let filled = job.run(|| {
            self.tail(first, n_new).try_for_each(|(at, here, block)| fill(&at, here, block))
        });
        if filled.is_err() {
            self.truncate(first);
        }
        filled
    }

    /// Forget all windows from `n_windows` on.
    fn truncate(&mut self, n_windows: usize) {
        self.blocks.truncate(n_windows.div_ceil(BLOCK_WINDOWS));
        if let Some(block) = self.blocks.last_mut() {
            Arc::make_mut(block).truncate((n_windows - 1) % BLOCK_WINDOWS + 1);
        }
        self.n_windows = n_windows;
    }

    /// Make room for `n_new` more windows, all empty.
    pub(crate) fn grow(&mut self, n_new: usize, job: &Job) -> Result<()> {
        let total = self.n_windows as u64 + n_new as u64;
        if total > MAX_WINDOWS {
            return Err(Error::TooManyWindows { got: total });
        }
        let total = total as usize;
        let n_blocks = total.div_ceil(BLOCK_WINDOWS);
        let last = |n: usize, b: usize| n.saturating_sub(b * BLOCK_WINDOWS).min(BLOCK_WINDOWS);
        let bytes: u128 = (0..n_blocks)
            .filter(|&b| self.blocks.get(b).is_none_or(|block| block.capacity() < last(total, b)))
            .map(|b| Block::bytes(self.n_features, last(total, b)))
            .sum();
        job.check_memory("more windows", bytes, SMALLER)?;
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

    /// The blocks that hold windows `first..first + n`, with where each begins and how many it has.
    pub(crate) fn tail(
        &mut self,
        first: usize,
        n: usize,
    ) -> impl Iterator<Item = (At, usize, &mut Block)> {
        let skip = first / BLOCK_WINDOWS;
        self.blocks.iter_mut().enumerate().skip(skip).filter_map(move |(b, block)| {
            let from = first.max(b * BLOCK_WINDOWS);
            let to = (first + n).min((b + 1) * BLOCK_WINDOWS);
            let at = At { source: from - first, target: from - b * BLOCK_WINDOWS };
            (from < to).then(|| (at, to - from, Arc::make_mut(block)))
        })
    }
}

/// Where a stretch of windows begins: in the batch appended, and in the block it goes to.
pub(crate) struct At {
    pub(crate) source: usize,
    pub(crate) target: usize,
}

/// Work on the lines of each of the first `n_features` features, until the job is stopped.
pub(crate) fn for_each_row(
    block: &mut Block,
    n_features: usize,
    job: &Job,
    work: impl Fn(usize, &mut [Line]) + Sync,
) -> Result<()> {
    let stride = block.stride();
    let rows = block.lines_mut().par_chunks_mut(stride).take(n_features).with_min_len(16);
    rows.enumerate().try_for_each(|(feature, row)| {
        job.proceed()?;
        work(feature, row);
        Ok(())
    })
}

/// OR the windows `span` of `source` into `target` from its window `start` on.
fn copy_windows(
    source: &Occurrences,
    span: Range<usize>,
    target: &mut Block,
    start: usize,
    job: &Job,
) -> Result<()> {
    let n_words = source.blocks.len() * BLOCK_WINDOWS / 64;
    let end = start + span.len();
    for_each_row(target, source.n_features, job, |feature, row| {
        let word = |w: usize| -> u64 {
            if w >= n_words {
                return 0;
            }
            let (block, within) = (w * 64 / BLOCK_WINDOWS, w * 64 % BLOCK_WINDOWS);
            let row = source.blocks[block].row(feature);
            row.get(within / LINE_WINDOWS).map_or(0, |line| line.0[within / 64 % 8])
        };
        // 64 source windows from `window` on.
        let read = |window: usize| {
            let (w, shift) = (window / 64, window % 64);
            let low = word(w) >> shift;
            if shift == 0 { low } else { low | word(w + 1) << (64 - shift) }
        };
        let mut at = start;
        while at < end {
            let n = (64 - at % 64).min(end - at);
            let mask = if n == 64 { u64::MAX } else { (1 << n) - 1 };
            let bits = read(span.start + at - start) & mask;
            row[at / LINE_WINDOWS].0[at / 64 % 8] |= bits << (at % 64);
            at += n;
        }
    })
}
