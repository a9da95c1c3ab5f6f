//! Errors: each variant holds the value that was refused and the limit.

/// Result of a call that may be refused.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused. A refused call changes nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is outside what the function accepts.
    #[error("{name} is {got}, but must be {expected}")]
    Argument {
        /// Name of the argument.
        name: &'static str,
        /// Value given.
        got: String,
        /// Values accepted.
        expected: String,
    },
    /// A window of a CSR batch contains a feature that does not exist.
    #[error(
        "window {window} has feature {feature}, but there are only {n_features} features (0 to {})",
        n_features - 1
    )]
    FeatureOutOfRange {
        /// Window, counted from the start of the batch.
        window: usize,
        /// Feature refused.
        feature: u32,
        /// Number of features.
        n_features: usize,
    },
    /// The features of a window do not strictly increase.
    #[error(
        "window {window} has feature {feature} right after {previous}: sort the features of each window and keep each once"
    )]
    Unsorted {
        /// Window, counted from the start of the batch.
        window: usize,
        /// Feature that is not larger than the one before.
        feature: u32,
        /// Feature before it.
        previous: u32,
    },
    /// Two sizes that must be equal differ.
    #[error("{what} has {got}, but {other} has {expected}: they must be equal")]
    Mismatch {
        /// Name of the first size.
        what: &'static str,
        /// The first size.
        got: usize,
        /// Name of the second size.
        other: &'static str,
        /// The second size.
        expected: usize,
    },
    /// NaN or infinity where a number is needed.
    #[error("{what}[{row}, {column}] is {value}: only finite numbers can be ranked")]
    NotFinite {
        /// Name of the array.
        what: &'static str,
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Counts that no set of windows has.
    #[error(
        "counts[{row}, {column}] is {value}, {why}: this is not a co-occurrence histogram of {n_windows} windows"
    )]
    Contradiction {
        /// Row of the count.
        row: usize,
        /// Column of the count.
        column: usize,
        /// The count.
        value: i64,
        /// Rule that it breaks.
        why: String,
        /// Number of windows given.
        n_windows: u64,
    },
    /// More windows than 32-bit counts can hold.
    #[error("{got} windows are more than the {max} that 32-bit counts hold: count in several sets")]
    TooManyWindows {
        /// Number of windows that would result.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// The call would allocate more memory than its limit.
    #[error("{what} would take {bytes} bytes ({:.1} GiB), but the limit is {limit} bytes ({:.1} GiB): {instead}",
        gib(*bytes), gib(*limit))]
    Memory {
        /// What would be allocated.
        what: &'static str,
        /// Size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
        /// What to do instead.
        instead: &'static str,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The threads could not be started.
    #[error("could not start {n_threads} threads: {why}")]
    Threads {
        /// Number of threads.
        n_threads: usize,
        /// Error of the system.
        why: String,
    },
}

impl Error {
    /// Refuse an argument.
    pub(crate) fn argument(
        name: &'static str,
        got: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        Self::Argument { name, got: got.to_string(), expected: expected.to_string() }
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
