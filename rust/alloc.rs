//! Large vectors in huge pages.

/// Allocate zeros, in huge pages where the system has them: touching a gigabyte for the first time
/// in pages of 4 KiB takes as long as counting into it.
pub(crate) fn zeros<T: Copy + Default>(n: usize) -> Vec<T> {
    let values = vec![T::default(); n];
    advise_huge_pages(values.as_ptr(), n);
    values
}

/// Allocate `n` copies of a value, in huge pages where the system has them.
pub(crate) fn filled<T: Copy>(n: usize, value: T) -> Vec<T> {
    let mut values = Vec::with_capacity(n);
    advise_huge_pages(values.as_ptr(), n);
    values.resize(n, value);
    values
}

#[cfg(target_os = "linux")]
fn advise_huge_pages<T>(first: *const T, n: usize) {
    const PAGE: usize = 4096;
    let (start, bytes) = (first as usize, n * size_of::<T>());
    let (from, to) = (start.next_multiple_of(PAGE), (start + bytes) / PAGE * PAGE);
    if to > from && bytes >= 1 << 22 {
        // SAFETY: the pages lie in memory that the caller has allocated for `n` values, and the
        // advice changes no content. If it is refused, the pages are merely small.
        unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages<T>(_: *const T, _: usize) {}
