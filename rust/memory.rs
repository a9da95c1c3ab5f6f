//! How much memory this process may still allocate, control groups included.

/// Bytes that this process may still allocate: what the system has available, or what the
/// strictest control group leaves if that is less.
///
/// Systems that do not report available memory give the size of physical memory, and those that
/// do not report that either give [`u64::MAX`].
pub fn available_memory() -> u64 {
    let system = system_memory().or_else(physical_memory).unwrap_or(u64::MAX);
    cgroup_memory().map_or(system, |left| left.min(system))
}

/// Available memory as Linux estimates it: free pages and caches that can be reclaimed.
fn system_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(unix)]
fn physical_memory() -> Option<u64> {
    // SAFETY: `sysconf` only reads its argument; an unknown one gives -1.
    let (pages, size) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).ok()?.checked_mul(u64::try_from(size).ok()?)
}

#[cfg(not(unix))]
fn physical_memory() -> Option<u64> {
    None
}

/// Bytes that the strictest control group of this process leaves, in versions 1 and 2.
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
        // Inside a container the path may name a folder that only the host sees; then the root
        // of the hierarchy is the container's own group.
        for folder in std::path::Path::new(path.trim_start_matches('/')).ancestors() {
            let folder = std::path::Path::new(root).join(folder);
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
            let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
            let (Some(max), Some(used)) = (number(max), number(used)) else {
                continue;
            };
            // Cached file pages count as used, but the kernel reclaims them under pressure.
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
