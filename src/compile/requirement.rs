//! Requirements that must be met before a build can be compiled.

use crate::error::Failure;

/// A precondition for compiling a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// The target is supported by rustc.
    Target,
    LockFile,
    /// The build is not compiled for the CPU of this machine.
    TargetCpu,
    /// No dependency is known to be incompatible with the target.
    SupportedCrates,
    Std,
    /// The system libraries that dependencies link against can be found for the target.
    SystemLibraries,
    Linker,
    Auditable,
}

/// A requirement that is not met.
#[derive(Debug)]
pub(crate) struct Problem {
    pub requirement: Requirement,
    /// The affected target triple, or `None` if all targets are affected.
    pub triple: Option<String>,
    pub failure: Failure,
}

impl Problem {
    pub(crate) fn for_target(requirement: Requirement, triple: &str, failure: Failure) -> Problem {
        Problem { requirement, triple: Some(triple.to_owned()), failure }
    }

    pub(crate) fn for_all(requirement: Requirement, failure: Failure) -> Problem {
        Problem { requirement, triple: None, failure }
    }
}
