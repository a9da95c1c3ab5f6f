//! Sizes that no call may exceed.

use crate::error::{Error, Result};

/// Largest number of windows: counts are 32 bits wide.
pub const MAX_WINDOWS: u64 = u32::MAX as u64;

/// Refuse a number of features without a 32-bit index for each, and none at all.
///
/// # Errors
/// [`Error::Argument`] outside 1 to 2³².
pub(crate) fn check_features(n_features: usize) -> Result<()> {
    if n_features == 0 || n_features as u64 > 1 << 32 {
        return Err(Error::argument("n_features", n_features, "from 1 to 4294967296"));
    }
    Ok(())
}

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
