//! Large vectors in huge pages.

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
