//! Errors for Dockerfile instructions that cannot be evaluated.

/// The reason why an instruction cannot be evaluated, as a fragment of an error message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageError {
    /// A feature that the embedded engine does not support, such as `RUN`.
    Unsupported(String),
    /// An error that every engine would report, such as `'5x' is not a valid duration`.
    Invalid(String),
}

impl StageError {
    pub(crate) fn unsupported(feature: impl Into<String>) -> StageError {
        StageError::Unsupported(feature.into())
    }

    pub(crate) fn invalid(problem: impl Into<String>) -> StageError {
        StageError::Invalid(problem.into())
    }
}
