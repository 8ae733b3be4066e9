//! What the dependency graph says of a target before anything is compiled: how much there is to do,
//! and whether a C compiler will be asked for. Pure.

use std::collections::{BTreeSet, HashMap};

use cargo_metadata::cargo_platform::Cfg;
use cargo_metadata::{DependencyKind, Metadata, Node, PackageId};

/// The part of the dependency graph that one target triple builds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packages compiled for the target or, as build dependencies, for the host.
    pub packages: usize,
    /// A package whose build script compiles C or C++.
    pub needs_c: Option<String>,
}

/// Crates that build scripts call a C compiler with.
const C_BUILDERS: [&str; 3] = ["cc", "cmake", "autotools"];

/// Walks the resolved graph from `roots`, as `triple` with its `cfg` values sees it.
pub fn summarize(metadata: &Metadata, roots: &[&str], triple: &str, cfg: &[Cfg]) -> Summary {
    let Some(resolve) = &metadata.resolve else { return Summary::default() };
    let nodes: HashMap<&PackageId, &Node> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: HashMap<&PackageId, &str> = metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
    let is_root = |id: &&PackageId| names.get(id).is_some_and(|name| roots.contains(name));
    let mut queue: Vec<(&PackageId, bool)> =
        metadata.workspace_members.iter().filter(is_root).map(|id| (id, false)).collect();
    let mut seen: BTreeSet<(&PackageId, bool)> = queue.iter().copied().collect();
    let mut summary = Summary::default();
    // `for_host`: a build script or its dependency, which the host's own compiler serves.
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
                let dependency_name = names.get(&dependency.pkg).copied().unwrap_or_default();
                if build && !for_host && C_BUILDERS.contains(&dependency_name) {
                    let name = names.get(id).copied().unwrap_or_default().to_owned();
                    // The first by name, so that messages do not change from run to run.
                    summary.needs_c = Some(summary.needs_c.take().map_or(name.clone(), |other| other.min(name)));
                }
                let next = (&dependency.pkg, for_host || build);
                if seen.insert(next) {
                    queue.push(next);
                }
            }
        }
    }
    summary.packages = seen.len();
    summary
}
