//! Why the embedded engine does not carry out an instruction.

/// A clause of its own, for a message that names the instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageError {
    /// Something that only a builder can do: `RUN`.
    Beyond(String),
    /// No engine can: `'5x' is not a duration`.
    Wrong(String),
}

impl StageError {
    pub fn beyond<T>(what: impl Into<String>) -> Result<T, StageError> {
        Err(StageError::Beyond(what.into()))
    }

    pub fn wrong<T>(what: impl Into<String>) -> Result<T, StageError> {
        Err(StageError::Wrong(what.into()))
    }
}
