//! Parses Debian packages from package indexes and apt's output, and determines which packages a sysroot needs.

use std::collections::BTreeSet;

use anyhow::Result;

/// A Debian package in apt's package lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DebianPackage {
    pub name: String,
    pub version: String,
    pub sha256: String,
    /// The path in the archive.
    pub filename: String,
    section: String,
    /// The dependencies, each a list of alternatives in the form of apt arguments, such as `libssl3=3.0.22-1` or
    /// `libssl3`.
    depends: Vec<Vec<String>>,
}

impl DebianPackage {
    /// Returns the apt argument that selects this version of the package.
    pub(crate) fn with_version(&self) -> String {
        format!("{}={}", self.name, self.version)
    }

    /// Reports whether an apt argument, with or without a version, refers to this package.
    fn matches(&self, name: &str) -> bool {
        self.name == name || self.with_version() == name
    }

    fn is_development(&self) -> bool {
        self.section.ends_with("libdevel") || self.name.ends_with("-dev")
    }

    fn is_library(&self) -> bool {
        self.section.ends_with("libs")
    }
}

/// Parses the packages in a package index or the output of `apt-cache show` (Debian Policy, sections 5.1 and 7.1).
pub(crate) fn parse(output: &str) -> Vec<DebianPackage> {
    let mut packages = Vec::new();
    for paragraph in output.split("\n\n").filter(|paragraph| paragraph.contains("Package:")) {
        let mut package = DebianPackage::default();
        for (name, value) in paragraph.lines().filter_map(|line| line.split_once(": ")) {
            match name {
                "Package" => package.name = value.to_owned(),
                "Version" => package.version = value.to_owned(),
                "Filename" => package.filename = value.to_owned(),
                "SHA256" => package.sha256 = value.to_owned(),
                "Section" => package.section = value.to_owned(),
                "Depends" | "Pre-Depends" => {
                    package.depends.extend(value.split(',').map(|group| group.split('|').map(apt_name).collect()));
                }
                _ => {}
            }
        }
        packages.push(package);
    }
    packages
}

/// Converts a dependency to an apt argument: `libssl3 (= 3.0.22-1) [arm64]` becomes `libssl3=3.0.22-1`. Conditions
/// other than an exact version are dropped.
pub(crate) fn apt_name(dependency: &str) -> String {
    let (name, condition) = dependency.trim().split_once(' ').unwrap_or((dependency.trim(), ""));
    let name = name.split(':').next().unwrap_or(name);
    let version = condition.split_once("(= ").and_then(|(_, rest)| rest.split_once(')'));
    version.map_or_else(|| name.to_owned(), |(version, _)| format!("{name}={version}"))
}

/// Reports whether a package belongs to the C library or the compiler. The linker already provides these, and the
/// packages would conflict with them.
fn is_provided_by_linker(name: &str) -> bool {
    const PREFIXES: [&str; 6] = ["libc6", "libc-dev", "linux-libc-dev", "libcrypt-dev", "libgcc-", "libstdc++"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The reason why a sysroot's packages could not be determined.
#[derive(Debug)]
pub(crate) enum ClosureError {
    /// apt found no package with this name.
    UnknownPackage(String),
    LookUp(anyhow::Error),
}

/// Returns the packages needed to link against the `requested` ones: the requested packages themselves, the development
/// packages that they depend on, and the libraries of each. Excludes programs, and the dependencies that libraries need
/// only at run time unless `for_run_time` is set. `look_up` takes package names and returns the packages that apt can
/// find.
pub(crate) fn closure(
    requested: &BTreeSet<String>,
    for_run_time: bool,
    look_up: impl Fn(&BTreeSet<String>) -> Result<Vec<DebianPackage>>,
) -> Result<BTreeSet<DebianPackage>, ClosureError> {
    let mut closure: BTreeSet<DebianPackage> = BTreeSet::new();
    let mut dependencies: Vec<Vec<String>> = Vec::new();
    let known = look_up(&with_bare_names(requested)).map_err(ClosureError::LookUp)?;
    for name in requested {
        let Some(package) = known.iter().find(|package| package.matches(name)) else {
            return Err(ClosureError::UnknownPackage(name.clone()));
        };
        add(package, for_run_time, &mut closure, &mut dependencies);
    }
    while !dependencies.is_empty() {
        let known = look_up(&with_bare_names(dependencies.iter().flatten())).map_err(ClosureError::LookUp)?;
        for alternatives in std::mem::take(&mut dependencies) {
            if let Some(package) = find(&alternatives, &known)
                && (package.is_development() || package.is_library())
            {
                add(package, for_run_time, &mut closure, &mut dependencies);
            }
        }
    }
    Ok(closure)
}

/// Adds a package to `closure`. If it is a development package, or a library that will run, its dependencies are added
/// to `dependencies`.
fn add(
    package: &DebianPackage,
    for_run_time: bool,
    closure: &mut BTreeSet<DebianPackage>,
    dependencies: &mut Vec<Vec<String>>,
) {
    if closure.iter().any(|other| other.name == package.name) {
        return;
    }
    if package.is_development() || (for_run_time && package.is_library()) {
        let is_needed = |alternatives: &&Vec<String>| !alternatives.iter().any(|name| is_provided_by_linker(name));
        dependencies.extend(package.depends.iter().filter(is_needed).cloned());
    }
    closure.insert(package.clone());
}

/// Returns the first alternative of a dependency that apt can find: the exact version required, or else the version
/// that apt would install.
fn find<'a>(alternatives: &[String], known: &'a [DebianPackage]) -> Option<&'a DebianPackage> {
    let exact = alternatives.iter().find_map(|name| known.iter().find(|package| package.matches(name)));
    exact.or_else(|| alternatives.iter().find_map(|name| known.iter().find(|package| package.name == bare(name))))
}

/// Removes the version from an apt argument: `libssl3=3.0.22-1` becomes `libssl3`.
fn bare(name: &str) -> &str {
    name.split('=').next().unwrap_or(name)
}

fn with_bare_names<'a>(names: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    names.into_iter().flat_map(|name| [name.clone(), bare(name).to_owned()]).collect()
}

/// Returns a sysroot's record: the requested packages on the first line, followed by a line for each package in the
/// sysroot.
pub(crate) fn record(packages: &BTreeSet<String>, for_run_time: bool, closure: &BTreeSet<DebianPackage>) -> String {
    let lines = closure.iter().map(|package| format!("{} {} {}\n", package.name, package.version, package.sha256));
    format!("{}\n{}", request_line(packages, for_run_time), lines.collect::<String>())
}

/// Returns the first line of a sysroot's record, which lists the requested packages.
pub(crate) fn request_line(packages: &BTreeSet<String>, for_run_time: bool) -> String {
    let end = for_run_time.then_some("(with all libraries)");
    packages.iter().map(String::as_str).chain(end).collect::<Vec<_>>().join(" ")
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
    fn the_closure_contains_what_linking_needs() {
        let lists = parse(LISTS);
        let look_up = |names: &BTreeSet<String>| {
            Ok(lists.iter().filter(|package| names.iter().any(|name| package.matches(name))).cloned().collect())
        };
        for (packages, expected) in [
            (&["libssl-dev"][..], "libssl-dev=3.0 libssl3=3.0"),
            (&["libpq-dev"], "libpq-dev=15 libpq5=15 libssl-dev=3.0 libssl3=3.0"),
            (&["libssl3=3.5"], "libssl3=3.5"),
            // Requested packages are always included, but a program's dependencies are not.
            (&["tool", "libc6-dev"], "libc6-dev=2 tool=1"),
            // The lists do not contain the required version, so the available one is used.
            (&["libodd-dev"], "libodd-dev=1 libssl3=3.0"),
        ] {
            let found = closure(&names(packages), false, look_up).unwrap();
            assert_eq!(
                found.iter().map(DebianPackage::with_version).collect::<Vec<_>>().join(" "),
                expected,
                "{packages:?}"
            );
        }
        for missing in ["libssh-dev", "libssl-dev=4"] {
            let error = closure(&names(&["libssl-dev", missing]), false, look_up).unwrap_err();
            assert!(matches!(error, ClosureError::UnknownPackage(name) if name == missing));
        }
        let with_libraries = closure(&names(&["libpq-dev"]), true, look_up).unwrap();
        let is_ldap = |package: &DebianPackage| package.name.starts_with("libldap");
        assert!(with_libraries.iter().any(is_ldap), "{with_libraries:?}");
        let found = closure(&names(&["libpq-dev"]), false, look_up).unwrap();
        let record = record(&names(&["libpq-dev", "a"]), false, &found);
        assert!(record.starts_with("a libpq-dev\nlibpq-dev 15 aa\nlibpq5 15 \n"), "{record}");
    }
}
