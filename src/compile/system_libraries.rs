//! System libraries that a crate links against, from its manifest and the dependencies of its build script.

use cargo_metadata::{Node, Package};

use super::library_packages;

/// A C library that must be on the machine, or in the target's sysroot, for a package to link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SystemLibrary {
    /// The package's name and version.
    pub package: String,
    /// What the package calls the library: `links` in its manifest.
    pub links: String,
    /// Debian's package with its headers, where it is known.
    pub debian: Option<&'static str>,
    /// The dependency that has it built from source instead.
    pub vendored: Option<&'static str>,
}

/// Crates that build scripts call a C compiler with.
pub(crate) const C_BUILDERS: [&str; 3] = ["cc", "cmake", "autotools"];

/// Build dependencies that look for a library on the machine.
const FINDERS: [&str; 3] = ["pkg-config", "system-deps", "vcpkg"];

/// Its C compiler reads the library's headers, and builds nothing.
const READS_HEADERS: &str = "openssl-sys";

/// It runs the library's own configure and make, which no build dependency tells, unless it has one of these features.
const BUILDS_IT: (&str, [&str; 2]) = ("rdkafka-sys", ["dynamic-linking", "dynamic_linking"]);

/// The system library that a package links against. `None` if it builds its own. `build_dependencies` are those that its
/// resolved features enable.
pub(crate) fn linked_by(package: &Package, node: &Node, build_dependencies: &[&str]) -> Option<SystemLibrary> {
    let links = package.links.as_deref()?;
    let name = package.name.as_str();
    let library = library_packages::for_library(links);
    let compiles = name != READS_HEADERS && build_dependencies.iter().any(|name| C_BUILDERS.contains(name));
    let has_source = build_dependencies.iter().any(|name| name.ends_with("-src"));
    let is_enabled = |name: &str| node.features.iter().any(|feature| feature.as_str() == name);
    let builds_it = name == BUILDS_IT.0 && !BUILDS_IT.1.into_iter().any(is_enabled);
    let searches = build_dependencies.iter().any(|name| FINDERS.contains(name));
    if compiles || has_source || builds_it || (library.is_none() && !searches) {
        return None;
    }
    Some(SystemLibrary {
        package: format!("{name} {}", package.version),
        links: links.to_owned(),
        debian: library.map(|library| library.package),
        vendored: library.and_then(|library| library.vendored),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn system_libraries_of_packages() {
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
