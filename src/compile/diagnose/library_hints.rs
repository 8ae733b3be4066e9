//! Suggests ways to get a system library for a target.

use super::explanation::FailureContext;
use crate::compile::debian_packages::PackagedLibrary;
use crate::platform::Platform;

/// Returns hints for getting a missing library: building it from source, installing the Debian package, or using glibc
/// instead of musl. `name` is the name that appears in the error, such as a library or a header.
pub(crate) fn hints(library: Option<&PackagedLibrary>, name: &str, context: &FailureContext<'_>) -> Vec<String> {
    let is_musl = context.triples.iter().any(|triple| triple.contains("-musl"));
    let is_host = context.triples.iter().all(|triple| *triple == context.host);
    let Some(library) = library else {
        return vec![if is_musl {
            format!(
                "use glibc, because Debian has no packages for musl: set libc = \"gnu\", use a base image with glibc, \
                 and add the package that contains {name} to sysroot-packages"
            )
        } else {
            format!(
                "add the Debian package that contains {name}: sysroot-packages = [\"…\"] (find the package with \
                 `apt-file search {name}`)"
            )
        }];
    };
    library.hints(is_musl, is_host)
}

/// The name of Debian's library directory for a platform.
pub(crate) struct DebianDir {
    pub platform: Platform,
    /// The directory's name, which is also the prefix of cross compiler names.
    pub name: String,
}

/// Returns Debian's library directories, such as `aarch64-linux-gnu`, for the glibc targets of a run.
pub(crate) fn debian_dirs(context: &FailureContext<'_>) -> Vec<DebianDir> {
    let glibc = context.triples.iter().filter(|triple| !triple.contains("-musl"));
    let dir = |triple: &&str| {
        Some(DebianDir { platform: Platform::for_triple(triple).next()?, name: Platform::gcc_prefix(triple)? })
    };
    glibc.filter_map(dir).collect()
}
