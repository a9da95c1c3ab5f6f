//! Every way a call can be refused, with the value refused and what was allowed.

/// Result of a call that may be refused.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused. Nothing has been changed by it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is outside what the function accepts.
    #[error("{name} is {got}, but must be {expected}")]
    Argument {
        /// Name of the argument.
        name: &'static str,
        /// What was given.
        got: String,
        /// What would be accepted.
        expected: String,
    },
    /// A window of a CSR batch names a feature that does not exist.
    #[error(
        "window {window} has feature {feature}, but there are only {n_features} features (0 to {})",
        n_features - 1
    )]
    FeatureOutOfRange {
        /// Window, counted from the start of the batch.
        window: usize,
        /// Feature refused.
        feature: u32,
        /// Features there are.
        n_features: usize,
    },
    /// The features of a window do not strictly rise.
    #[error(
        "window {window} has feature {feature} right after {previous}: sort the features of each window and keep each once"
    )]
    Unsorted {
        /// Window, counted from the start of the batch.
        window: usize,
        /// Feature that comes too late.
        feature: u32,
        /// Feature before it.
        previous: u32,
    },
    /// Two sizes that have to agree do not.
    #[error("{what} has {got}, but {other} has {expected}: they must be equal")]
    Mismatch {
        /// What was given.
        what: &'static str,
        /// Its size.
        got: usize,
        /// What it is compared with.
        other: &'static str,
        /// The size it should have.
        expected: usize,
    },
    /// NaN or infinity where a number is needed.
    #[error("{what}[{row}, {column}] is {value}: only finite numbers can be ranked")]
    NotFinite {
        /// Array.
        what: &'static str,
        /// Row in it.
        row: usize,
        /// Column in it.
        column: usize,
        /// What stands there.
        value: f64,
    },
    /// Counts that no set of windows can have.
    #[error(
        "counts[{row}, {column}] is {value}, {why}: this is no co-occurrence histogram of {n_windows} windows"
    )]
    Contradiction {
        /// Row in the counts.
        row: usize,
        /// Column in the counts.
        column: usize,
        /// What stands there.
        value: i64,
        /// Rule broken.
        why: String,
        /// Windows claimed.
        n_windows: u64,
    },
    /// More windows than 32-bit counts can hold.
    #[error(
        "{got} windows are more than the {max} that 32-bit counts hold: count the shards apart"
    )]
    TooManyWindows {
        /// Windows there would be.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// The call would need more memory than it may take.
    #[error("{what} would take {bytes} bytes ({:.1} GiB), but the limit is {limit} bytes ({:.1} GiB): {instead}",
        gib(*bytes), gib(*limit))]
    Memory {
        /// What would be allocated.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit in force.
        limit: u64,
        /// What to do instead.
        instead: &'static str,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The threads asked for could not be started.
    #[error("could not start {n_threads} threads: {why}")]
    Threads {
        /// Threads asked for.
        n_threads: usize,
        /// What the system said.
        why: String,
    },
}

impl Error {
    /// An argument outside what is accepted.
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
