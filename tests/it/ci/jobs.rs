//! Generates workflows and runs their jobs, as a CI service would.

use serde_json::Value;

use super::runner::{Event, Forge, JobResult, Runner};
use crate::docs;

/// The directory of a workspace that is not in the root of its repository.
const WORKSPACE_DIR: &str = "my server";

/// Generates a workflow with `init`, without committing it, and runs its jobs for a tag. Returns the results of the jobs,
/// and the arguments of their cargo calls.
pub fn run(ci: &str, native: bool, forge: Forge<'_>) -> (Vec<JobResult>, String) {
    run_for(Event::Tag, ci, native, forge)
}

/// Like [`run`], for the given event.
pub fn run_for(event: Event, ci: &str, native: bool, forge: Forge<'_>) -> (Vec<JobResult>, String) {
    let path = match ci {
        "github" => ".github/workflows/multiarch.yml",
        "gitlab" => ".gitlab-ci.yml",
        _ => ".forgejo/workflows/multiarch.yml",
    };
    let repository = forge.repository;
    let registry = forge.registry.to_owned();
    let dir = if repository.path().join("Cargo.toml").exists() { "." } else { WORKSPACE_DIR };
    let native: &[&str] = if native { &["--ci-native"] } else { &[] };
    repository.run(&[&["init", "--ci", ci, "--force"], native].concat()).in_dir(dir).finish();
    let text = std::fs::read_to_string(repository.path().join(path)).unwrap();
    let workflow: Value = serde_saphyr::from_str(&text.replace("ghcr.io", &registry)).unwrap();
    let runner = Runner::new(forge, event);
    let jobs = if ci == "gitlab" { runner.run_gitlab(&workflow) } else { runner.run(&workflow) };
    (jobs, runner.cargo_calls())
}

/// Returns the name and the digest of the only reference that the jobs print.
#[track_caller]
pub fn published(jobs: &[JobResult]) -> (&str, &str) {
    for job in jobs {
        assert_eq!(job.code, 0, "{job:#?}");
    }
    let lines = jobs.last().unwrap().stdout.lines().filter(|line| line.contains("@sha256:"));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 1, "{jobs:#?}");
    lines[0].split_once('@').unwrap()
}

/// Returns the documented workflow that computes its jobs with `plan --matrix`.
pub fn with_matrix() -> String {
    docs::block("matrix-workflow").text
}
