//! Counting, correlation and ranking kernels of SFAL.
//!
//! [`Occurrences`] records which feature occurs in which window, one bit each. From these bits come
//! the [`Histogram`] of co-occurrences, the [`measures`] of association, and the functional
//! [`neighbours`] of each feature; semantic neighbours come from embeddings. [`ndcg`] compares the
//! two.
//!
//! Results are the same bits on any number of threads: counts are integers, every float belongs
//! to one pair or one row, and features that tie are averaged over or go by ascending index.
//!
//! ```
//! use sfal::{Context, Measure, Occurrences, neighbours};
//!
//! let mut windows = Occurrences::new(3)?;
//! windows.extend(&[0, 2, 4, 5], &[0, 1, 0, 1, 2], &Context::default())?;
//! let top = neighbours::functional(&windows, 1, Measure::Phi, None, None, &Context::default())?;
//! assert_eq!(top.indices, [1, 0, 0]);
//! # Ok::<(), sfal::Error>(())
//! ```

mod alloc;
pub mod context;
pub mod cooccurrence;
mod error;
pub mod limits;
pub mod measures;
pub mod memory;
pub mod metrics;
pub mod neighbours;
pub mod occurrences;
#[cfg(feature = "python")]
mod python;
pub mod simd;

pub use context::Context;
pub use cooccurrence::histogram::Histogram;
pub use cooccurrence::validate::Bytes;
pub use error::{Error, Result};
pub use measures::Measure;
pub use metrics::ndcg;
pub use occurrences::Occurrences;
