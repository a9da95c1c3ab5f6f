//! The context that a long call runs in: its threads, its memory limit, and a way to interrupt it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::memory::available_memory;

/// Threads, memory limit and interruption of one call. By default a call runs on rayon's global
/// pool and may allocate 80 % of the available memory.
#[derive(Debug, Default)]
pub struct Context {
    /// Threads to run on; `None` is rayon's global pool (`RAYON_NUM_THREADS`).
    pub n_threads: Option<usize>,
    /// Bytes that the call may allocate; `None` is 80 % of the available memory.
    pub memory_limit: Option<u64>,
    stop: AtomicBool,
}

impl Context {
    /// Make a context with `n_threads` threads.
    pub fn with_threads(n_threads: usize) -> Self {
        Self { n_threads: Some(n_threads), ..Self::default() }
    }

    /// Ask the call to stop at its next tile.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Return an error if the call was asked to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after [`Context::stop`].
    pub fn proceed(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    /// Run `work` on the threads of this context.
    ///
    /// # Errors
    /// [`Error::Threads`] if the threads cannot be started, otherwise the error of `work`.
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

    /// Refuse an allocation that exceeds the limit.
    ///
    /// # Errors
    /// [`Error::Memory`], with the bytes, the limit and what to do instead.
    pub fn check_memory(
        &self,
        what: &'static str,
        bytes: u128,
        instead: &'static str,
    ) -> Result<()> {
        let limit = match self.memory_limit {
            Some(limit) => limit,
            // Reading /proc costs more than a small allocation.
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
