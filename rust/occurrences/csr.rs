//! Validating a batch of windows in compressed sparse rows.

use crate::error::{Error, Result};

/// Check a batch of windows: `indptr` holds their bounds in `indices`, and the features of each
/// strictly increase and are below `n_features`.
pub(crate) fn check(indptr: &[i64], indices: &[u32], n_features: usize) -> Result<()> {
    let (Some(&first), Some(&last)) = (indptr.first(), indptr.last()) else {
        return Err(Error::argument("indptr", "empty", "one longer than the number of windows"));
    };
    if first != 0 {
        return Err(Error::argument("indptr[0]", first, "0"));
    }
    if let Some(w) = indptr.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(Error::argument(
            "indptr",
            format!("{} after {} at window {w}", indptr[w + 1], indptr[w]),
            "non-decreasing",
        ));
    }
    if last as u64 != indices.len() as u64 {
        return Err(Error::argument(
            "indptr[-1]",
            last,
            format!("the length of indices, {}", indices.len()),
        ));
    }
    for (window, bounds) in indptr.windows(2).enumerate() {
        let features = &indices[bounds[0] as usize..bounds[1] as usize];
        if let Some(pair) = features.windows(2).find(|pair| pair[1] <= pair[0]) {
            return Err(Error::Unsorted { window, feature: pair[1], previous: pair[0] });
        }
        if let Some(&feature) = features.last().filter(|&&f| f as usize >= n_features) {
            return Err(Error::FeatureOutOfRange { window, feature, n_features });
        }
    }
    Ok(())
}
