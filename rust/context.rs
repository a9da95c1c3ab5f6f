//! What a long call runs under: its threads, its memory limit, and a way to stop it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// Threads, memory limit and interrupt of one call. The default is rayon's global pool and the
/// memory that is free.
#[derive(Debug, Default)]
pub struct Job {
    /// Threads to run on; `None` is rayon's global pool (`RAYON_NUM_THREADS`).
    pub n_threads: Option<usize>,
    /// Bytes the call may allocate; `None` is 80 % of what is free.
    pub memory_limit: Option<u64>,
    stop: AtomicBool,
}

impl Job {
    /// A job on `n_threads` threads.
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
    /// [`Error::Interrupted`] after [`Job::stop`].
    pub fn proceed(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    /// Run `work` on this job's threads.
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
            None => available_memory().map_or(u64::MAX, |free| free / 5 * 4),
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

/// Zeros in memory of large pages, where the system has them: the first touch of a gigabyte in
/// pages of 4 KiB costs as much as counting it.
pub(crate) fn zeros<T: Copy + Default>(n: usize) -> Vec<T> {
    let values = vec![T::default(); n];
    in_large_pages(values.as_ptr(), n);
    values
}

/// The same, of any value.
pub(crate) fn filled<T: Copy>(n: usize, value: T) -> Vec<T> {
    let mut values = Vec::with_capacity(n);
    in_large_pages(values.as_ptr(), n);
    values.resize(n, value);
    values
}

#[cfg(target_os = "linux")]
fn in_large_pages<T>(first: *const T, n: usize) {
    const PAGE: usize = 4096;
    let (start, bytes) = (first as usize, n * size_of::<T>());
    let (from, to) = (start.next_multiple_of(PAGE), (start + bytes) / PAGE * PAGE);
    if to > from && bytes >= 1 << 22 {
        // SAFETY: the pages lie in memory that the caller has allocated for `n` values, and the
        // advice changes no content. A refusal is of no consequence.
        unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn in_large_pages<T>(_: *const T, _: usize) {}

/// Bytes that can still be allocated: the system's, or what the control group leaves if less.
pub fn available_memory() -> Option<u64> {
    let system = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        kib.checked_mul(1024)
    });
    match (system, cgroup_memory()) {
        (Some(system), Some(group)) => Some(system.min(group)),
        (system, group) => system.or(group),
    }
}

/// What the strictest control group above this process leaves; groups v2 and v1.
fn cgroup_memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut least = None;
    for group in groups.lines() {
        let mut fields = group.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (root, max, used, cache) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
        } else if controllers.split(',').any(|name| name == "memory") {
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        } else {
            continue;
        };
        // Inside a container the path may name a folder that only the host sees: the root then
        // stands for it.
        for folder in std::path::Path::new(path.trim_start_matches('/')).ancestors() {
            let folder = std::path::Path::new(root).join(folder);
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
            let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
            let (Some(max), Some(used)) = (number(max), number(used)) else {
                continue;
            };
            // Cached file pages count as used but are given back under pressure.
            let reclaimable = read("memory.stat")
                .and_then(|stat| {
                    let line = stat.lines().find(|l| l.split(' ').next() == Some(cache))?;
                    line.split(' ').nth(1)?.parse::<u64>().ok()
                })
                .unwrap_or(0);
            let left = max.saturating_sub(used.saturating_sub(reclaimable));
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
    }
    least
}
