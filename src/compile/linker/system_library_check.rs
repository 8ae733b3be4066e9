//! Rejects builds that link against a system library that cannot be found for the target. Only builds that are certain
//! to fail are rejected.

use super::types::Linker;
use crate::compile::debian_packages;
use crate::compile::facts::BuildFacts;
use crate::compile::linked_libraries::SystemLibrary;
use crate::error::{Class, Failure};

/// Crates whose build script fails unless pkg-config or a variable provides the library. Others leave it to the linker
/// to find the library.
const FAIL_WITHOUT_PKG_CONFIG: [&str; 4] = ["openssl-sys", "alsa-sys", "libudev-sys", "libdbus-sys"];

/// Crates with a feature that loads the library at run time, so that it is not linked.
const MAY_LOAD_AT_RUN_TIME: [&str; 2] = ["yeslogic-fontconfig-sys", "servo-fontconfig-sys"];

/// Variables that make the `pkg-config` crate search for libraries of another target than the host.
const PKG_CONFIG_VARIABLES: [&str; 3] = ["PKG_CONFIG", "PKG_CONFIG_ALLOW_CROSS", "PKG_CONFIG_SYSROOT_DIR"];

/// Ends of variables with which build scripts let users provide a library, such as `OPENSSL_LIB_DIR`.
const LOCATION_SUFFIXES: [&str; 9] =
    ["DIR", "LIB_DIR", "LIBDIR", "LIBS", "LIB", "ROOT", "PREFIX", "LIB_PATH", "NO_PKG_CONFIG"];

/// Fails if a system library is certain not to be found for the build's target. `platforms` is the display name of the
/// build's platforms.
pub(crate) fn check(build: &BuildFacts<'_>, linker: &Linker, platforms: &str) -> Result<(), Failure> {
    // The build script can use the libraries of the host, of the requested packages, or of cross's container.
    if build.target.is_host || !build.settings.sysroot_packages.is_empty() || *linker == Linker::Cross {
        return Ok(());
    }
    match build.dependencies.system_libraries.iter().find(|library| is_missing(library, linker, build)) {
        Some(library) => Err(missing(library, build, platforms)),
        None => Ok(()),
    }
}

fn is_missing(library: &SystemLibrary, linker: &Linker, build: &BuildFacts<'_>) -> bool {
    let name = library.package.split(' ').next().unwrap_or_default();
    let build_script_fails = FAIL_WITHOUT_PKG_CONFIG.contains(&name);
    // A crate that does not search may have its own copy of the library.
    let is_linked = library.debian.is_some() && library.is_searched;
    let link_fails = is_linked && !MAY_LOAD_AT_RUN_TIME.contains(&name) && !may_find(linker, build);
    library.is_from_crates_io
        && (build_script_fails || link_fails)
        && !build.target.overridden_links.contains(&library.links)
        && !provided_by_variable(library, build)
}

/// Reports whether a linker may find libraries that no build script points it to. A cross gcc searches the directories
/// of Debian's packages for other architectures.
fn may_find(linker: &Linker, build: &BuildFacts<'_>) -> bool {
    let searches_system = !matches!(linker, Linker::Zig | Linker::RustLld);
    searches_system || build.rustflags().any(|flag| flag.starts_with("-L") || flag.contains("link-arg"))
}

/// Reports whether a variable tells the build script or pkg-config where the library is.
fn provided_by_variable(library: &SystemLibrary, build: &BuildFacts<'_>) -> bool {
    let is_set = |name: &str| build.is_set(name) || build.is_set_for_target(name);
    // openssl-sys puts the target in front of the name.
    let target = build.triple().to_uppercase().replace('-', "_");
    let is_set_for_library = |name: String| is_set(&name) || build.is_set(&format!("{target}_{name}"));
    let names = library_names(library);
    PKG_CONFIG_VARIABLES.into_iter().any(is_set)
        || names.iter().any(|name| {
            LOCATION_SUFFIXES.iter().any(|suffix| is_set_for_library(format!("{name}_{suffix}")))
                || is_set_for_library(format!("SYSTEM_DEPS_{name}_LIB"))
        })
        || (library.links == "pq" && is_set_for_library("PG_CONFIG".to_owned()))
}

/// Returns the names of a library as build scripts use them in variables: the names that the library is known by, and
/// that of the crate without `-sys`.
fn library_names(library: &SystemLibrary) -> Vec<String> {
    let package = library.package.split(' ').next().unwrap_or_default();
    let known = debian_packages::for_library(&library.links);
    let names = known.map(|known| known.library_names().collect::<Vec<_>>()).unwrap_or_default();
    let names = names.into_iter().chain([library.links.as_str(), package.trim_end_matches("-sys")]);
    names.map(|name| name.to_uppercase().replace(['-', '.'], "_")).collect()
}

fn missing(library: &SystemLibrary, build: &BuildFacts<'_>, platforms: &str) -> Failure {
    let message = format!("{} cannot find {} for {platforms}", library.package, display_name(&library.links));
    let failure = Failure::new(Class::Config, message);
    let Some(packaged) = debian_packages::for_library(&library.links) else { return failure };
    packaged.hints(build.is_musl(), false).into_iter().fold(failure, Failure::hint)
}

/// Returns the name of a library for messages.
fn display_name(links: &str) -> &str {
    match links {
        "openssl" => "OpenSSL",
        "sqlite3" => "SQLite",
        "pq" => "libpq",
        "mysqlclient" => "the MySQL client library",
        "alsa" | "asound" => "ALSA",
        "dbus" | "dbus-1" => "D-Bus",
        other => other,
    }
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
            debian: debian_packages::for_library(links).map(|library| library.package),
            vendored: None,
            is_searched: true,
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

    fn set(facts: &mut Facts, variable: &str) {
        facts.env.variables.insert(variable.to_owned());
    }

    #[test]
    fn rejects_only_builds_that_are_certain_to_fail() {
        type Change = fn(&mut BuildSettings, &mut Facts);
        let openssl = || library("openssl-sys 0.9.109", "openssl");
        let patched = || SystemLibrary { is_from_crates_io: false, ..openssl() };
        let unchanged: Change = |_, _| ();
        let sqlite = || library("libsqlite3-sys 0.30.1", "sqlite3");
        for (why, library, linker, change, is_rejected) in [
            ("nothing provides it", openssl(), Linker::Zig, unchanged, true),
            ("a cross gcc does not help pkg-config", openssl(), Linker::Gcc("gcc".into()), unchanged, true),
            ("alsa", library("alsa-sys 0.3.1", "alsa"), Linker::Zig, unchanged, true),
            ("a patched crate", patched(), Linker::Zig, unchanged, false),
            ("zig does not find it", sqlite(), Linker::Zig, unchanged, true),
            ("a cross gcc may find it", sqlite(), Linker::Gcc("gcc".into()), unchanged, false),
            ("SQLITE3_LIB_DIR", sqlite(), Linker::Zig, |_, facts| set(facts, "SQLITE3_LIB_DIR"), false),
            ("-L", sqlite(), Linker::Zig, |build, _| build.rustflags.push("-L/opt".to_owned()), false),
            ("an unknown library", library("other-sys 1.0.0", "other"), Linker::Zig, unchanged, false),
            (
                "loaded at run time",
                library("yeslogic-fontconfig-sys 6.0.0", "fontconfig"),
                Linker::Zig,
                unchanged,
                false,
            ),
            // Variables that have nothing to do with the build.
            ("OPENSSL_CONF", openssl(), Linker::Zig, |_, facts| set(facts, "OPENSSL_CONF"), true),
            ("PKG_CONFIG_PATH", openssl(), Linker::Zig, |_, facts| set(facts, "PKG_CONFIG_PATH"), true),
            (
                "another target",
                openssl(),
                Linker::Zig,
                |_, facts| set(facts, "S390X_UNKNOWN_LINUX_GNU_OPENSSL_DIR"),
                true,
            ),
            (
                "the session bus",
                library("libdbus-sys 0.2.5", "dbus"),
                Linker::Zig,
                |_, facts| set(facts, "DBUS_SESSION_BUS_ADDRESS"),
                true,
            ),
            ("cross's container", openssl(), Linker::Cross, unchanged, false),
            ("packages", openssl(), Linker::Zig, |build, _| build.sysroot_packages = vec!["libssl-dev".into()], false),
            (
                "build-env",
                openssl(),
                Linker::Zig,
                |build, _| {
                    let target = build.triple.to_uppercase().replace('-', "_");
                    build.env.insert(format!("{target}_OPENSSL_DIR"), "/o".into());
                },
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
            assert_eq!(failure.to_string(), "openssl-sys 0.9.109 cannot find OpenSSL for linux/arm64");
            assert!(failure.hints()[0].contains("features = [\"vendored\"]"), "{:?}", failure.hints());
            assert_eq!(failure.hints()[1], expected);
        }
    }
}
