//! Determines which system library a crate links against, based on its manifest and its build dependencies.

use cargo_metadata::{Node, Package};

use super::debian_packages;

/// A C library that a package links against. It must be installed on the machine or in the target's sysroot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SystemLibrary {
    /// The package's name and version.
    pub package: String,
    /// The value of `links` in the package's manifest.
    pub links: String,
    /// The Debian package with the library's headers, if known.
    pub debian: Option<&'static str>,
    /// The Cargo.toml line that makes a crate build the library from source.
    pub vendored: Option<&'static str>,
    /// Whether the build script uses a crate that searches for system libraries.
    pub is_searched: bool,
    /// Whether the package is the one on crates.io, and not a patched copy.
    pub is_from_crates_io: bool,
}

/// Crates that build scripts use to run a C compiler.
pub(crate) const C_BUILDERS: [&str; 3] = ["cc", "cmake", "autotools"];

/// Crates that build scripts use to search for a system library.
const FINDERS: [&str; 3] = ["pkg-config", "system-deps", "vcpkg"];

/// A package that uses the `cc` crate only to preprocess the library's headers.
const READS_HEADERS: &str = "openssl-sys";

/// A package that builds the library with configure and make rather than with the build dependencies above, unless one
/// of these features is enabled.
const BUILDS_FROM_SOURCE: (&str, [&str; 2]) = ("rdkafka-sys", ["dynamic-linking", "dynamic_linking"]);

/// Returns the system library that a package links against, or `None` if the package builds the library from source.
/// `build_dependencies` contains the build dependencies enabled by the resolved features.
pub(crate) fn linked_by(package: &Package, node: &Node, build_dependencies: &[&str]) -> Option<SystemLibrary> {
    let links = package.links.as_deref()?;
    let name = package.name.as_str();
    let library = debian_packages::for_library(links);
    let compiles = name != READS_HEADERS && build_dependencies.iter().any(|name| C_BUILDERS.contains(name));
    let has_source = build_dependencies.iter().any(|name| name.ends_with("-src"));
    let is_enabled = |name: &str| node.features.iter().any(|feature| feature.as_str() == name);
    let builds_from_source = name == BUILDS_FROM_SOURCE.0 && !BUILDS_FROM_SOURCE.1.into_iter().any(is_enabled);
    let searches = build_dependencies.iter().any(|name| FINDERS.contains(name));
    if compiles || has_source || builds_from_source || (library.is_none() && !searches) {
        return None;
    }
    Some(SystemLibrary {
        package: format!("{name} {}", package.version),
        links: links.to_owned(),
        debian: library.map(|library| library.package),
        vendored: library.and_then(|library| library.vendored),
        is_searched: searches,
        is_from_crates_io: package.source.as_ref().is_some_and(cargo_metadata::Source::is_crates_io),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_system_libraries_of_packages() {
        for (name, links, features, build, expected) in [
            ("openssl-sys", Some("openssl"), &[][..], &["cc", "pkg-config", "vcpkg"][..], Some(Some("libssl-dev"))),
            ("openssl-sys", Some("openssl"), &[], &["cc", "openssl-src", "pkg-config"], None),
            ("pq-sys", Some("pq"), &[], &["vcpkg"], Some(Some("libpq-dev"))),
            ("pq-sys", Some("pq"), &[], &["pq-src"], None),
            ("libsqlite3-sys", Some("sqlite3"), &["bundled"], &["cc", "pkg-config"], None),
            ("libsqlite3-sys", Some("sqlite3"), &[], &["pkg-config"], Some(Some("libsqlite3-dev"))),
            ("rdkafka-sys", Some("rdkafka"), &[], &["num_cpus", "pkg-config"], None),
            ("rdkafka-sys", Some("rdkafka"), &["dynamic-linking"], &["pkg-config"], Some(Some("librdkafka-dev"))),
            ("zstd-sys", Some("zstd"), &[], &["cc", "pkg-config"], None),
            ("other-sys", Some("other"), &[], &["pkg-config"], Some(None)),
            ("other-sys", Some("other"), &[], &[], None),
            ("rayon-core", Some("rayon-core"), &[], &[], None),
            ("serde", None, &[], &["pkg-config"], None),
        ] {
            let package = json!({ "name": name, "version": "1.0.0", "id": name, "links": links, "dependencies": [],
                "targets": [], "features": {}, "manifest_path": "/Cargo.toml" });
            let node = json!({ "id": name, "deps": [], "dependencies": [], "features": features });
            let (package, node) = (serde_json::from_value(package).unwrap(), serde_json::from_value(node).unwrap());
            let found = linked_by(&package, &node, build);
            assert_eq!(found.map(|library| library.debian), expected, "{name} {features:?} {build:?}");
        }
    }
}
