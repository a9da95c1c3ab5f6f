//! Counting, correlation and ranking kernels of SFAL.
//!
//! [`Occurrences`] holds which feature fires in which window, one bit each. Everything else is a
//! view of those bits: the [`Histogram`] of co-occurrences, the [`measures`] on it, each feature's
//! functional neighbours, and beside them the semantic ones; [`ndcg`] compares the two.
//!
//! Results are the same bits on any number of threads: counts are integers, every float belongs
//! to one pair or one row, and ties go to the smaller feature index.
//!
//! ```
//! use sfal::{Job, Measure, Occurrences, neighbours};
//!
//! let mut windows = Occurrences::new(3)?;
//! windows.extend(&[0, 2, 4, 5], &[0, 1, 0, 1, 2], &Job::default())?;
//! let top = neighbours::functional(&windows, 1, Measure::Phi, None, None, &Job::default())?;
//! assert_eq!(top.indices, [1, 0, 0]);
//! # Ok::<(), sfal::Error>(())
//! ```

pub mod bits;
mod cosine;
mod counting;
mod counts;
mod csr;
mod derive;
mod error;
mod histogram;
pub mod job;
pub mod kernels;
pub mod measures;
pub mod ndcg;
pub mod neighbours;
mod occurrences;
#[cfg(feature = "python")]
mod python;
mod rare;
mod screen;
mod sparse;
mod strip;
mod tiles;
pub mod topn;
mod walk;

pub use counts::Bytes;
pub use error::{Error, Result};
pub use histogram::Histogram;
pub use job::Job;
pub use measures::Measure;
pub use occurrences::Occurrences;
