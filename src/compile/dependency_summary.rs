//! Summarizes the dependencies of a build before anything is compiled: how many packages it has, and which tools and
//! libraries they require.

use std::collections::{BTreeSet, HashMap};

use cargo_metadata::cargo_platform::Cfg;
use cargo_metadata::{DependencyKind, Metadata, Node, NodeDep, Package, PackageId};

use super::known_issues::{UnsupportedCrate, unsupported};
use super::linked_libraries::{self, C_BUILDERS, SystemLibrary};

/// A summary of the packages that are compiled for one target triple.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DependencySummary {
    /// Number of packages to compile for the target and the host. A package that is compiled for both counts twice.
    pub packages: usize,
    /// A package that rustc needs very much memory for.
    pub huge_crate: Option<String>,
    /// A package whose build script compiles C or C++.
    pub needs_c: Option<String>,
    /// Whether a build script runs bindgen.
    pub bindgen: bool,
    /// The package that compiles jemalloc.
    pub jemalloc: Option<Jemalloc>,
    /// A package that replaces libc's allocator.
    pub allocator: Option<String>,
    /// System libraries that packages link against.
    pub system_libraries: BTreeSet<SystemLibrary>,
    /// Packages known not to compile for the target.
    pub unsupported: Vec<UnsupportedCrate>,
}

/// A package that compiles jemalloc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jemalloc {
    pub package: String,
    /// Whether the build script reads target-specific variables in addition to the global ones.
    pub per_target: bool,
}

/// Crates that rustc needs 5 GB of memory or more for.
const HUGE_CRATES: [&str; 3] = ["aws-sdk-ec2", "aws-sdk-quicksight", "aws-sdk-sagemaker"];

/// Crates that provide a global allocator.
const ALLOCATORS: [&str; 9] = [
    "mimalloc",
    "tikv-jemallocator",
    "jemallocator",
    "jemallocator-global",
    "snmalloc-rs",
    "rpmalloc",
    "tcmalloc",
    "scudo",
    "talc",
];

/// Summarizes the dependencies of the packages in `roots` for a target with the given `cfg` values.
pub(crate) fn summarize(metadata: &Metadata, roots: &BTreeSet<&str>, triple: &str, cfg: &[Cfg]) -> DependencySummary {
    let Some(resolve) = &metadata.resolve else { return DependencySummary::default() };
    let graph = DependencyGraph {
        nodes: resolve.nodes.iter().map(|node| (&node.id, node)).collect(),
        packages: metadata.packages.iter().map(|package| (&package.id, package)).collect(),
    };
    let is_root = |id: &&PackageId| roots.contains(graph.name(id));
    let mut queue: Vec<Compiled<'_>> = metadata
        .workspace_members
        .iter()
        .filter(is_root)
        .map(|package| Compiled { package, for_host: false })
        .collect();
    let mut seen: BTreeSet<Compiled<'_>> = queue.iter().copied().collect();
    let mut summary = DependencySummary::default();
    while let Some(dependent) = queue.pop() {
        for dependency in graph.dependencies(dependent.package) {
            for kind in &dependency.dep_kinds {
                let is_build = match kind.kind {
                    DependencyKind::Normal => false,
                    DependencyKind::Build => true,
                    _ => continue,
                };
                if !dependent.for_host && kind.target.as_ref().is_some_and(|target| !target.matches(triple, cfg)) {
                    continue;
                }
                let for_host = dependent.for_host || is_build || graph.is_proc_macro(&dependency.pkg);
                if is_build && !dependent.for_host {
                    summary.add_build_dependency(graph.name(dependent.package), graph.name(&dependency.pkg));
                }
                if !for_host {
                    summary.add_target_dependency(&dependency.pkg, &graph, triple);
                }
                let compiled = Compiled { package: &dependency.pkg, for_host };
                if seen.insert(compiled) {
                    queue.push(compiled);
                }
            }
        }
    }
    summary.packages = seen.len();
    summary
}

impl DependencySummary {
    /// Records a dependency of a package's build script.
    fn add_build_dependency(&mut self, package: &str, dependency: &str) {
        self.bindgen |= dependency == "bindgen";
        // Keep the package whose name sorts first, so that messages are the same in every run.
        if C_BUILDERS.contains(&dependency) && self.needs_c.as_deref().is_none_or(|other| package < other) {
            self.needs_c = Some(package.to_owned());
        }
    }

    /// Records a dependency that is compiled for the target.
    fn add_target_dependency(&mut self, id: &PackageId, graph: &DependencyGraph<'_>, triple: &str) {
        let name = graph.name(id);
        if self.huge_crate.is_none() && HUGE_CRATES.contains(&name) {
            self.huge_crate = Some(name.to_owned());
        }
        if self.allocator.is_none() && ALLOCATORS.contains(&name) {
            self.allocator = Some(name.to_owned());
        }
        let package = graph.packages.get(id).copied();
        if self.jemalloc.is_none() {
            self.jemalloc = jemalloc(name, package.map(|package| &package.version));
        }
        if let (Some(package), Some(node)) = (package, graph.nodes.get(id)) {
            self.system_libraries.extend(linked_libraries::linked_by(package, node, &graph.build_dependencies(id)));
            self.unsupported.extend(unsupported(package, node, triple));
        }
    }
}

/// A package that is compiled for the target or the host. Build scripts, procedural macros and their dependencies are
/// compiled for the host and need no cross compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Compiled<'a> {
    package: &'a PackageId,
    for_host: bool,
}

/// The packages and their resolved dependencies, by package ID.
struct DependencyGraph<'a> {
    nodes: HashMap<&'a PackageId, &'a Node>,
    packages: HashMap<&'a PackageId, &'a Package>,
}

impl<'a> DependencyGraph<'a> {
    fn name(&self, id: &PackageId) -> &'a str {
        self.packages.get(id).map(|package| package.name.as_str()).unwrap_or_default()
    }

    fn is_proc_macro(&self, id: &PackageId) -> bool {
        self.packages.get(id).is_some_and(|package| package.targets.iter().any(cargo_metadata::Target::is_proc_macro))
    }

    fn dependencies(&self, id: &PackageId) -> &'a [NodeDep] {
        self.nodes.get(id).map(|node| node.deps.as_slice()).unwrap_or_default()
    }

    /// Returns the names of a package's build dependencies.
    fn build_dependencies(&self, id: &PackageId) -> Vec<&'a str> {
        let is_build =
            |dependency: &&NodeDep| dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Build);
        self.dependencies(id).iter().filter(is_build).map(|dependency| self.name(&dependency.pkg)).collect()
    }
}

fn jemalloc(package: &str, version: Option<&semver::Version>) -> Option<Jemalloc> {
    let per_target = match package {
        "tikv-jemalloc-sys" => version.is_some_and(|version| (version.major, version.minor) >= (0, 6)),
        "jemalloc-sys" => false,
        _ => return None,
    };
    Some(Jemalloc { package: package.to_owned(), per_target })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use serde_json::json;

    use super::*;

    /// Returns the metadata of packages with the given dependencies, each a tuple `(from, to, kind, cfg)`. `app` is the
    /// only workspace member.
    fn metadata(edges: &[(&str, &str, Option<&str>, Option<&str>)]) -> Metadata {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to, ..)| [*from, *to]).chain(["app"]).collect();
        let packages: Vec<_> = names
            .iter()
            .map(|name| {
                let targets = match *name {
                    "derive" => json!([{ "name": "derive", "kind": ["proc-macro"], "crate_types": ["proc-macro"], "src_path": "/" }]),
                    _ => json!([]),
                };
                json!({ "name": name, "version": "1.0.0", "id": name, "dependencies": [], "targets": targets,
                    "features": {}, "manifest_path": format!("/{name}/Cargo.toml") })
            })
            .collect();
        let nodes: Vec<_> = names
            .iter()
            .map(|name| {
                let deps: Vec<_> = edges
                    .iter()
                    .filter(|(from, ..)| from == name)
                    .map(|(_, to, kind, cfg)| json!({ "name": to, "pkg": to, "dep_kinds": [{ "kind": kind, "target": cfg }] }))
                    .collect();
                json!({ "id": name, "deps": deps, "dependencies": [], "features": [] })
            })
            .collect();
        serde_json::from_value(json!({ "packages": packages, "workspace_members": ["app"], "version": 1,
            "workspace_root": "/", "target_directory": "/target", "resolve": { "nodes": nodes, "root": null } }))
        .unwrap()
    }

    #[test]
    fn counts_packages_and_finds_those_that_compile_c() {
        const BUILD: Option<&str> = Some("build");
        const ARM64: Option<&str> = Some("cfg(target_arch = \"aarch64\")");
        let cfg = [Cfg::from_str("target_arch = \"x86_64\"").unwrap(), Cfg::from_str("unix").unwrap()];
        for (why, edges, packages, needs_c) in [
            ("no dependencies", &[][..], 1, None),
            ("pure Rust", &[("app", "serde", None, None)], 2, None),
            ("the root package's build script", &[("app", "cc", BUILD, None)], 2, Some("app")),
            (
                "a dependency's build script",
                &[("app", "ring", None, None), ("ring", "cc", BUILD, None)],
                3,
                Some("ring"),
            ),
            (
                "cmake",
                &[("app", "z", None, None), ("z", "cmake", BUILD, None), ("cmake", "cc", None, None)],
                4,
                Some("z"),
            ),
            (
                "the package whose name sorts first",
                &[
                    ("app", "b", None, None),
                    ("app", "a", None, None),
                    ("b", "cc", BUILD, None),
                    ("a", "cc", BUILD, None),
                ],
                4,
                Some("a"),
            ),
            ("for the host only", &[("app", "gen", BUILD, None), ("gen", "cc", BUILD, None)], 3, None),
            ("for a macro", &[("app", "derive", None, None), ("derive", "cc", BUILD, None)], 3, None),
            ("for another target", &[("app", "ring", None, ARM64), ("ring", "cc", BUILD, None)], 1, None),
            ("for tests", &[("app", "ring", Some("dev"), None), ("ring", "cc", BUILD, None)], 1, None),
            (
                "for the target and the host",
                &[("app", "ring", None, None), ("app", "ring", BUILD, None), ("ring", "cc", BUILD, None)],
                4,
                Some("ring"),
            ),
        ] {
            let summary = summarize(&metadata(edges), &["app"].into(), "x86_64-unknown-linux-musl", &cfg);
            let expected =
                DependencySummary { packages, needs_c: needs_c.map(str::to_owned), ..DependencySummary::default() };
            assert_eq!(summary, expected, "{why}");
        }
        let other =
            summarize(&metadata(&[("app", "cc", BUILD, None)]), &["lib"].into(), "x86_64-unknown-linux-musl", &cfg);
        assert_eq!(other, DependencySummary::default(), "only the requested packages are summarized");
    }

    #[test]
    fn finds_bindgen_jemalloc_and_allocators() {
        const BUILD: Option<&str> = Some("build");
        for (edges, bindgen, jemalloc, allocator) in [
            (&[("app", "bindgen", BUILD, None)][..], true, None, None),
            (&[("app", "gen", BUILD, None), ("gen", "bindgen", BUILD, None)], false, None, None),
            (&[("app", "mimalloc", None, None)], false, None, Some("mimalloc")),
            (
                &[("app", "tikv-jemallocator", None, None), ("tikv-jemallocator", "tikv-jemalloc-sys", None, None)],
                false,
                Some(("tikv-jemalloc-sys", true)),
                Some("tikv-jemallocator"),
            ),
            (&[("app", "jemalloc-sys", None, None)], false, Some(("jemalloc-sys", false)), None),
            (&[("app", "gen", BUILD, None), ("gen", "jemalloc-sys", None, None)], false, None, None),
        ] {
            let summary = summarize(&metadata(edges), &["app"].into(), "x86_64-unknown-linux-musl", &[]);
            let found = summary.jemalloc.as_ref().map(|found| (found.package.as_str(), found.per_target));
            assert_eq!(
                (summary.bindgen, found, summary.allocator.as_deref()),
                (bindgen, jemalloc, allocator),
                "{edges:?}"
            );
        }
        let version = |text: &str| jemalloc("tikv-jemalloc-sys", Some(&text.parse().unwrap())).unwrap().per_target;
        assert_eq!((version("0.5.4+5.3.0-patched"), version("0.6.1+5.3.0-1")), (false, true));
    }
}
