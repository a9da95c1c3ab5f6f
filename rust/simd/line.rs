//! The unit of the bit kernels: one cache line of windows.

/// Windows in a line.
pub const LINE_WINDOWS: usize = 512;

/// The bits of one feature in 512 consecutive windows: a cache line and a 512-bit register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [u64; 8]);

/// Call `visit` with the position of each set bit, in ascending order.
#[inline]
pub fn for_each_bit(mut word: u64, mut visit: impl FnMut(usize)) {
    while word != 0 {
        visit(word.trailing_zeros() as usize);
        word &= word - 1;
    }
}

/// Call `visit` with each window, in ascending order, whose bit is set in consecutive lines.
#[inline]
pub fn for_each_window(lines: &[Line], mut visit: impl FnMut(usize)) {
    for (l, line) in lines.iter().enumerate() {
        for (w, &word) in line.0.iter().enumerate() {
            for_each_bit(word, |bit| visit(l * LINE_WINDOWS + w * 64 + bit));
        }
    }
}
