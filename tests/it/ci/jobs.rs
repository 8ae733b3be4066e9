//! Runs the jobs of generated workflows, as a CI service does.

use serde_json::Value;

use super::runner::{Forge, Ran, Runner};
use crate::readme;

/// The folder of a workspace that is not the repository's root.
const BELOW: &str = "my server";

/// Runs the jobs of a workflow that `init` writes for a repository, without a change of its commit.
pub fn run(forge: &str, native: bool, known: Forge<'_>) -> (Vec<Ran>, String) {
    let path = match forge {
        "github" => ".github/workflows/multiarch.yml",
        "gitlab" => ".gitlab-ci.yml",
        _ => ".forgejo/workflows/multiarch.yml",
    };
    let repository = known.repository;
    let registry = known.registry.to_owned();
    let folder = if repository.path().join("Cargo.toml").exists() { "." } else { BELOW };
    let native: &[&str] = if native { &["--ci-native"] } else { &[] };
    repository.run(&[&["init", "--ci", forge, "--force"], native].concat()).in_dir(folder).finish();
    let text = std::fs::read_to_string(repository.path().join(path)).unwrap();
    let workflow: Value = serde_saphyr::from_str(&text.replace("ghcr.io", &registry)).unwrap();
    let runner = Runner::new(known);
    let ran = if forge == "gitlab" { runner.run_gitlab(&workflow) } else { runner.run(&workflow) };
    (ran, runner.cargo_calls())
}

/// The one reference that the jobs print, and its digest.
#[track_caller]
pub fn published(ran: &[Ran]) -> (&str, &str) {
    for job in ran {
        assert_eq!(job.code, 0, "{job:#?}");
    }
    let lines = ran.last().unwrap().stdout.lines().filter(|line| line.contains("@sha256:"));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 1, "{ran:#?}");
    lines[0].split_once('@').unwrap()
}

/// README's workflow that asks for its matrix.
pub fn with_matrix() -> String {
    readme::blocks("yaml").remove(0)
}
