//! Checks that the graph in docs/graph.svg is up to date.

use std::process::Command;

use super::{root, updates};
use crate::support::{Fakes, Project};

#[test]
fn graph_is_current() {
    let example = root().join("examples/workspace");
    let project = Project::empty();
    let copied = Command::new("cp").arg("-r").arg(example.join(".")).arg(project.path()).status().unwrap();
    assert!(copied.success());
    let project = project.committed();
    let tools = Fakes::new().real("cargo").real("rustc").real("git");
    let args = "plan --graph -p example-core -p ctl --registry ghcr.io/you".split(' ').collect::<Vec<_>>();
    let drawn = project.run(&args).path_only(&tools).finish().stdout;
    let path = root().join("docs/graph.svg");
    if updates() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == drawn, "docs/graph.svg is out of date: run `UPDATE_DOCS=1 cargo test --test it docs`");
}
