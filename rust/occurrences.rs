//! Which feature fires in which window: append, merge, coarsen, select, read back.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::bits::{BLOCK_WINDOWS, Block, LINE_WINDOWS, MAX_WINDOWS, for_each_one};
use crate::error::{Error, Result};
use crate::histogram::{add_pairs, check_dense};
use crate::job::{Job, zeros};

const SMALLER: &str = "count fewer features or windows at a time, or raise memory_limit";

/// Occurrences of features in windows, one bit each.
///
/// A clone shares all blocks, and costs the next append no more than a copy of the last one: a
/// reader can take a clone and let the writer go on.
#[derive(Debug, Clone)]
pub struct Occurrences {
    n_features: usize,
    n_windows: usize,
    blocks: Vec<Arc<Block>>,
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
    /// [`Error::Unsorted`] for what is no CSR batch; [`Error::TooManyWindows`]; [`Error::Memory`].
    /// Nothing is appended then.
    ///
    /// # Complexity
    /// O(entries).
    pub fn extend(&mut self, indptr: &[i64], indices: &[u32], job: &Job) -> Result<()> {
        check_csr(indptr, indices, self.n_features)?;
        let n_new = indptr.len() - 1;
        let first = self.n_windows;
        self.grow(n_new, job)?;
        for (at, here, block) in self.tail(first, n_new) {
            for window in 0..here {
                let bounds = &indptr[at.source + window..][..2];
                for &feature in &indices[bounds[0] as usize..bounds[1] as usize] {
                    block.set(feature as usize, at.target + window);
                }
            }
        }
        Ok(())
    }

    /// Append all windows of `other` after one's own.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number of features, [`Error::TooManyWindows`],
    /// [`Error::Memory`]. Nothing is appended then.
    pub fn merge(&mut self, other: &Self, job: &Job) -> Result<()> {
        if other.n_features != self.n_features {
            return Err(Error::Mismatch {
                what: "the other set's n_features",
                got: other.n_features,
                other: "this set's n_features",
                expected: self.n_features,
            });
        }
        let first = self.n_windows;
        self.grow(other.n_windows, job)?;
        job.run(|| {
            for (at, here, block) in self.tail(first, other.n_windows) {
                copy_windows(other, at.source..at.source + here, block, at.target);
            }
            Ok(())
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

    /// Join consecutive windows: each new window is the OR of `starts[i]..starts[i + 1]`, the last
    /// one of all that is left.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `starts` strictly rises from 0 within the windows.
    pub fn coarsen(&self, starts: &[i64], job: &Job) -> Result<Self> {
        check_starts(starts, self.n_windows)?;
        let mut joined = Self::new(self.n_features)?;
        joined.grow(starts.len(), job)?;
        let end = |run: usize| starts.get(run).map_or(self.n_windows, |&s| s as usize);
        job.run(|| {
            for (at, here, block) in joined.tail(0, starts.len()) {
                let span = end(at.source)..end(at.source + here);
                let mut run_of = Vec::with_capacity(span.len());
                for run in 0..here {
                    let width = end(at.source + run + 1) - end(at.source + run);
                    run_of.extend(std::iter::repeat_n((at.target + run) as u32, width));
                }
                for_each_row(
                    block,
                    |feature, row| {
                        for (b, source) in self.blocks.iter().enumerate() {
                            let offset = b * BLOCK_WINDOWS;
                            if offset >= span.end || offset + source.n_windows() <= span.start {
                                continue;
                            }
                            for_each_one(source.row(feature), |window| {
                                let window = offset + window;
                                if span.contains(&window) {
                                    let run = run_of[window - span.start] as usize;
                                    row[run / LINE_WINDOWS].0[run / 64 % 8] |= 1 << (run % 64);
                                }
                            });
                        }
                    },
                    self.n_features,
                );
            }
            Ok(joined)
        })
    }

    /// The windows named, in that order, repeats allowed.
    ///
    /// # Errors
    /// [`Error::Argument`] for a window that does not exist; [`Error::TooManyWindows`];
    /// [`Error::Memory`].
    pub fn select(&self, windows: &[i64], job: &Job) -> Result<Self> {
        if let Some(bad) = windows.iter().position(|&w| w < 0 || w as usize >= self.n_windows) {
            return Err(Error::argument(
                "windows",
                format!("{} at position {bad}", windows[bad]),
                format!("from 0 to {}", self.n_windows.wrapping_sub(1) as isize),
            ));
        }
        let mut chosen = Self::new(self.n_features)?;
        chosen.grow(windows.len(), job)?;
        job.run(|| {
            for (at, here, block) in chosen.tail(0, windows.len()) {
                let windows = &windows[at.source..at.source + here];
                for_each_row(
                    block,
                    |feature, row| {
                        let sources: Vec<_> = self.blocks.iter().map(|b| b.row(feature)).collect();
                        for (line, windows) in row.iter_mut().zip(windows.chunks(LINE_WINDOWS)) {
                            for (word, windows) in line.0.iter_mut().zip(windows.chunks(64)) {
                                for (bit, &window) in windows.iter().enumerate() {
                                    let window = window as usize;
                                    let within = window % BLOCK_WINDOWS;
                                    let line =
                                        &sources[window / BLOCK_WINDOWS][within / LINE_WINDOWS];
                                    *word |= (line.0[within / 64 % 8] >> (within % 64) & 1) << bit;
                                }
                            }
                        }
                    },
                    self.n_features,
                );
            }
            Ok(chosen)
        })
    }

    /// The windows `start..stop` as a CSR batch.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `start <= stop <= n_windows`.
    pub fn rows(&self, start: usize, stop: usize) -> Result<(Vec<i64>, Vec<u32>)> {
        if stop > self.n_windows {
            return Err(Error::argument("stop", stop, format!("at most {}", self.n_windows)));
        }
        if start > stop {
            return Err(Error::argument("start", start, format!("at most stop = {stop}")));
        }
        let mut indptr = vec![0_i64; stop - start + 1];
        self.visit(start, stop, |window, _| indptr[window + 1] += 1);
        for i in 1..indptr.len() {
            indptr[i] += indptr[i - 1];
        }
        let mut next = indptr.clone();
        let mut indices = vec![0_u32; indptr[stop - start] as usize];
        self.visit(start, stop, |window, feature| {
            indices[next[window] as usize] = feature as u32;
            next[window] += 1;
        });
        Ok((indptr, indices))
    }

    /// The features named, in that order, as a set of their own.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn features(&self, features: &[u32], job: &Job) -> Result<Self> {
        let mut chosen = Self::new(features.len().max(1))?;
        chosen.grow(self.n_windows, job)?;
        for (target, source) in chosen.blocks.iter_mut().zip(&self.blocks) {
            let used = source.n_lines();
            let target = Arc::make_mut(target);
            for_each_row(
                target,
                |to, row| {
                    row[..used].copy_from_slice(&source.row(features[to] as usize)[..used]);
                },
                features.len(),
            );
        }
        Ok(chosen)
    }

    /// Call `visit(window - start, feature)` for each occurrence, features ascending in a window.
    fn visit(&self, start: usize, stop: usize, mut visit: impl FnMut(usize, usize)) {
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
                for_each_one(&block.row(feature)[lines.clone()], |window| {
                    let window = offset + window;
                    if (from..to).contains(&window) {
                        visit(window - start, feature);
                    }
                });
            }
        }
    }

    /// Make room for `n_new` more windows, all empty.
    fn grow(&mut self, n_new: usize, job: &Job) -> Result<()> {
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
    fn tail(&mut self, first: usize, n: usize) -> impl Iterator<Item = (At, usize, &mut Block)> {
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
struct At {
    source: usize,
    target: usize,
}

fn for_each_row(
    block: &mut Block,
    work: impl Fn(usize, &mut [crate::bits::Line]) + Sync,
    n_features: usize,
) {
    let stride = block.stride();
    block
        .lines_mut()
        .par_chunks_mut(stride)
        .take(n_features)
        .with_min_len(16)
        .enumerate()
        .for_each(|(feature, row)| work(feature, row));
}

/// OR the windows `span` of `source` into `target` from its window `start` on.
fn copy_windows(source: &Occurrences, span: Range<usize>, target: &mut Block, start: usize) {
    let n_words = source.blocks.len() * BLOCK_WINDOWS / 64;
    let end = start + span.len();
    for_each_row(
        target,
        |feature, row| {
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
        },
        source.n_features,
    );
}

fn check_csr(indptr: &[i64], indices: &[u32], n_features: usize) -> Result<()> {
    let (Some(&first), Some(&last)) = (indptr.first(), indptr.last()) else {
        return Err(Error::argument("indptr", "empty", "one longer than there are windows"));
    };
    if first != 0 {
        return Err(Error::argument("indptr[0]", first, "0"));
    }
    if let Some(w) = indptr.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(Error::argument(
            "indptr",
            format!("{} after {} at window {w}", indptr[w + 1], indptr[w]),
            "never falling",
        ));
    }
    if last as u64 != indices.len() as u64 {
        return Err(Error::argument(
            "indptr[-1]",
            last,
            format!("the length of indices, {}", indices.len()),
        ));
    }
    for (window, bounds) in indptr.windows(2).enumerate() {
        let features = &indices[bounds[0] as usize..bounds[1] as usize];
        if let Some(pair) = features.windows(2).find(|pair| pair[1] <= pair[0]) {
            return Err(Error::Unsorted { window, feature: pair[1], previous: pair[0] });
        }
        if let Some(&feature) = features.last().filter(|&&f| f as usize >= n_features) {
            return Err(Error::FeatureOutOfRange { window, feature, n_features });
        }
    }
    Ok(())
}

fn check_starts(starts: &[i64], n_windows: usize) -> Result<()> {
    let Some(&last) = starts.last() else {
        if n_windows == 0 {
            return Ok(());
        }
        return Err(Error::argument("starts", "empty", "rising from 0"));
    };
    if starts[0] != 0 {
        return Err(Error::argument("starts[0]", starts[0], "0"));
    }
    if let Some(i) = starts.windows(2).position(|pair| pair[1] <= pair[0]) {
        return Err(Error::argument(
            "starts",
            format!("{} after {} at position {}", starts[i + 1], starts[i], i + 1),
            "strictly rising",
        ));
    }
    if last as u64 >= n_windows as u64 {
        return Err(Error::argument("starts[-1]", last, format!("below n_windows = {n_windows}")));
    }
    Ok(())
}
