//! Why an instruction of a stage cannot be carried out.

/// What is wrong, as a clause for a message that names the instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageError {
    /// Only a builder can do it, not the embedded engine: `RUN`.
    Unsupported(String),
    /// No engine can do it: `'5x' is not a duration`.
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
