//! Rejects builds with dependencies that are known not to compile for the target or with the selected linker.

use super::types::Linker;
use crate::compile::facts::BuildFacts;
use crate::compile::known_issues::UnsupportedCrate;
use crate::error::{Class, Failure};

/// Fails if a dependency is known not to compile for the build's target with any linker. `platforms` names the build's
/// platforms in the error message.
pub(crate) fn check(build: &BuildFacts<'_>, platforms: &str) -> Result<(), Failure> {
    match build.dependencies.unsupported.iter().find(|issue| !issue.by_zig) {
        Some(issue) => Err(unsupported(issue, platforms)),
        None => Ok(()),
    }
}

/// Fails if zig would compile a dependency's C code and is known to reject it.
pub(crate) fn check_zig(build: &BuildFacts<'_>, linker: &Linker, platforms: &str) -> Result<(), Failure> {
    let zig_compiles_c =
        *linker == Linker::Zig && !build.is_set_by_user("CC") && !build.is_set_by_user("CMAKE_TOOLCHAIN_FILE");
    match build.dependencies.unsupported.iter().find(|issue| issue.by_zig) {
        Some(issue) if zig_compiles_c => Err(unsupported(issue, platforms)),
        _ => Ok(()),
    }
}

fn unsupported(issue: &UnsupportedCrate, platforms: &str) -> Failure {
    let message = format!("{} does not compile for {platforms}: it {}", issue.package, issue.why);
    Failure::new(Class::Compile, message)
        .hint(issue.fix)
        .hint(format!("or exclude {platforms}: list only the other platforms in `platforms` or `--platform`"))
}
