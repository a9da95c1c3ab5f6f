//! Combining and deriving sets: merge, join windows, select windows, select features.

use std::ops::Range;
use std::sync::Arc;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::occurrences::Occurrences;
use crate::occurrences::bits::{BLOCK_WINDOWS, Block};
use crate::simd::line::{LINE_WINDOWS, for_each_window};

impl Occurrences {
    /// Append all windows of `other`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number of features, [`Error::TooManyWindows`],
    /// [`Error::Memory`], [`Error::Interrupted`]. After an error, nothing is appended.
    pub fn merge(&mut self, other: &Self, context: &Context) -> Result<()> {
        if other.n_features != self.n_features {
            return Err(Error::Mismatch {
                what: "the other set's n_features",
                got: other.n_features,
                other: "this set's n_features",
                expected: self.n_features,
            });
        }
        self.append(other.n_windows, context, |at, here, block| {
            copy_windows(other, at.source..at.source + here, block, at.target, context)
        })
    }

    /// Join runs of consecutive windows: each new window is the OR of `starts[i]..starts[i + 1]`;
    /// the last run extends to the end.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `starts` strictly increases from 0 within the windows.
    pub fn coarsen(&self, starts: &[i64], context: &Context) -> Result<Self> {
        check_starts(starts, self.n_windows())?;
        let mut joined = Self::new(self.n_features())?;
        joined.grow(starts.len(), context)?;
        let end = |run: usize| starts.get(run).map_or(self.n_windows(), |&s| s as usize);
        context.run(|| {
            for (at, here, block) in joined.blocks_between(0, starts.len()) {
                let span = end(at.source)..end(at.source + here);
                let mut run_of = Vec::with_capacity(span.len());
                for run in 0..here {
                    let width = end(at.source + run + 1) - end(at.source + run);
                    run_of.extend(std::iter::repeat_n((at.target + run) as u32, width));
                }
                block.for_each_row(self.n_features(), context, |feature, row| {
                    for (b, source) in self.blocks.iter().enumerate() {
                        let offset = b * BLOCK_WINDOWS;
                        if offset >= span.end || offset + source.n_windows() <= span.start {
                            continue;
                        }
                        for_each_window(source.row(feature), |window| {
                            let window = offset + window;
                            if span.contains(&window) {
                                let run = run_of[window - span.start] as usize;
                                row[run / LINE_WINDOWS].0[run / 64 % 8] |= 1 << (run % 64);
                            }
                        });
                    }
                })?;
            }
            Ok(joined)
        })
    }

    /// Select windows in the order given; repeats are allowed.
    ///
    /// # Errors
    /// [`Error::Argument`] for a window that does not exist; [`Error::TooManyWindows`];
    /// [`Error::Memory`].
    pub fn select(&self, windows: &[i64], context: &Context) -> Result<Self> {
        if let Some(bad) = windows.iter().position(|&w| w < 0 || w as usize >= self.n_windows()) {
            return Err(Error::argument(
                "windows",
                format!("{} at position {bad}", windows[bad]),
                format!("from 0 to {}", self.n_windows().wrapping_sub(1) as isize),
            ));
        }
        let mut chosen = Self::new(self.n_features())?;
        chosen.grow(windows.len(), context)?;
        context.run(|| {
            for (at, here, block) in chosen.blocks_between(0, windows.len()) {
                let windows = &windows[at.source..at.source + here];
                block.for_each_row(self.n_features(), context, |feature, row| {
                    let sources: Vec<_> = self.blocks.iter().map(|b| b.row(feature)).collect();
                    for (line, windows) in row.iter_mut().zip(windows.chunks(LINE_WINDOWS)) {
                        for (word, windows) in line.0.iter_mut().zip(windows.chunks(64)) {
                            for (bit, &window) in windows.iter().enumerate() {
                                let window = window as usize;
                                let within = window % BLOCK_WINDOWS;
                                let line = &sources[window / BLOCK_WINDOWS][within / LINE_WINDOWS];
                                *word |= (line.0[within / 64 % 8] >> (within % 64) & 1) << bit;
                            }
                        }
                    }
                })?;
            }
            Ok(chosen)
        })
    }

    /// Select features in the order given.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn features(&self, features: &[u32], context: &Context) -> Result<Self> {
        let mut chosen = Self::new(features.len().max(1))?;
        chosen.grow(self.n_windows(), context)?;
        for (target, source) in chosen.blocks.iter_mut().zip(&self.blocks) {
            let used = source.n_lines();
            let target = Arc::make_mut(target);
            target.for_each_row(features.len(), context, |to, row| {
                row[..used].copy_from_slice(&source.row(features[to] as usize)[..used]);
            })?;
        }
        Ok(chosen)
    }
}

fn check_starts(starts: &[i64], n_windows: usize) -> Result<()> {
    let Some(&last) = starts.last() else {
        if n_windows == 0 {
            return Ok(());
        }
        return Err(Error::argument("starts", "empty", "increasing from 0"));
    };
    if starts[0] != 0 {
        return Err(Error::argument("starts[0]", starts[0], "0"));
    }
    if let Some(i) = starts.windows(2).position(|pair| pair[1] <= pair[0]) {
        return Err(Error::argument(
            "starts",
            format!("{} after {} at position {}", starts[i + 1], starts[i], i + 1),
            "strictly increasing",
        ));
    }
    if last as u64 >= n_windows as u64 {
        return Err(Error::argument("starts[-1]", last, format!("below n_windows = {n_windows}")));
    }
    Ok(())
}

/// OR the windows `span` of `source` into `target`, from its window `start` on.
fn copy_windows(
    source: &Occurrences,
    span: Range<usize>,
    target: &mut Block,
    start: usize,
    context: &Context,
) -> Result<()> {
    let n_words = source.blocks.len() * BLOCK_WINDOWS / 64;
    let end = start + span.len();
    target.for_each_row(source.n_features, context, |feature, row| {
        let word = |w: usize| -> u64 {
            if w >= n_words {
                return 0;
            }
            let (block, within) = (w * 64 / BLOCK_WINDOWS, w * 64 % BLOCK_WINDOWS);
            let row = source.blocks[block].row(feature);
            row.get(within / LINE_WINDOWS).map_or(0, |line| line.0[within / 64 % 8])
        };
        // The 64 source windows from `window` on.
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
