//! What the dependency graph says of a target before anything is compiled: how much there is to do,
//! and whether a C compiler will be asked for. Pure.

use std::collections::{BTreeSet, HashMap};

use cargo_metadata::cargo_platform::Cfg;
use cargo_metadata::{DependencyKind, Metadata, Node, Package, PackageId};

use super::known_issues::{UnsupportedCrate, unsupported};
use super::system_libraries::{self, SystemLibrary};

/// The part of the dependency graph that one target triple builds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DependencySummary {
    /// Packages compiled for the target or, as build dependencies, for the host.
    pub packages: usize,
    /// A package whose build script compiles C or C++.
    pub needs_c: Option<String>,
    /// A build script runs bindgen.
    pub bindgen: bool,
    /// The package that compiles jemalloc.
    pub jemalloc: Option<Jemalloc>,
    /// A package that replaces libc's allocator.
    pub allocator: Option<String>,
    /// C libraries that must be there already, each as a package wants it.
    pub system: BTreeSet<SystemLibrary>,
    /// Packages that are known not to compile for the target.
    pub unsupported: Vec<UnsupportedCrate>,
}

/// A package that compiles jemalloc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jemalloc {
    pub package: String,
    /// Its build script reads variables for one target, beside those for all.
    pub per_target: bool,
}

/// Crates that build scripts call a C compiler with.
pub const C_BUILDERS: [&str; 3] = ["cc", "cmake", "autotools"];

/// Crates that are there to be the global allocator.
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

/// Walks the resolved graph from `roots`, as `triple` with its `cfg` values sees it.
pub fn summarize(metadata: &Metadata, roots: &BTreeSet<&str>, triple: &str, cfg: &[Cfg]) -> DependencySummary {
    let Some(resolve) = &metadata.resolve else { return DependencySummary::default() };
    let nodes: HashMap<&PackageId, &Node> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let packages: HashMap<&PackageId, &Package> = metadata.packages.iter().map(|p| (&p.id, p)).collect();
    let name = |id: &PackageId| packages.get(id).map(|package| package.name.as_str()).unwrap_or_default();
    let is_root = |id: &&PackageId| roots.contains(name(id));
    let is_macro = |id: &PackageId| {
        packages.get(id).is_some_and(|package| package.targets.iter().any(cargo_metadata::Target::is_proc_macro))
    };
    let build_scripts_use = |id: &PackageId| -> Vec<&str> {
        let is_build = |dependency: &&cargo_metadata::NodeDep| {
            dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Build)
        };
        let dependencies = nodes.get(id).into_iter().flat_map(|node| &node.deps).filter(is_build);
        dependencies.map(|dependency| name(&dependency.pkg)).collect()
    };
    let mut queue: Vec<(&PackageId, bool)> =
        metadata.workspace_members.iter().filter(is_root).map(|id| (id, false)).collect();
    let mut seen: BTreeSet<(&PackageId, bool)> = queue.iter().copied().collect();
    let mut summary = DependencySummary::default();
    // `for_host`: a build script, a procedural macro or what they depend on, which the host's own compiler serves.
    while let Some((id, for_host)) = queue.pop() {
        for dependency in nodes.get(id).into_iter().flat_map(|node| &node.deps) {
            for kind in &dependency.dep_kinds {
                let applies = for_host || kind.target.as_ref().is_none_or(|target| target.matches(triple, cfg));
                let build = match kind.kind {
                    DependencyKind::Normal => false,
                    DependencyKind::Build => true,
                    _ => continue,
                };
                if !applies {
                    continue;
                }
                let dependency_name = name(&dependency.pkg);
                let of_host = for_host || build || is_macro(&dependency.pkg);
                if build && !for_host && C_BUILDERS.contains(&dependency_name) {
                    let name = name(id).to_owned();
                    // The first by name, so that messages do not change from run to run.
                    summary.needs_c = Some(summary.needs_c.take().map_or(name.clone(), |other| other.min(name)));
                }
                summary.bindgen |= build && !for_host && dependency_name == "bindgen";
                if !of_host {
                    let package = packages.get(&dependency.pkg).copied();
                    let version = package.map(|package| &package.version);
                    summary.jemalloc = summary.jemalloc.or_else(|| jemalloc(dependency_name, version));
                    let known = package.zip(nodes.get(&dependency.pkg));
                    summary.system.extend(known.and_then(|(package, node)| {
                        system_libraries::wanted(package, node, &build_scripts_use(&package.id))
                    }));
                    summary.unsupported.extend(known.and_then(|(package, node)| unsupported(package, node, triple)));
                    let allocator = ALLOCATORS.contains(&dependency_name).then(|| dependency_name.to_owned());
                    summary.allocator = summary.allocator.or(allocator);
                }
                let next = (&dependency.pkg, of_host);
                if seen.insert(next) {
                    queue.push(next);
                }
            }
        }
    }
    summary.packages = seen.len();
    summary
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

    /// The metadata of packages that depend on each other: `(from, to, kind, cfg)`. `app` is the workspace's member.
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
    fn what_a_target_needs() {
        const BUILD: Option<&str> = Some("build");
        const ARM64: Option<&str> = Some("cfg(target_arch = \"aarch64\")");
        let cfg = [Cfg::from_str("target_arch = \"x86_64\"").unwrap(), Cfg::from_str("unix").unwrap()];
        for (why, edges, packages, needs_c) in [
            ("nothing", &[][..], 1, None),
            ("pure Rust", &[("app", "serde", None, None)], 2, None),
            ("its own build script", &[("app", "cc", BUILD, None)], 2, Some("app")),
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
                "the first by name",
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
                "for both",
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
        assert_eq!(other, DependencySummary::default(), "of the packages that are asked for");
    }

    #[test]
    fn bindgen_jemalloc_and_allocators() {
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
