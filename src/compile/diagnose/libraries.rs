//! Hints at how to get a system library for a target.

use super::explanation::FailureContext;
use crate::compile::library_packages::PackagedLibrary;
use crate::platform::Platform;

/// Hints at how to get a library that the target lacks: built from source, from Debian's package, or with the other libc.
/// `name` is what the linker or the compiler calls it.
pub(crate) fn hints(library: Option<&PackagedLibrary>, name: &str, context: &FailureContext<'_>) -> Vec<String> {
    let is_musl = context.triples.iter().any(|triple| triple.contains("-musl"));
    let is_host = context.triples.iter().all(|triple| *triple == context.host);
    let Some(library) = library else {
        return vec![if is_musl {
            format!(
                "no package has it for musl; with libc = \"gnu\" and a base that has glibc, Debian's package does (the one \
                 with {name})"
            )
        } else {
            format!(
                "take Debian's package for the target: sysroot-packages = [\"…\"]; `apt-file search {name}` names it"
            )
        }];
    };
    let package = library.package;
    let vendored = library.vendored.map(|line| format!("have it built from source, in Cargo.toml: {line}"));
    let or = if vendored.is_some() { "or " } else { "" };
    let packaged = if is_host {
        format!("{or}install Debian's package: `apt-get install {package}`")
    } else if is_musl {
        format!(
            "no package has it for musl; with libc = \"gnu\" and a base that has glibc: sysroot-packages = [\"{package}\"]"
        )
    } else {
        format!("{or}take Debian's package for the target: sysroot-packages = [\"{package}\"]")
    };
    vendored.into_iter().chain([packaged]).collect()
}

/// Debian's library directory for a platform.
pub(crate) struct DebianDir {
    pub platform: Platform,
    /// Also the prefix of the cross compilers.
    pub name: String,
}

/// The names of Debian's library directories for the targets that Debian has: `aarch64-linux-gnu`.
pub(crate) fn debian_dirs(context: &FailureContext<'_>) -> Vec<DebianDir> {
    let glibc = context.triples.iter().filter(|triple| !triple.contains("-musl"));
    let dir = |triple: &&str| {
        Some(DebianDir { platform: Platform::for_triple(triple).next()?, name: Platform::gcc_prefix(triple)? })
    };
    glibc.filter_map(dir).collect()
}
