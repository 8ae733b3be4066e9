//! Determines the sysroots that builds request, and the flags and variables that let compilers and build scripts find
//! their headers and libraries.

pub(crate) mod apt;
mod archive;
mod clearsigned;
mod deb;
pub(crate) mod fetch;
pub(crate) mod packages;
mod release;
pub(crate) mod relocate;
pub(crate) mod signature;
pub(crate) mod source;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{BuildFacts, Sysroot};
use crate::plan::{Build, Paths};
use crate::platform::Platform;

/// Returns the sysroots that builds request, keyed by target triple.
pub(crate) fn requested(builds: &[Build], paths: &Paths) -> BTreeMap<String, Sysroot> {
    let mut sysroots: BTreeMap<String, Sysroot> = BTreeMap::new();
    for build in builds.iter().filter(|build| !build.settings.sysroot_packages.is_empty()) {
        let settings = &build.settings;
        let Some((platform, debian)) =
            Platform::for_triple(&settings.triple).find_map(|platform| Some((platform, platform.debian()?)))
        else {
            continue;
        };
        let dir = paths.work_dir().join("+sysroot").join(&settings.triple);
        let (architecture, multiarch) = (debian.name, debian.library_dir.to_owned());
        let empty = Sysroot { platform, dir, architecture, multiarch, packages: BTreeSet::new(), is_copied: false };
        let sysroot = sysroots.entry(settings.triple.clone()).or_insert(empty);
        sysroot.packages.extend(settings.sysroot_packages.iter().cloned());
        sysroot.is_copied |= build.copies_libraries;
    }
    sysroots
}

impl Sysroot {
    /// Returns the rustc flags for linking against the sysroot's libraries.
    pub(crate) fn rustflags(&self) -> Vec<String> {
        vec![
            format!("-Lnative={}/usr/lib/{}", self.dir, self.multiarch),
            // Shared libraries may depend on each other, or on a newer glibc than zig's. Leave their undefined symbols
            // to the dynamic loader.
            "-Clink-arg=-Wl,--allow-shlib-undefined".to_owned(),
        ]
    }

    /// Returns the C compiler flags for finding the sysroot's headers.
    pub(crate) fn c_flags(&self) -> Vec<String> {
        vec![format!("-I{}/usr/include", self.dir), format!("-I{}/usr/include/{}", self.dir, self.multiarch)]
    }

    fn has(&self, package: &str) -> bool {
        self.packages.iter().any(|requested| requested.split('=').next() == Some(package))
    }
}

/// Returns the variables that let build scripts find the sysroot's headers and libraries, except those that the user
/// has set.
pub(crate) fn variables(build: &BuildFacts<'_>) -> Vec<(String, String)> {
    let Some(sysroot) = build.sysroot else { return Vec::new() };
    let mut variables = pkg_config_variables(build, sysroot);
    if sysroot.has("libssl-dev") {
        variables.extend(openssl_variables(build, sysroot));
    }
    variables
}

fn pkg_config_variables(build: &BuildFacts<'_>, Sysroot { dir, multiarch, .. }: &Sysroot) -> Vec<(String, String)> {
    let triple = build.triple().replace('-', "_");
    let is_set = |name: &str| build.is_set(name) || build.is_set_for_target(name);
    let mut variables = Vec::new();
    let is_path_set = is_set("PKG_CONFIG_SYSROOT_DIR")
        || is_set("PKG_CONFIG_LIBDIR")
        // PKG_CONFIG_PATH without a target in its name refers to the host's libraries.
        || build.is_set_for_target("PKG_CONFIG_PATH");
    if !is_path_set {
        let path = format!("{dir}/usr/lib/{multiarch}/pkgconfig:{dir}/usr/share/pkgconfig");
        variables.push((format!("PKG_CONFIG_SYSROOT_DIR_{triple}"), dir.to_string()));
        variables.push((format!("PKG_CONFIG_LIBDIR_{triple}"), path));
    }
    if !is_set("PKG_CONFIG_ALLOW_CROSS") {
        variables.push((format!("PKG_CONFIG_ALLOW_CROSS_{triple}"), "1".to_owned()));
    }
    variables
}

/// Returns the variables for `openssl-sys`, which does not run pkg-config if one of them is set.
fn openssl_variables(build: &BuildFacts<'_>, Sysroot { dir, multiarch, .. }: &Sysroot) -> Vec<(String, String)> {
    let triple = build.triple().replace('-', "_").to_uppercase();
    let is_set = |name: &str| build.is_set(name) || build.is_set(&format!("{triple}_{name}"));
    let mut variables = Vec::new();
    if !["OPENSSL_DIR", "OPENSSL_LIB_DIR", "OPENSSL_INCLUDE_DIR"].into_iter().any(is_set) {
        variables.push((format!("{triple}_OPENSSL_DIR"), format!("{dir}/usr")));
        variables.push((format!("{triple}_OPENSSL_LIB_DIR"), format!("{dir}/usr/lib/{multiarch}")));
        variables.push((format!("{triple}_OPENSSL_INCLUDE_DIR"), format!("{dir}/usr/include")));
    }
    if build.links_statically() && !is_set("OPENSSL_STATIC") {
        variables.push((format!("{triple}_OPENSSL_STATIC"), "1".to_owned()));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::Facts;
    use crate::plan::BuildSettings;

    const TRIPLE: &str = "aarch64-unknown-linux-gnu";

    fn build(packages: &[&str]) -> BuildSettings {
        BuildSettings {
            triple: TRIPLE.to_owned(),
            sysroot_packages: packages.iter().map(|name| (*name).to_owned()).collect(),
            ..BuildSettings::default()
        }
    }

    /// Returns facts with a sysroot for the packages of `build`, and with `variables` set by the user.
    fn facts(build: &BuildSettings, variables: &[&str]) -> Facts {
        let sysroot = Sysroot {
            platform: "linux/arm64".parse().unwrap(),
            dir: "/s".into(),
            architecture: "arm64",
            multiarch: "aarch64-linux-gnu".to_owned(),
            packages: build.sysroot_packages.iter().cloned().collect(),
            is_copied: false,
        };
        let mut facts = Facts { sysroots: [(TRIPLE.to_owned(), sysroot)].into(), ..Facts::default() };
        facts.env.variables = variables.iter().map(|name| (*name).to_owned()).collect();
        facts
    }

    #[test]
    fn sets_variables_for_pkg_config_and_openssl() {
        let ssl = build(&["libssl-dev"]);
        let facts = facts(&ssl, &[]);
        let all = variables(&facts.build(&ssl));
        let all: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            all,
            [
                "PKG_CONFIG_SYSROOT_DIR_aarch64_unknown_linux_gnu=/s",
                "PKG_CONFIG_LIBDIR_aarch64_unknown_linux_gnu=/s/usr/lib/aarch64-linux-gnu/pkgconfig:/s/usr/share/pkgconfig",
                "PKG_CONFIG_ALLOW_CROSS_aarch64_unknown_linux_gnu=1",
                "AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR=/s/usr",
                "AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_LIB_DIR=/s/usr/lib/aarch64-linux-gnu",
                "AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_INCLUDE_DIR=/s/usr/include",
            ]
        );
        let sysroot = facts.build(&ssl).sysroot.unwrap();
        assert_eq!(sysroot.c_flags(), ["-I/s/usr/include", "-I/s/usr/include/aarch64-linux-gnu"]);
        assert_eq!(
            sysroot.rustflags(),
            ["-Lnative=/s/usr/lib/aarch64-linux-gnu", "-Clink-arg=-Wl,--allow-shlib-undefined"]
        );
        let other = build(&[]);
        assert_eq!((facts.build(&other).sysroot, variables(&facts.build(&other))), (None, vec![]));
    }

    #[test]
    fn does_not_override_variables_set_by_the_user() {
        // Each case ends with the expected number of variables, in this order: pkg-config paths, ALLOW_CROSS, OpenSSL
        // directories, and OPENSSL_STATIC.
        for (why, set, env, flag, expected) in [
            ("no variables", &[][..], "X", "", [2, 1, 3, 0]),
            ("for the host", &["PKG_CONFIG_PATH"], "X", "", [2, 1, 3, 0]),
            ("for the target", &["PKG_CONFIG_PATH_aarch64-unknown-linux-gnu"], "X", "", [0, 1, 3, 0]),
            ("for all cross targets", &["TARGET_PKG_CONFIG_LIBDIR"], "PKG_CONFIG_ALLOW_CROSS", "", [0, 0, 3, 0]),
            ("for all targets", &["PKG_CONFIG_SYSROOT_DIR"], "X", "", [0, 1, 3, 0]),
            ("build-env", &[], "AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR", "", [2, 1, 0, 0]),
            ("crt-static", &[], "OPENSSL_LIB_DIR", "-Ctarget-feature=+crt-static", [2, 1, 0, 1]),
            (
                "crt-static with OPENSSL_STATIC set",
                &["OPENSSL_STATIC"],
                "X",
                "-Ctarget-feature=+crt-static",
                [2, 1, 3, 0],
            ),
        ] {
            let mut ssl = build(&["libssl-dev"]);
            ssl.env.insert(env.to_owned(), "1".to_owned());
            ssl.rustflags.push(flag.to_owned());
            let names: Vec<String> =
                variables(&facts(&ssl, set).build(&ssl)).into_iter().map(|(name, _)| name).collect();
            let count = |is_counted: &dyn Fn(&str) -> bool| names.iter().filter(|name| is_counted(name)).count();
            let counts = [
                count(&|name| name.starts_with("PKG_CONFIG_") && !name.contains("ALLOW")),
                count(&|name| name.contains("ALLOW_CROSS")),
                count(&|name| name.contains("_OPENSSL_") && !name.ends_with("STATIC")),
                count(&|name| name.ends_with("STATIC")),
            ];
            assert_eq!(counts, expected, "{why}: {names:?}");
        }
        let zlib = build(&["zlib1g-dev"]);
        assert!(!variables(&facts(&zlib, &[]).build(&zlib)).iter().any(|(name, _)| name.contains("OPENSSL")));
    }
}
