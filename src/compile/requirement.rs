//! What a build needs before it can be compiled, and a failure for each requirement that is not met.

use crate::error::Failure;

/// What a build needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// A target that rustc knows.
    Target,
    LockFile,
    /// Crates that compile for the target at all.
    Crates,
    Std,
    Linker,
    Auditable,
}

/// A requirement that is not met.
#[derive(Debug)]
pub(crate) struct Problem {
    pub requirement: Requirement,
    /// The target triple that it is about. `None` if it is about all of them.
    pub triple: Option<String>,
    pub failure: Failure,
}

impl Problem {
    pub(crate) fn of_target(requirement: Requirement, triple: &str, failure: Failure) -> Problem {
        Problem { requirement, triple: Some(triple.to_owned()), failure }
    }

    pub(crate) fn of_all(requirement: Requirement, failure: Failure) -> Problem {
        Problem { requirement, triple: None, failure }
    }
}
