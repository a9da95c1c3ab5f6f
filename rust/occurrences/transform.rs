//! Sets made from a set: windows joined, windows chosen, features chosen.

use std::sync::Arc;

use crate::context::Job;
use crate::error::{Error, Result};
use crate::occurrences::bits::{BLOCK_WINDOWS, LINE_WINDOWS, for_each_one};
use crate::occurrences::{Occurrences, for_each_row};

impl Occurrences {
    /// Join consecutive windows: each new window is the OR of `starts[i]..starts[i + 1]`, the last
    /// one of all that is left.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `starts` strictly rises from 0 within the windows.
    pub fn coarsen(&self, starts: &[i64], job: &Job) -> Result<Self> {
        check_starts(starts, self.n_windows())?;
        let mut joined = Self::new(self.n_features())?;
        joined.grow(starts.len(), job)?;
        let end = |run: usize| starts.get(run).map_or(self.n_windows(), |&s| s as usize);
        job.run(|| {
            for (at, here, block) in joined.tail(0, starts.len()) {
                let span = end(at.source)..end(at.source + here);
                let mut run_of = Vec::with_capacity(span.len());
                for run in 0..here {
                    let width = end(at.source + run + 1) - end(at.source + run);
                    run_of.extend(std::iter::repeat_n((at.target + run) as u32, width));
                }
                for_each_row(block, self.n_features(), job, |feature, row| {
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
                })?;
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
        if let Some(bad) = windows.iter().position(|&w| w < 0 || w as usize >= self.n_windows()) {
            return Err(Error::argument(
                "windows",
                format!("{} at position {bad}", windows[bad]),
                format!("from 0 to {}", self.n_windows().wrapping_sub(1) as isize),
            ));
        }
        let mut chosen = Self::new(self.n_features())?;
        chosen.grow(windows.len(), job)?;
        job.run(|| {
            for (at, here, block) in chosen.tail(0, windows.len()) {
                let windows = &windows[at.source..at.source + here];
                for_each_row(block, self.n_features(), job, |feature, row| {
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

    /// The features named, in that order, as a set of their own.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn features(&self, features: &[u32], job: &Job) -> Result<Self> {
        let mut chosen = Self::new(features.len().max(1))?;
        chosen.grow(self.n_windows(), job)?;
        for (target, source) in chosen.blocks.iter_mut().zip(&self.blocks) {
            let used = source.n_lines();
            let target = Arc::make_mut(target);
            for_each_row(target, features.len(), job, |to, row| {
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
