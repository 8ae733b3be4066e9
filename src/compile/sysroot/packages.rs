//! Debian packages and what they depend on, read from apt's output.

use std::collections::BTreeSet;

use anyhow::Result;

/// A package as apt's lists have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DebianPackage {
    pub name: String,
    pub version: String,
    pub sha256: String,
    section: String,
    /// Each with its alternatives, as apt is asked for them: `libssl3=3.0.22-1`, or a name alone.
    depends: Vec<Vec<String>>,
}

impl DebianPackage {
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
pub fn parse(printed: &str) -> Vec<DebianPackage> {
    let mut packages = Vec::new();
    for paragraph in printed.split("\n\n").filter(|paragraph| paragraph.contains("Package:")) {
        let mut package = DebianPackage::default();
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
pub fn asked(dependency: &str) -> String {
    let (name, condition) = dependency.trim().split_once(' ').unwrap_or((dependency.trim(), ""));
    let name = name.split(':').next().unwrap_or(name);
    let version = condition.split_once("(= ").and_then(|(_, rest)| rest.split_once(')'));
    version.map_or_else(|| name.to_owned(), |(version, _)| format!("{name}={version}"))
}

/// The C library and the compiler's own, which come with the linker: others beside them would be mixed up.
pub fn comes_with_the_linker(name: &str) -> bool {
    const PREFIXES: [&str; 6] = ["libc6", "libc-dev", "linux-libc-dev", "libcrypt-dev", "libgcc-", "libstdc++"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What linking against packages takes: them, the development packages below them, and the libraries of each. Programs
/// that they recommend or depend on are left out, and so is what those libraries want when they run.
/// `look_up` gives the packages that apt knows among names; what is asked for and not known is the error.
pub fn closure(
    packages: &BTreeSet<String>,
    look_up: &mut dyn FnMut(&BTreeSet<String>) -> Result<Vec<DebianPackage>>,
) -> Result<Result<BTreeSet<DebianPackage>, String>> {
    let mut found: BTreeSet<DebianPackage> = BTreeSet::new();
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
pub fn record(packages: &BTreeSet<String>, made_of: &BTreeSet<DebianPackage>) -> String {
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
            assert_eq!(
                found.iter().map(DebianPackage::exactly).collect::<Vec<_>>().join(" "),
                expected,
                "{packages:?}"
            );
        }
        for missing in ["libssh-dev", "libssl-dev=4"] {
            assert_eq!(closure(&names(&["libssl-dev", missing]), &mut look_up).unwrap(), Err(missing.to_owned()));
        }
        let found = closure(&names(&["libpq-dev"]), &mut look_up).unwrap().unwrap();
        let record = record(&names(&["libpq-dev", "a"]), &found);
        assert!(record.starts_with("a libpq-dev\nlibpq-dev 15 aa\nlibpq5 15 \n"), "{record}");
    }
}
