//! How much memory this process may still allocate, control groups included.

use std::path::Path;

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
    left_by(&groups, Path::new("/sys/fs/cgroup"))
}

/// The same for the groups listed, one `id:controllers:path` per line, below `root`.
fn left_by(groups: &str, root: &Path) -> Option<u64> {
    let mut least = None;
    for group in groups.lines() {
        let mut fields = group.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (root, max, used, cache) = if controllers.is_empty() {
            (root.to_path_buf(), "memory.max", "memory.current", "inactive_file")
        } else if controllers.split(',').any(|name| name == "memory") {
            let names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
            (root.join("memory"), names.0, names.1, names.2)
        } else {
            continue;
        };
        // Inside a container the path may name a folder that only the host sees; then the root
        // of the hierarchy is the container's own group.
        for folder in Path::new(path.trim_start_matches('/')).ancestors() {
            let folder = root.join(folder);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Folders of control groups with the files given, removed after `check`.
    fn with_groups(name: &str, files: &[(&str, &str)], check: impl FnOnce(&Path)) {
        let root = std::env::temp_dir().join(format!("sfal-{}-{name}", std::process::id()));
        for (file, content) in files {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        check(&root);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_strictest_group_of_version_2_counts_and_cached_files_are_available() {
        let files = [
            ("outer/memory.max", "1000\n"),
            ("outer/memory.current", "900\n"),
            ("outer/memory.stat", "anon 1\ninactive_file 300\n"),
            ("outer/inner/memory.max", "max\n"),
            ("outer/inner/memory.current", "10\n"),
        ];
        with_groups("v2", &files, |root| {
            assert_eq!(left_by("0::/outer/inner\n", root), Some(400));
            assert_eq!(left_by("0::/elsewhere\n", root), None);
        });
    }

    #[test]
    fn a_group_of_version_1_counts_at_the_root_of_a_container() {
        let files = [
            ("memory/memory.limit_in_bytes", "500\n"),
            ("memory/memory.usage_in_bytes", "600\n"),
            ("memory/memory.stat", "inactive_file 1\ntotal_inactive_file 150\n"),
        ];
        with_groups("v1", &files, |root| {
            let groups = "3:cpu:/docker/1\n2:hugetlb,memory:/docker/1\n";
            assert_eq!(left_by(groups, root), Some(50));
        });
    }

    #[test]
    fn available_memory_is_at_most_what_the_system_has() {
        let available = available_memory();
        assert!(available > 0);
        assert!(physical_memory().is_none_or(|physical| available <= physical));
    }
}
