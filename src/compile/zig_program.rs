//! Finds zig: on PATH, where `doctor --fix` installs it, or in the Python package `ziglang`.

use std::path::{Path, PathBuf};

use camino::Utf8Path;
use semver::Version;

use super::zig_package;
use crate::process::{Cmd, find_program};

/// The oldest supported version of zig.
const MINIMUM_VERSION: Version = Version::new(0, 11, 0);

/// Prints the directory of the `ziglang` package, which contains zig.
const PRINT_PACKAGE_DIR: &str = "import os, ziglang; print(os.path.dirname(ziglang.__file__))";

/// An installed zig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZigProgram {
    pub path: PathBuf,
    pub version: Version,
}

impl ZigProgram {
    /// Returns the zig that `doctor --fix` installs.
    pub(crate) fn pinned(cache_dir: &Utf8Path) -> Self {
        ZigProgram { path: zig_package::program_path(cache_dir).into(), version: zig_package::ZIG_VERSION }
    }
}

#[cfg(test)]
impl ZigProgram {
    pub(crate) fn sample() -> Self {
        ZigProgram { path: "/opt/zig/zig".into(), version: Version::new(0, 15, 2) }
    }
}

/// Returns the first zig that works: the one on PATH, the one that `doctor --fix` installed into the cache directory, or
/// the one in the Python package. Python is started only once, here, because it takes longer to start than zig takes to
/// compile a small file.
pub(crate) fn find(cache_dir: &Utf8Path) -> Option<ZigProgram> {
    find_program("zig")
        .and_then(check)
        .or_else(|| check(zig_package::program_path(cache_dir).into()))
        .or_else(|| check(path_in_python_package()?))
}

fn path_in_python_package() -> Option<PathBuf> {
    let printed = Cmd::new(find_program("python3")?).args(["-c", PRINT_PACKAGE_DIR]).read().ok()?;
    Some(Path::new(printed.trim()).join("zig"))
}

/// Returns the zig at a path, or `None` if it does not run or is too old.
pub(crate) fn check(path: PathBuf) -> Option<ZigProgram> {
    let printed = Cmd::new(&path).arg("version").read().ok()?;
    let version = Version::parse(printed.trim()).ok().filter(|version| *version >= MINIMUM_VERSION)?;
    Some(ZigProgram { path, version })
}
