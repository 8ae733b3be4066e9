//! Builds the graph of a plan.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};

use super::{Graph, GraphNode, NodeKind};
use crate::compile::cargo_command::CargoRun;
use crate::compile::toolchain::Toolchain;
use crate::image::engine::{Engine, EngineSelection};
use crate::plan::{Binary, BuildSettings, Image, ImagePlatform, Plan};
use crate::platform::Platform;
use crate::report::plan_table::{references, template_name};

/// The identity of a node. Objects with equal keys share a node.
#[derive(PartialEq, Eq, Hash)]
enum NodeKey<'a> {
    /// A cargo process, identified by its index.
    Process(usize),
    Target(&'a BuildSettings),
    Binary(&'a BuildSettings, &'a Binary),
    Base(&'a str),
    /// A platform of an image. The number is the image's index.
    Platform(usize, Platform),
    /// An image, identified by its index.
    Image(usize),
    Reference(String),
}

#[derive(Default)]
struct GraphBuilder<'a> {
    nodes: IndexMap<NodeKey<'a>, GraphNode>,
    edges: IndexSet<(usize, usize)>,
}

impl<'a> GraphBuilder<'a> {
    /// Returns the index of the node with the given key, adding the node if it is new.
    fn node(&mut self, key: NodeKey<'a>, make_node: impl FnOnce() -> GraphNode) -> usize {
        let entry = self.nodes.entry(key);
        let index = entry.index();
        entry.or_insert_with(make_node);
        index
    }

    fn edge(&mut self, from: usize, to: usize) {
        self.edges.insert((from, to));
    }
}

/// Builds the graph of a plan with the selected linkers and engines. `selections` has one entry per image, in plan order.
pub(crate) fn graph(plan: &Plan, toolchain: &Toolchain, selections: &[EngineSelection]) -> Graph {
    let runs = toolchain.cargo_runs();
    let missing_std = toolchain.missing_std();
    let build_names: BTreeMap<BuildSettings, String> =
        plan.unique_builds().into_iter().map(|build| (build.settings.clone(), build.name())).collect();
    let mut graph = GraphBuilder::default();
    for (image_number, (image, selection)) in plan.images.iter().zip(selections).enumerate() {
        for ImagePlatform { platform, build, binaries, base, template, files, .. } in &image.platforms {
            let build_name = build_names.get(build).map(String::as_str).unwrap_or_default();
            let platform = graph.node(NodeKey::Platform(image_number, *platform), || {
                platform_node(*platform, &template_name(template, &plan.paths.root), files.len())
            });
            let target = graph.node(NodeKey::Target(build), || target_node(build, build_name, toolchain, &missing_std));
            for (run_number, run) in runs.iter().enumerate() {
                if run.builds.iter().any(|run_build| run_build.settings == *build) {
                    let process = graph.node(NodeKey::Process(run_number), || process_node(run, toolchain.auditable));
                    graph.edge(process, target);
                }
            }
            for binary in binaries {
                let binary = graph.node(NodeKey::Binary(build, binary), || binary_node(binary, build_name));
                graph.edge(target, binary);
                graph.edge(binary, platform);
            }
            if base != "scratch" {
                let base = graph.node(NodeKey::Base(base), || node(NodeKind::Base, base, Vec::new()));
                graph.edge(base, platform);
            }
            let index = graph.node(NodeKey::Image(image_number), || image_node(image, selection));
            graph.edge(platform, index);
            for reference in references(image) {
                let new_node = node(NodeKind::Reference, &reference, Vec::new());
                let tag = graph.node(NodeKey::Reference(reference), || new_node);
                graph.edge(index, tag);
            }
        }
    }
    let names: Vec<&str> = plan.images.iter().map(|image| image.name.as_str()).collect();
    let title = format!("Build plan for {}", names.join(", "));
    Graph { title, nodes: graph.nodes.into_values().collect(), edges: graph.edges }
}

fn node(kind: NodeKind, name: &str, facts: Vec<String>) -> GraphNode {
    GraphNode { kind, name: name.to_owned(), facts, why: None }
}

fn process_node(run: &CargoRun, is_auditable: bool) -> GraphNode {
    let name = if run.by_cross {
        "cross build"
    } else if is_auditable {
        "cargo auditable build"
    } else {
        "cargo build"
    };
    let settings = &run.shared;
    let mut facts = vec![run.binary_names(), format!("profile {}", settings.profile)];
    if !settings.features.is_empty() {
        facts.push(format!("features {}", settings.features.join(", ")));
    }
    if !settings.env.is_empty() {
        let names: Vec<&str> = settings.env.keys().map(String::as_str).collect();
        facts.push(format!("build-env {}", names.join(", ")));
    }
    for (is_set, fact) in [
        (settings.all_features, "all features"),
        (settings.no_default_features, "no default features"),
        (settings.build_std, "build-std"),
    ] {
        if is_set {
            facts.push(fact.to_owned());
        }
    }
    node(NodeKind::Process, name, facts)
}

fn target_node(build: &BuildSettings, build_name: &str, toolchain: &Toolchain, missing_std: &[String]) -> GraphNode {
    let mut facts = vec![build_name.to_owned()];
    let selection = toolchain.linkers.get(build);
    if let Some(selection) = selection {
        facts.push(selection.linker.to_string());
    }
    if let Some(floor) = &build.glibc {
        facts.push(format!("glibc floor {floor}"));
    }
    if !build.sysroot_packages.is_empty() {
        facts.push(format!("sysroot packages {}", build.sysroot_packages.join(", ")));
    }
    if missing_std.contains(&build.triple) {
        facts.push("std will be installed".to_owned());
    }
    GraphNode { why: selection.map(|selection| selection.why.clone()), ..node(NodeKind::Target, &build.triple, facts) }
}

fn binary_node(binary: &Binary, build_name: &str) -> GraphNode {
    let mut facts = vec![build_name.to_owned()];
    if binary.package != binary.name {
        facts.push(format!("package {}", binary.package));
    }
    node(NodeKind::Binary, &binary.name, facts)
}

fn platform_node(platform: Platform, template: &str, file_count: usize) -> GraphNode {
    let mut facts = vec![format!("template {template}")];
    if file_count > 0 {
        facts.push(format!("files {file_count}"));
    }
    node(NodeKind::Platform, platform.name(), facts)
}

fn image_node(image: &Image, selection: &EngineSelection) -> GraphNode {
    let engine = match &selection.engine {
        Engine::Embedded => "embedded engine",
        Engine::Buildx(_) => "docker buildx",
    };
    let mut facts = vec![engine.to_owned()];
    if let Some(args) = &image.smoke {
        facts.push(format!("smoke run {}", shell_words::join(args)).trim_end().to_owned());
    }
    let name = format!("{} {}", image.name, image.version);
    GraphNode { why: Some(selection.why.clone()), ..node(NodeKind::Image, &name, facts) }
}
