//! Headers and libraries of a target from Debian packages: which sysroots the builds request, and the flags and variables
//! that point compilers and build scripts to them.

pub(crate) mod apt;
pub(crate) mod packages;
pub(crate) mod relocate;

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{BuildFacts, Sysroot};
use crate::plan::{Build, Paths};
use crate::platform::Platform;

/// The sysroots that builds request, by target triple.
pub(crate) fn requested(builds: &[Build], paths: &Paths) -> BTreeMap<String, Sysroot> {
    let mut sysroots: BTreeMap<String, Sysroot> = BTreeMap::new();
    for settings in builds.iter().map(|build| &build.settings).filter(|settings| !settings.sysroot_packages.is_empty())
    {
        let Some((platform, debian)) =
            Platform::for_triple(&settings.triple).find_map(|platform| Some((platform, platform.debian()?)))
        else {
            continue;
        };
        let dir = paths.work_dir().join("+sysroot").join(&settings.triple);
        let (architecture, multiarch) = (debian.name, debian.library_dir.to_owned());
        let empty = Sysroot { platform, dir, architecture, multiarch, packages: BTreeSet::new() };
        let sysroot = sysroots.entry(settings.triple.clone()).or_insert(empty);
        sysroot.packages.extend(settings.sysroot_packages.iter().cloned());
    }
    sysroots
}

impl Sysroot {
    /// The flags with which rustc's linker finds the libraries.
    pub(crate) fn rustflags(&self) -> Vec<String> {
        vec![
            format!("-Lnative={}/usr/lib/{}", self.dir, self.multiarch),
            // Symbols that shared libraries need from each other, or from a newer glibc than zig's, are there when the
            // program starts.
            "-Clink-arg=-Wl,--allow-shlib-undefined".to_owned(),
        ]
    }

    /// The flags with which a C compiler finds the headers.
    pub(crate) fn c_flags(&self) -> Vec<String> {
        vec![format!("-I{}/usr/include", self.dir), format!("-I{}/usr/include/{}", self.dir, self.multiarch)]
    }

    fn has(&self, package: &str) -> bool {
        self.packages.iter().any(|requested| requested.split('=').next() == Some(package))
    }
}

/// The variables with which build scripts find a build's headers and libraries, without those that the user has set.
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
    let has_own_path = is_set("PKG_CONFIG_SYSROOT_DIR")
        || is_set("PKG_CONFIG_LIBDIR")
        // PKG_CONFIG_PATH for all targets is about the host's libraries.
        || build.is_set_for_target("PKG_CONFIG_PATH");
    if !has_own_path {
        let path = format!("{dir}/usr/lib/{multiarch}/pkgconfig:{dir}/usr/share/pkgconfig");
        variables.push((format!("PKG_CONFIG_SYSROOT_DIR_{triple}"), dir.to_string()));
        variables.push((format!("PKG_CONFIG_LIBDIR_{triple}"), path));
    }
    if !is_set("PKG_CONFIG_ALLOW_CROSS") {
        variables.push((format!("PKG_CONFIG_ALLOW_CROSS_{triple}"), "1".to_owned()));
    }
    variables
}

/// `openssl-sys` runs pkg-config only if none of its own variables is set.
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

    /// A sysroot with the packages of `build`, and variables that the user has set.
    fn facts(build: &BuildSettings, variables: &[&str]) -> Facts {
        let sysroot = Sysroot {
            platform: "linux/arm64".parse().unwrap(),
            dir: "/s".into(),
            architecture: "arm64",
            multiarch: "aarch64-linux-gnu".to_owned(),
            packages: build.sysroot_packages.iter().cloned().collect(),
        };
        let mut facts = Facts { sysroots: [(TRIPLE.to_owned(), sysroot)].into(), ..Facts::default() };
        facts.env.variables = variables.iter().map(|name| (*name).to_owned()).collect();
        facts
    }

    #[test]
    fn build_scripts_are_told() {
        let ssl = build(&["libssl-dev"]);
        let known = facts(&ssl, &[]);
        let all = variables(&known.build(&ssl));
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
        let sysroot = known.build(&ssl).sysroot.unwrap();
        assert_eq!(sysroot.c_flags(), ["-I/s/usr/include", "-I/s/usr/include/aarch64-linux-gnu"]);
        assert_eq!(
            sysroot.rustflags(),
            ["-Lnative=/s/usr/lib/aarch64-linux-gnu", "-Clink-arg=-Wl,--allow-shlib-undefined"]
        );
        let other = build(&[]);
        assert_eq!((known.build(&other).sysroot, variables(&known.build(&other))), (None, vec![]));
    }

    #[test]
    fn what_the_user_has_set_stays() {
        // How many of the variables of each kind are left: pkg-config, ALLOW_CROSS, OpenSSL, STATIC.
        for (why, set, env, flag, expected) in [
            ("nothing", &[][..], "X", "", [2, 1, 3, 0]),
            ("the host's own", &["PKG_CONFIG_PATH"], "X", "", [2, 1, 3, 0]),
            ("for the target", &["PKG_CONFIG_PATH_aarch64-unknown-linux-gnu"], "X", "", [0, 1, 3, 0]),
            ("for targets", &["TARGET_PKG_CONFIG_LIBDIR"], "PKG_CONFIG_ALLOW_CROSS", "", [0, 0, 3, 0]),
            ("for all", &["PKG_CONFIG_SYSROOT_DIR"], "X", "", [0, 1, 3, 0]),
            ("build-env", &[], "AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR", "", [2, 1, 0, 0]),
            ("crt-static", &[], "OPENSSL_LIB_DIR", "-Ctarget-feature=+crt-static", [2, 1, 0, 1]),
            ("not so", &["OPENSSL_STATIC"], "X", "-Ctarget-feature=+crt-static", [2, 1, 3, 0]),
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
