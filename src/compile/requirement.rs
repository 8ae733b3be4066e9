//! What a build requires, and who decides when something of it is missing.

use anyhow::Result;

use crate::error::Failure;

/// What a build needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// A target that rustc knows.
    Target,
    LockFile,
    /// Crates that compile for the target at all.
    Crates,
    Std,
    Linker,
    Auditable,
}

/// Is told what is in the way, and of which target triple where it is not of all; where it returns that, nothing more is
/// looked at.
pub type OnProblem<'a> = &'a mut dyn FnMut(Requirement, Option<&str>, Failure) -> Result<(), Failure>;
