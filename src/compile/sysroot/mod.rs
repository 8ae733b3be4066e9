//! A target's own headers and libraries, from Debian packages: which are wanted, and how compilers are told of them. Pure.

pub mod apt;
pub mod packages;
pub mod relocate;

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Sysroot, Tools};
use super::target_env::is_set_for;
use crate::plan::{BuildSettings, Plan};
use crate::platform::Platform;

/// The sysroots of a plan, by target triple.
pub fn wanted(plan: &Plan) -> BTreeMap<String, Sysroot> {
    let mut sysroots: BTreeMap<String, Sysroot> = BTreeMap::new();
    for build in plan.builds().filter(|build| !build.sysroot_packages.is_empty()) {
        let Some((platform, debian)) =
            Platform::for_triple(&build.triple).find_map(|platform| Some((platform, platform.debian()?)))
        else {
            continue;
        };
        let dir = plan.paths.work_dir().join("+sysroot").join(&build.triple);
        let packages = BTreeSet::new();
        let (architecture, folder) = (debian.name, debian.library_dir.to_owned());
        let new = Sysroot { platform, dir, architecture, folder, packages };
        sysroots.entry(build.triple.clone()).or_insert(new).packages.extend(build.sysroot_packages.iter().cloned());
    }
    sysroots
}

/// The flags that let a linker find a build's libraries.
pub fn flags(build: &BuildSettings, tools: &Tools) -> Vec<String> {
    let Some(sysroot) = of(build, tools) else { return Vec::new() };
    // What shared libraries want of each other, and of a newer glibc than zig's, is there when the program starts.
    vec![
        format!("-Lnative={}/usr/lib/{}", sysroot.dir, sysroot.folder),
        "-Clink-arg=-Wl,--allow-shlib-undefined".to_owned(),
    ]
}

fn of<'a>(build: &BuildSettings, tools: &'a Tools) -> Option<&'a Sysroot> {
    tools.sysroots.get(&build.triple).filter(|_| !build.sysroot_packages.is_empty())
}

/// The variables that tell build scripts of a build's headers and libraries, without those that the user has spoken of.
pub fn variables(build: &BuildSettings, tools: &Tools) -> Vec<(String, String)> {
    let Some(Sysroot { dir, folder, packages, .. }) = of(build, tools) else { return Vec::new() };
    let under = build.triple.replace('-', "_");
    let upper = under.to_uppercase();
    let is_set = |name: &str| tools.is_set(build, name);
    let for_target = |name: &str| is_set_for(build, name, tools);
    let mut variables = Vec::new();

    let pkg_config = ["PKG_CONFIG_SYSROOT_DIR", "PKG_CONFIG_LIBDIR"];
    if !pkg_config.iter().any(|name| is_set(name) || for_target(name)) && !for_target("PKG_CONFIG_PATH") {
        let folders = format!("{dir}/usr/lib/{folder}/pkgconfig:{dir}/usr/share/pkgconfig");
        variables.push((format!("PKG_CONFIG_SYSROOT_DIR_{under}"), dir.to_string()));
        variables.push((format!("PKG_CONFIG_LIBDIR_{under}"), folders));
    }
    if !is_set("PKG_CONFIG_ALLOW_CROSS") && !for_target("PKG_CONFIG_ALLOW_CROSS") {
        variables.push((format!("PKG_CONFIG_ALLOW_CROSS_{under}"), "1".to_owned()));
    }
    // `openssl-sys` asks pkg-config only where it is told nothing.
    let openssl = |name: &str| is_set(name) || is_set(&format!("{upper}_{name}"));
    let has_openssl = packages.iter().any(|package| package.split('=').next() == Some("libssl-dev"));
    if has_openssl && !["OPENSSL_DIR", "OPENSSL_LIB_DIR", "OPENSSL_INCLUDE_DIR"].into_iter().any(openssl) {
        variables.push((format!("{upper}_OPENSSL_DIR"), format!("{dir}/usr")));
        variables.push((format!("{upper}_OPENSSL_LIB_DIR"), format!("{dir}/usr/lib/{folder}")));
        variables.push((format!("{upper}_OPENSSL_INCLUDE_DIR"), format!("{dir}/usr/include")));
    }
    if has_openssl && tools.links_statically(build) && !openssl("OPENSSL_STATIC") {
        variables.push((format!("{upper}_OPENSSL_STATIC"), "1".to_owned()));
    }
    variables
}

/// The flags that let a C compiler find a build's headers.
pub fn includes(build: &BuildSettings, tools: &Tools) -> Vec<String> {
    let Some(Sysroot { dir, folder, .. }) = of(build, tools) else { return Vec::new() };
    vec![format!("-I{dir}/usr/include"), format!("-I{dir}/usr/include/{folder}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIPLE: &str = "aarch64-unknown-linux-gnu";

    fn build(packages: &[&str]) -> BuildSettings {
        BuildSettings {
            triple: TRIPLE.to_owned(),
            sysroot_packages: packages.iter().map(|name| (*name).to_owned()).collect(),
            ..BuildSettings::default()
        }
    }

    fn tools(build: &BuildSettings, set: &[&str]) -> Tools {
        let sysroot = Sysroot {
            platform: "linux/arm64".parse().unwrap(),
            dir: "/s".into(),
            architecture: "arm64",
            folder: "aarch64-linux-gnu".to_owned(),
            packages: build.sysroot_packages.iter().cloned().collect(),
        };
        let sysroots = BTreeMap::from([(TRIPLE.to_owned(), sysroot)]);
        Tools { sysroots, variables: set.iter().map(|name| (*name).to_owned()).collect(), ..Tools::default() }
    }

    #[test]
    fn build_scripts_are_told() {
        let ssl = build(&["libssl-dev"]);
        let all = variables(&ssl, &tools(&ssl, &[]));
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
        assert_eq!(includes(&ssl, &tools(&ssl, &[])), ["-I/s/usr/include", "-I/s/usr/include/aarch64-linux-gnu"]);
        assert_eq!(
            flags(&ssl, &tools(&ssl, &[])),
            ["-Lnative=/s/usr/lib/aarch64-linux-gnu", "-Clink-arg=-Wl,--allow-shlib-undefined"]
        );
        let other = build(&[]);
        assert_eq!((flags(&other, &tools(&ssl, &[])), variables(&other, &tools(&ssl, &[]))), (vec![], vec![]));
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
            let names: Vec<String> = variables(&ssl, &tools(&ssl, set)).into_iter().map(|(name, _)| name).collect();
            let count = |wanted: &dyn Fn(&str) -> bool| names.iter().filter(|name| wanted(name)).count();
            let counts = [
                count(&|name| name.starts_with("PKG_CONFIG_") && !name.contains("ALLOW")),
                count(&|name| name.contains("ALLOW_CROSS")),
                count(&|name| name.contains("_OPENSSL_") && !name.ends_with("STATIC")),
                count(&|name| name.ends_with("STATIC")),
            ];
            assert_eq!(counts, expected, "{why}: {names:?}");
        }
        let zlib = build(&["zlib1g-dev"]);
        assert!(!variables(&zlib, &tools(&zlib, &[])).iter().any(|(name, _)| name.contains("OPENSSL")));
    }
}
