//! Rejects builds that link against a system library whose crate cannot find it for the target. Only crates whose build
//! script is known to fail are rejected, because others may find the library in ways that cannot be predicted.

use super::types::Linker;
use crate::compile::debian_packages;
use crate::compile::facts::BuildFacts;
use crate::compile::linked_libraries::SystemLibrary;
use crate::error::{Class, Failure};

/// Crates whose build script fails unless pkg-config or a variable provides the library. pkg-config refuses to search
/// for a target other than the host's, unless one of its variables is set.
const FAIL_WITHOUT_PKG_CONFIG: [&str; 4] = ["openssl-sys", "alsa-sys", "libudev-sys", "libdbus-sys"];

/// Fails if a dependency's build script is certain not to find its system library for the build's target. `platforms`
/// is the display name of the build's platforms.
pub(crate) fn check(build: &BuildFacts<'_>, linker: &Linker, platforms: &str) -> Result<(), Failure> {
    // The build script can use the libraries of the host, of the requested packages, or of cross's container.
    if build.target.is_host || !build.settings.sysroot_packages.is_empty() || *linker == Linker::Cross {
        return Ok(());
    }
    match build.dependencies.system_libraries.iter().find(|library| is_missing(library, build)) {
        Some(library) => Err(missing(library, build, platforms)),
        None => Ok(()),
    }
}

fn is_missing(library: &SystemLibrary, build: &BuildFacts<'_>) -> bool {
    let name = library.package.split(' ').next().unwrap_or_default();
    library.is_from_crates_io
        && FAIL_WITHOUT_PKG_CONFIG.contains(&name)
        && !build.target.overridden_links.contains(&library.links)
        && !provided_by_variable(library, build)
}

/// Reports whether a variable may tell the build script or pkg-config where the library is.
fn provided_by_variable(library: &SystemLibrary, build: &BuildFacts<'_>) -> bool {
    let library = library.links.to_uppercase().replace('-', "_");
    let mut names = build.env.variables.iter().chain(build.settings.env.keys());
    names.any(|name| name.contains("PKG_CONFIG") || name.contains(&library))
}

fn missing(library: &SystemLibrary, build: &BuildFacts<'_>, platforms: &str) -> Failure {
    let message = format!("no {} library for {platforms}, which {} links against", library.links, library.package);
    let failure = Failure::new(Class::Config, message);
    let Some(packaged) = debian_packages::for_library(&library.links) else { return failure };
    packaged.hints(build.is_musl(), false).into_iter().fold(failure, Failure::hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::Facts;
    use crate::plan::BuildSettings;

    const MUSL: &str = "aarch64-unknown-linux-musl";
    const GNU: &str = "aarch64-unknown-linux-gnu";

    fn library(package: &str, links: &str) -> SystemLibrary {
        SystemLibrary {
            package: package.to_owned(),
            links: links.to_owned(),
            debian: None,
            vendored: None,
            is_from_crates_io: true,
        }
    }

    /// Checks a build for `triple` that links against a library, after `change` has changed the build and the facts.
    fn check_with(
        triple: &str,
        library: SystemLibrary,
        linker: &Linker,
        change: impl FnOnce(&mut BuildSettings, &mut Facts),
    ) -> Result<(), Failure> {
        let mut settings = BuildSettings { triple: triple.to_owned(), ..BuildSettings::default() };
        let mut facts = Facts::default();
        facts.targets.entry(triple.to_owned()).or_default();
        change(&mut settings, &mut facts);
        facts.dependencies.entry(settings.clone()).or_default().system_libraries.insert(library);
        check(&facts.build(&settings), linker, "linux/arm64")
    }

    #[test]
    fn rejects_only_builds_that_are_certain_to_fail() {
        type Change = fn(&mut BuildSettings, &mut Facts);
        let openssl = || library("openssl-sys 0.9.109", "openssl");
        let patched = || SystemLibrary { is_from_crates_io: false, ..openssl() };
        let unchanged: Change = |_, _| ();
        for (why, library, linker, change, is_rejected) in [
            ("nothing provides it", openssl(), Linker::Zig, unchanged, true),
            ("a cross gcc does not help pkg-config", openssl(), Linker::Gcc("gcc".into()), unchanged, true),
            ("alsa", library("alsa-sys 0.3.1", "alsa"), Linker::Zig, unchanged, true),
            ("a patched crate", patched(), Linker::Zig, unchanged, false),
            ("a crate with a fallback", library("libsqlite3-sys 0.30.1", "sqlite3"), Linker::Zig, unchanged, false),
            ("cross's container", openssl(), Linker::Cross, unchanged, false),
            ("packages", openssl(), Linker::Zig, |build, _| build.sysroot_packages = vec!["libssl-dev".into()], false),
            (
                "build-env",
                openssl(),
                Linker::Zig,
                |build, _| drop(build.env.insert("AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR".into(), "/o".into())),
                false,
            ),
            (
                "OPENSSL_LIB_DIR",
                openssl(),
                Linker::Zig,
                |_, facts| facts.env.variables.extend(["OPENSSL_LIB_DIR".into()]),
                false,
            ),
            (
                "pkg-config for the target",
                openssl(),
                Linker::Zig,
                |_, facts| facts.env.variables.extend(["PKG_CONFIG_ALLOW_CROSS".into()]),
                false,
            ),
        ] {
            for triple in [GNU, MUSL] {
                let rejected = check_with(triple, library.clone(), &linker, change).is_err();
                assert_eq!(rejected, is_rejected, "{why}: {triple}");
            }
        }
        let host = check_with(GNU, openssl(), &Linker::Host, |_, facts| {
            facts.targets.get_mut(GNU).unwrap().is_host = true;
        });
        let overridden = check_with(GNU, openssl(), &Linker::Zig, |_, facts| {
            facts.targets.get_mut(GNU).unwrap().overridden_links.insert("openssl".to_owned());
        });
        assert!(host.is_ok() && overridden.is_ok());
    }

    #[test]
    fn hints_contain_the_lines_to_add() {
        for (triple, expected) in [
            (GNU, "or add the Debian package for the target: sysroot-packages = [\"libssl-dev\"]"),
            (
                MUSL,
                "or use glibc, because Debian has no packages for musl: set libc = \"gnu\" and \
                 sysroot-packages = [\"libssl-dev\"], and use a base image with glibc",
            ),
        ] {
            let failure =
                check_with(triple, library("openssl-sys 0.9.109", "openssl"), &Linker::Zig, |_, _| ()).unwrap_err();
            assert_eq!(
                failure.to_string(),
                "no openssl library for linux/arm64, which openssl-sys 0.9.109 links against"
            );
            assert!(failure.hints()[0].contains("features = [\"vendored\"]"), "{:?}", failure.hints());
            assert_eq!(failure.hints()[1], expected);
        }
    }
}
