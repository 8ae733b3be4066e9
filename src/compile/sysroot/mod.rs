//! A target's own headers and libraries, from Debian packages: which are wanted, and how compilers are told of them. Pure.

pub mod apt;
pub mod relocate;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::Utf8PathBuf;

use super::c_env::is_set_for;
use super::probe::Tools;
use crate::plan::{BuildSettings, Plan};
use crate::platform::Platform;

/// What is unpacked for a target triple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysroot {
    pub platform: Platform,
    pub dir: Utf8PathBuf,
    /// Debian's name of the architecture, `arm64`.
    pub architecture: &'static str,
    /// Debian's folder for the architecture, `aarch64-linux-gnu`.
    pub folder: String,
    /// As they were asked for, by all images.
    pub packages: BTreeSet<String>,
}

/// The sysroots of a plan, by target triple.
pub fn wanted(plan: &Plan) -> BTreeMap<String, Sysroot> {
    let mut sysroots: BTreeMap<String, Sysroot> = BTreeMap::new();
    for build in plan.builds().filter(|build| !build.sysroot_packages.is_empty()) {
        let Some((platform, (architecture, folder))) =
            Platform::for_triple(&build.triple).find_map(|platform| Some((platform, platform.debian()?)))
        else {
            continue;
        };
        let dir = plan.work_dir().join("+sysroot").join(&build.triple);
        let packages = BTreeSet::new();
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

/// A package as apt's lists have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub sha256: String,
    section: String,
    /// Each with its alternatives, as apt is asked for them: `libssl3=3.0.22-1`, or a name alone.
    depends: Vec<Vec<String>>,
}

impl Package {
    /// As apt is asked for exactly this one.
    pub fn exactly(&self) -> String {
        format!("{}={}", self.name, self.version)
    }

    fn answers(&self, asked: &str) -> bool {
        self.name == asked || self.exactly() == asked
    }

    fn is_development(&self) -> bool {
        self.section.ends_with("libdevel") || self.name.ends_with("-dev")
    }

    fn is_library(&self) -> bool {
        self.section.ends_with("libs")
    }
}

/// The packages in what `apt-cache show` prints (Debian Policy, 5.1 and 7.1).
pub fn parse(printed: &str) -> Vec<Package> {
    let mut packages = Vec::new();
    for paragraph in printed.split("\n\n").filter(|paragraph| paragraph.contains("Package:")) {
        let mut package = Package::default();
        for (name, value) in paragraph.lines().filter_map(|line| line.split_once(": ")) {
            match name {
                "Package" => package.name = value.to_owned(),
                "Version" => package.version = value.to_owned(),
                "SHA256" => package.sha256 = value.to_owned(),
                "Section" => package.section = value.to_owned(),
                "Depends" | "Pre-Depends" => {
                    package.depends.extend(value.split(',').map(|group| group.split('|').map(asked).collect()));
                }
                _ => {}
            }
        }
        packages.push(package);
    }
    packages
}

/// `libssl3 (= 3.0.22-1) [arm64]` → `libssl3=3.0.22-1`; of other conditions the name alone is left.
fn asked(dependency: &str) -> String {
    let (name, condition) = dependency.trim().split_once(' ').unwrap_or((dependency.trim(), ""));
    let name = name.split(':').next().unwrap_or(name);
    let version = condition.split_once("(= ").and_then(|(_, rest)| rest.split_once(')'));
    version.map_or_else(|| name.to_owned(), |(version, _)| format!("{name}={version}"))
}

/// The C library and the compiler's own, which come with the linker: others beside them would be mixed up.
fn comes_with_the_linker(name: &str) -> bool {
    const PREFIXES: [&str; 6] = ["libc6", "libc-dev", "linux-libc-dev", "libcrypt-dev", "libgcc-", "libstdc++"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What linking against packages takes: them, the development packages below them, and the libraries of each. Programs
/// that they recommend or depend on are left out, and so is what those libraries want when they run.
/// `look_up` gives the packages that apt knows among names; what is asked for and not known is the error.
pub fn closure(
    packages: &BTreeSet<String>,
    look_up: &mut dyn FnMut(&BTreeSet<String>) -> Result<Vec<Package>>,
) -> Result<Result<BTreeSet<Package>, String>> {
    let mut found: BTreeSet<Package> = BTreeSet::new();
    let mut groups: Vec<Vec<String>> = packages.iter().map(|package| vec![package.clone()]).collect();
    let mut first = true;
    while !groups.is_empty() {
        let bare = |name: &String| name.split('=').next().unwrap_or(name).to_owned();
        let names = groups.iter().flatten().flat_map(|name| [name.clone(), bare(name)]).collect();
        let known = look_up(&names)?;
        let mut next = Vec::new();
        for group in groups {
            // This very version where lists and pins agree on it, else the one that apt prefers.
            let exact = group.iter().find_map(|name| known.iter().find(|package| package.answers(name)));
            let any = || group.iter().find_map(|name| known.iter().find(|package| package.name == bare(name)));
            let package = match (exact.or_else(|| any().filter(|_| !first)), group.first()) {
                (Some(package), _) => package,
                (None, Some(name)) if first => return Ok(Err(name.clone())),
                (None, _) => continue,
            };
            let wanted = first || package.is_development() || package.is_library();
            if !wanted || found.iter().any(|other| other.name == package.name) {
                continue;
            }
            if package.is_development() {
                let depends = package.depends.iter();
                next.extend(depends.filter(|group| !group.iter().any(|name| comes_with_the_linker(name))).cloned());
            }
            found.insert(package.clone());
        }
        groups = next;
        first = false;
    }
    Ok(Ok(found))
}

/// What a finished sysroot was made of, and on its first line what was asked for.
pub fn record(packages: &BTreeSet<String>, made_of: &BTreeSet<Package>) -> String {
    let lines = made_of.iter().map(|package| format!("{} {} {}\n", package.name, package.version, package.sha256));
    format!("{}\n{}", asked_line(packages), lines.collect::<String>())
}

/// The first line of the record of a sysroot for packages.
pub fn asked_line(packages: &BTreeSet<String>) -> String {
    packages.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: &str = "Package: libpq-dev\nVersion: 15\nSection: libdevel\nSHA256: aa\n\
        Depends: libpq5 (= 15), libssl-dev, pkg-config, libnone-dev | libssl-dev (>= 3)\n\n\
        Package: libpq5\nVersion: 15\nSection: non-free/libs\nDepends: libldap-2.5-0 (>= 2), libc6 (>= 2.36)\n\n\
        Package: libssl-dev\nVersion: 3.0\nSection: libdevel\nDepends: libssl3 (= 3.0), libc6-dev | libc-dev, python3:any\n\n\
        Package: libssl3\nVersion: 3.0\nSection: libs\n\nPackage: libssl3\nVersion: 3.5\nSection: libs\n\n\
        Package: libldap-2.5-0\nVersion: 1\nSection: libs\n\nPackage: pkg-config\nVersion: 1\nSection: devel\n\n\
        Package: python3\nVersion: 3\nSection: python\n\nPackage: libc6-dev\nVersion: 2\nSection: libdevel\n\n\
        Package: tool\nVersion: 1\nSection: utils\nDepends: libssl3\n\n\
        Package: libodd-dev\nVersion: 1\nSection: libdevel\nDepends: libssl3 (= 2.9)\n";

    fn names(packages: &[&str]) -> BTreeSet<String> {
        packages.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_linking_takes() {
        let lists = parse(LISTS);
        let mut look_up = |names: &BTreeSet<String>| {
            Ok(lists.iter().filter(|package| names.iter().any(|name| package.answers(name))).cloned().collect())
        };
        for (packages, expected) in [
            (&["libssl-dev"][..], "libssl-dev=3.0 libssl3=3.0"),
            (&["libpq-dev"], "libpq-dev=15 libpq5=15 libssl-dev=3.0 libssl3=3.0"),
            (&["libssl3=3.5"], "libssl3=3.5"),
            // Named, so wanted; what it depends on is a program's.
            (&["tool", "libc6-dev"], "libc6-dev=2 tool=1"),
            // Lists that do not agree with themselves: the version that there is.
            (&["libodd-dev"], "libodd-dev=1 libssl3=3.0"),
        ] {
            let found = closure(&names(packages), &mut look_up).unwrap().unwrap();
            assert_eq!(found.iter().map(Package::exactly).collect::<Vec<_>>().join(" "), expected, "{packages:?}");
        }
        for missing in ["libssh-dev", "libssl-dev=4"] {
            assert_eq!(closure(&names(&["libssl-dev", missing]), &mut look_up).unwrap(), Err(missing.to_owned()));
        }
        let found = closure(&names(&["libpq-dev"]), &mut look_up).unwrap().unwrap();
        let record = record(&names(&["libpq-dev", "a"]), &found);
        assert!(record.starts_with("a libpq-dev\nlibpq-dev 15 aa\nlibpq5 15 \n"), "{record}");
    }

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
        Tools { sysroots, variables: names(set), ..Tools::default() }
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
