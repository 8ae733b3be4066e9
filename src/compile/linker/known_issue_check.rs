//! Fails for builds that are known to fail with the selected linker.

use super::selection::Linker;
use crate::compile::facts::BuildFacts;
use crate::compile::known_issues::UnsupportedCrate;
use crate::error::{Class, Failure};

/// Fails for a build that is known to fail with any linker. `platforms` are those that it is for.
pub(crate) fn check(build: &BuildFacts<'_>, platforms: &str) -> Result<(), Failure> {
    match build.dependencies.unsupported.iter().find(|issue| !issue.by_zig) {
        Some(issue) => Err(unsupported(issue, platforms)),
        None => Ok(()),
    }
}

/// Fails for a build whose C code zig will compile, and is known to reject.
pub(crate) fn check_zig(build: &BuildFacts<'_>, linker: &Linker, platforms: &str) -> Result<(), Failure> {
    let zig_compiles_c = *linker == Linker::Zig && !build.has_own("CC") && !build.has_own("CMAKE_TOOLCHAIN_FILE");
    match build.dependencies.unsupported.iter().find(|issue| issue.by_zig) {
        Some(issue) if zig_compiles_c => Err(unsupported(issue, platforms)),
        _ => Ok(()),
    }
}

fn unsupported(issue: &UnsupportedCrate, platforms: &str) -> Failure {
    let message = format!("{platforms}: {} does not compile there: it {}", issue.package, issue.why);
    Failure::new(Class::Compile, message)
        .hint(issue.fix)
        .hint(format!("or leave {platforms} out: `platforms`, `--platform`"))
}
