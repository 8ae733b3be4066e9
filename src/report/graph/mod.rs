//! The plan as a graph: what goes into what, from cargo's processes to the tags. What is shared is there once. Pure.

pub mod formats;
pub mod layout;
pub mod svg;

use indexmap::{IndexMap, IndexSet};

use crate::compile::cargo_command::CargoRun;
use crate::compile::toolchain::Toolchain;
use crate::image::engine::{Engine, EngineSelection};
use crate::plan::{Binary, BuildSettings, Image, ImagePlatform, Plan};
use crate::platform::Platform;

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Process,
    Target,
    Binary,
    Base,
    Platform,
    Image,
    Reference,
}

impl Kind {
    /// The kinds by the columns of a picture.
    const COLUMNS: [&[Kind]; 6] = [
        &[Kind::Process],
        &[Kind::Target],
        &[Kind::Binary, Kind::Base],
        &[Kind::Platform],
        &[Kind::Image],
        &[Kind::Reference],
    ];

    fn word(self) -> &'static str {
        match self {
            Kind::Process => "process",
            Kind::Target => "target",
            Kind::Binary => "binary",
            Kind::Base => "base",
            Kind::Platform => "platform",
            Kind::Image => "image",
            Kind::Reference => "reference",
        }
    }

    /// What stands over several of them.
    fn heading(self) -> &'static str {
        match self {
            Kind::Process => "cargo processes",
            Kind::Target => "targets, linkers",
            Kind::Binary => "binaries",
            Kind::Base => "bases",
            Kind::Platform => "platforms",
            Kind::Image => "images",
            Kind::Reference => "tags",
        }
    }
}

/// Something that is there, or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphNode {
    pub kind: Kind,
    pub name: String,
    /// What else is worth knowing, a line each.
    pub facts: Vec<String>,
    /// Why it is so.
    pub why: Option<String>,
}

/// What goes into what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Of all of it.
    pub title: String,
    /// In the plan's order.
    pub nodes: Vec<GraphNode>,
    /// From and to, as places among the nodes.
    pub edges: IndexSet<(usize, usize)>,
}

/// What makes a node one and the same.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Process(usize),
    Target(&'a BuildSettings),
    Binary(&'a BuildSettings, &'a Binary),
    Base(&'a str),
    Platform(usize, Platform),
    Image(usize),
    Reference(&'a str),
}

/// The graph of a plan.
pub fn draw(plan: &Plan, toolchain: &Toolchain, chosen: &EngineSelection) -> Graph {
    let runs = toolchain.cargo_runs();
    let missing = toolchain.missing_std();
    let references: Vec<Vec<String>> = plan.images.iter().map(super::plan_table::references).collect();
    let mut nodes: IndexMap<Key<'_>, GraphNode> = IndexMap::new();
    let mut edges = IndexSet::new();
    for (number, image) in plan.images.iter().enumerate() {
        for of in &image.platforms {
            let platform = place(&mut nodes, Key::Platform(number, of.platform), || platform_node(of, plan));
            let target =
                place(&mut nodes, Key::Target(&of.build), || target_node(&of.build, plan, toolchain, &missing));
            for (number, run) in
                runs.iter().enumerate().filter(|(_, run)| run.builds.iter().any(|build| build.settings == of.build))
            {
                edges.insert((place(&mut nodes, Key::Process(number), || process_node(run, toolchain)), target));
            }
            for binary in &of.binaries {
                let key = Key::Binary(&of.build, binary);
                let binary = place(&mut nodes, key, || binary_node(binary, &of.build, plan));
                edges.extend([(target, binary), (binary, platform)]);
            }
            if of.base != "scratch" {
                let base = || node(Kind::Base, &of.base, Vec::new());
                edges.insert((place(&mut nodes, Key::Base(&of.base), base), platform));
            }
            let index = place(&mut nodes, Key::Image(number), || image_node(image, chosen));
            edges.insert((platform, index));
            for reference in &references[number] {
                let tag = || node(Kind::Reference, reference, Vec::new());
                edges.insert((index, place(&mut nodes, Key::Reference(reference), tag)));
            }
        }
    }
    let names: Vec<&str> = plan.images.iter().map(|image| image.name.as_str()).collect();
    let title = format!("What cargo multiarch makes of {}", names.join(", "));
    Graph { title, nodes: nodes.into_values().collect(), edges }
}

/// The place of a node, which is made where it is not there yet.
fn place<'a>(nodes: &mut IndexMap<Key<'a>, GraphNode>, key: Key<'a>, make: impl FnOnce() -> GraphNode) -> usize {
    let entry = nodes.entry(key);
    let index = entry.index();
    entry.or_insert_with(make);
    index
}

fn node(kind: Kind, name: &str, facts: Vec<String>) -> GraphNode {
    GraphNode { kind, name: name.to_owned(), facts, why: None }
}

fn process_node(run: &CargoRun, toolchain: &Toolchain) -> GraphNode {
    let name = match (run.by_cross, toolchain.auditable) {
        (true, _) => "cross build",
        (false, true) => "cargo auditable build",
        (false, false) => "cargo build",
    };
    let mut facts = vec![run.binary_names()];
    let build = &run.shared;
    facts.push(format!("profile {}", build.profile));
    facts.extend((!build.features.is_empty()).then(|| format!("features {}", build.features.join(", "))));
    let names: Vec<&str> = build.env.keys().map(String::as_str).collect();
    facts.extend((!names.is_empty()).then(|| format!("build-env {}", names.join(", "))));
    for (on, fact) in [
        (build.all_features, "all features"),
        (build.no_default_features, "no default features"),
        (build.build_std, "the standard library, too"),
    ] {
        facts.extend(on.then(|| fact.to_owned()));
    }
    node(Kind::Process, name, facts)
}

fn target_node(build: &BuildSettings, plan: &Plan, toolchain: &Toolchain, missing: &[String]) -> GraphNode {
    let mut facts = vec![plan.name_of(build)];
    let choice = toolchain.linkers.get(build);
    facts.extend(choice.map(|choice| choice.linker.to_string()));
    facts.extend(build.glibc.iter().map(|floor| format!("glibc {floor} at most")));
    let packages = &build.sysroot_packages;
    facts.extend((!packages.is_empty()).then(|| format!("with {}", packages.join(", "))));
    facts.extend(missing.contains(&build.triple).then(|| "its std is installed first".to_owned()));
    GraphNode { why: choice.map(|choice| choice.why.clone()), ..node(Kind::Target, &build.triple, facts) }
}

fn binary_node(binary: &Binary, build: &BuildSettings, plan: &Plan) -> GraphNode {
    let mut facts = vec![plan.name_of(build)];
    facts.extend((binary.package != binary.name).then(|| format!("package {}", binary.package)));
    node(Kind::Binary, &binary.name, facts)
}

fn platform_node(of: &ImagePlatform, plan: &Plan) -> GraphNode {
    let mut facts = vec![format!("template {}", super::plan_table::template(of, plan))];
    facts.extend((!of.files.is_empty()).then(|| format!("files {}", of.files.len())));
    node(Kind::Platform, of.platform.name(), facts)
}

fn image_node(image: &Image, chosen: &EngineSelection) -> GraphNode {
    let engine = match &chosen.engine {
        Engine::Embedded => "embedded engine",
        Engine::Buildx(_) => "docker buildx",
    };
    let smoke =
        image.smoke.as_ref().map(|words| format!("smoke run {}", shell_words::join(words)).trim_end().to_owned());
    let facts = [engine.to_owned()].into_iter().chain(smoke).collect();
    GraphNode {
        why: Some(chosen.why.clone()),
        ..node(Kind::Image, &format!("{} {}", image.name, image.version), facts)
    }
}
