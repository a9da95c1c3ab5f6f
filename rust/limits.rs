//! Sizes that no call may exceed.

use crate::error::{Error, Result};

/// Largest number of windows: counts are 32 bits wide.
pub const MAX_WINDOWS: u64 = u32::MAX as u64;

/// Refuse a number of windows that 32-bit counts cannot hold.
///
/// # Errors
/// [`Error::TooManyWindows`] above [`MAX_WINDOWS`].
pub(crate) fn check_windows(n_windows: u64) -> Result<()> {
    if n_windows > MAX_WINDOWS {
        return Err(Error::TooManyWindows { got: n_windows, max: MAX_WINDOWS });
    }
    Ok(())
}
