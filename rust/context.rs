//! The context that a long call runs in: its threads, its memory limit, and a way to interrupt it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::memory::available_memory;

/// Threads, memory limit and interrupt of one call. The default is rayon's global pool and the
/// memory that is free.
#[derive(Debug, Default)]
pub struct Context {
    /// Threads to run on; `None` is rayon's global pool (`RAYON_NUM_THREADS`).
    pub n_threads: Option<usize>,
    /// Bytes the call may allocate; `None` is 80 % of what is free.
    pub memory_limit: Option<u64>,
    stop: AtomicBool,
}

impl Context {
    /// A context on `n_threads` threads.
    pub fn with_threads(n_threads: usize) -> Self {
        Self { n_threads: Some(n_threads), ..Self::default() }
    }

    /// Ask the call to end at its next tile.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the call may go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after [`Context::stop`].
    pub fn proceed(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    /// Run `work` on this context's threads.
    ///
    /// # Errors
    /// [`Error::Threads`] when the system gives no threads, else what `work` returns.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let Some(n_threads) = self.n_threads else {
            return work();
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n_threads)
            .build()
            .map_err(|e| Error::Threads { n_threads, why: e.to_string() })?;
        pool.install(work)
    }

    /// Refuse `bytes` beyond the limit.
    ///
    /// # Errors
    /// [`Error::Memory`], which names the bytes, the limit and `instead`.
    pub fn check_memory(
        &self,
        what: &'static str,
        bytes: u128,
        instead: &'static str,
    ) -> Result<()> {
        let limit = match self.memory_limit {
            Some(limit) => limit,
            // Reading /proc costs more than a small allocation could.
            None if bytes < 1 << 20 => return Ok(()),
            None => available_memory() / 5 * 4,
        };
        if bytes > u128::from(limit) {
            return Err(Error::Memory {
                what,
                bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
                limit,
                instead,
            });
        }
        Ok(())
    }
}
