//! Checks that imports in `src` follow the order of `LEVELS` and have no cycles, and that files have module docs.
//!
//! `PRINT_EDGES=1 cargo test --test it architecture::print -- --nocapture` prints the names that each file imports from
//! other files, and all import cycles. `[cycle]` marks imports that are part of a cycle. `PRINT_EDGES=compile/` prints
//! only the imports from or to files in that directory.

mod graph;
mod imports;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use graph::Graph;
use imports::Edges;

/// The directories and top-level files of `src`. Each may import only those on later lines.
const LEVELS: &[&[&str]] = &[
    &["main"],
    &["lib"],
    &["commands"],
    &["report"],
    &["verify", "publish"],
    &["image"],
    &["compile", "dockerfile", "cli"],
    &["plan"],
    &["config"],
    &["registry"],
    &["credentials"],
    &["oci"],
    &["host"],
    &["elf", "ui", "fs"],
    &["finding", "platform", "timings", "process"],
    &["shell", "error", "threads"],
    &["secrets"],
];

const HINT: &str =
    "to list all imports and cycles: PRINT_EDGES=1 cargo test --test it architecture::print -- --nocapture";

/// The contents of all Rust files below `src`, by path.
static SOURCES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    fn walk(dir: &Path, root: &Path, into: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                into.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    walk(&root, &root, &mut files);
    files
});

static EDGES: LazyLock<Edges> = LazyLock::new(|| imports::edges(&SOURCES));

/// Returns the top-level directory of a file, or the name of a top-level file.
fn unit(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

fn level(unit: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&unit))
}

/// Returns the imports that violate the order of [`LEVELS`].
fn upward() -> BTreeSet<(&'static str, &'static str)> {
    let pairs = EDGES.keys().map(|(from, to)| (from.as_str(), to.as_str()));
    pairs.filter(|(from, to)| unit(from) != unit(to) && level(unit(from)) >= level(unit(to))).collect()
}

/// Returns the graph of all imports between files.
fn all_imports() -> Graph<'static> {
    let mut graph = Graph::new();
    for (from, to) in EDGES.keys() {
        graph.entry(from.as_str()).or_default().insert(to.as_str());
    }
    graph
}

/// Describes an import as `src/a.rs:12 uses Name, Other from src/b.rs`.
fn describe(from: &str, to: &str) -> String {
    let names = &EDGES[&(from.to_owned(), to.to_owned())];
    let line = names.values().min().unwrap();
    format!("src/{from}:{line} uses {} from src/{to}", names.keys().cloned().collect::<Vec<_>>().join(", "))
}

#[test]
fn imports_follow_the_levels() {
    let mut wrong = Vec::new();
    for file in SOURCES.keys() {
        if level(unit(file)).is_none() {
            wrong.push(format!("src/{file}: `{}` is missing from LEVELS", unit(file)));
        }
    }
    for name in LEVELS.iter().flat_map(|level| level.iter()) {
        if !SOURCES.keys().any(|file| unit(file) == *name) {
            wrong.push(format!("LEVELS: `{name}` does not exist in src"));
        }
    }
    for (from, to) in upward() {
        wrong.push(format!("{}: `{}` may not import `{}` (see LEVELS)", describe(from, to), unit(from), unit(to)));
    }
    assert!(wrong.is_empty(), "{}\n{HINT}", wrong.join("\n"));
}

#[test]
fn imports_have_no_cycles() {
    let graph = all_imports();
    let mut wrong = Vec::new();
    for component in graph::components(&graph) {
        let cycle = graph::shortest_cycle(&graph, &component).unwrap();
        let uses: String = cycle.windows(2).map(|pair| format!("\n  {}", describe(pair[0], pair[1]))).collect();
        let cycle = cycle.join(" → ");
        wrong.push(format!("import cycle: {cycle} ({} files){uses}", component.len()));
    }
    assert!(wrong.is_empty(), "{}\n{HINT}", wrong.join("\n"));
}

#[test]
fn files_start_with_module_docs() {
    let wrong: Vec<_> = SOURCES.iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    assert!(wrong.is_empty(), "files that do not start with `//! ` and a summary: {wrong:?}");
}

#[test]
fn only_one_file_formats_sizes() {
    for (file, text) in SOURCES.iter().filter(|(file, _)| *file != "ui/size.rs") {
        for other in ["HumanBytes", "BinaryBytes", "DecimalBytes", "ByteSize("] {
            assert!(!text.contains(other), "src/{file} uses {other}: only ui/size.rs may format sizes");
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "prints a report, which --nocapture shows")]
fn print_edges() {
    let Ok(filter) = std::env::var("PRINT_EDGES") else { return };
    let components = graph::components(&all_imports());
    for ((from, to), names) in &*EDGES {
        if filter == "1" || from.starts_with(&filter) || to.starts_with(&filter) {
            let names: Vec<_> = names.iter().map(|(name, line)| format!("{name}:{line}")).collect();
            let in_cycle = components.iter().any(|cycle| cycle.contains(from.as_str()) && cycle.contains(to.as_str()));
            println!("{from} -> {to}: {}{}", names.join(" "), if in_cycle { " [cycle]" } else { "" });
        }
    }
    println!("\n{} cycles involving {} files", components.len(), components.iter().map(BTreeSet::len).sum::<usize>());
    for component in components {
        println!("  {}: {}", component.len(), component.into_iter().collect::<Vec<_>>().join(" "));
    }
}
