//! CI support: the job matrix, annotations, the GitHub action, and the jobs of generated workflows.

mod expressions;
pub mod github_action;
pub mod jobs;
mod machine;
pub mod own_workflows;
pub mod runner;

pub use github_action::workflow as workflow_with_action;
pub use jobs::{published, run as run_jobs, with_matrix as workflow_with_matrix};

use serde_json::{Value, json};

use crate::corpus::history;
use crate::support::snapshot::snapshot;
use crate::support::{Fakes, Project};

/// Parses action.yml.
fn action() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/action.yml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A configuration with two images for different platforms.
const CONFIG: &str = "platforms = ['linux/riscv64', 'linux/arm64', 'linux/amd64']\n\
    [images.one]\nbins = ['app']\n[images.two]\nbins = ['app']\nplatforms = ['linux/arm/v7', 'linux/arm64']\n";

#[test]
fn matrix_of_plan_matches_the_generated_workflow() {
    // No linker for these platforms is installed, but `plan --matrix` does not need one, because the code is compiled
    // on other machines.
    let project = Project::with_config(&format!("libc = 'gnu'\nbase = 'debian:trixie-slim'\n{CONFIG}"));
    let bare = Fakes::new().real("cargo").real("rustc").real("git");
    for (forge, path, [first, arm64]) in [
        ("github", ".github/workflows/multiarch.yml", ["ubuntu-24.04", "ubuntu-24.04-arm"]),
        ("forgejo", ".forgejo/workflows/multiarch.yml", ["docker", "docker-arm64"]),
    ] {
        let finished = project.run(&["plan", "--matrix", forge]).path_only(&bare).finish();
        let line = finished.stdout.strip_suffix('\n').unwrap();
        let expected = format!(
            "{{\"include\":[\
             {{\"platform\":\"linux/amd64\",\"bundle\":\"linux-amd64\",\"runner\":\"{first}\"}},\
             {{\"platform\":\"linux/arm/v7\",\"bundle\":\"linux-armv7\",\"runner\":\"{first}\"}},\
             {{\"platform\":\"linux/arm64\",\"bundle\":\"linux-arm64\",\"runner\":\"{arm64}\"}},\
             {{\"platform\":\"linux/riscv64\",\"bundle\":\"linux-riscv64\",\"runner\":\"{first}\"}}]}}"
        );
        assert_eq!(line, expected);
        project.run(&["init", "--ci", forge, "--ci-native"]).finish();
        let workflow = std::fs::read_to_string(project.path().join(path)).unwrap();
        let workflow: Value = serde_saphyr::from_str(&workflow).unwrap();
        let matrix: Value = serde_json::from_str(line).unwrap();
        assert_eq!(workflow["jobs"]["compile"]["strategy"]["matrix"], matrix);
    }
    let finished = project.run(&["plan", "--matrix", "github", "--platform", "linux/arm64"]).finish();
    let one: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(one["include"].as_array().unwrap().len(), 1, "{one}");
}

#[test]
fn matrix_of_other_ci_services_is_rejected() {
    let project = Project::app();
    snapshot!(
        project.run(&["plan", "--matrix", "gitlab"]).fails(3).finish(),
        project.run(&["plan", "--matrix", "github", "--message-format", "json"]).fails(2).finish(),
        project.run(&["plan", "--matrix", "gitea"]).fails(2).finish(),
    );
}

#[test]
fn github_annotations_show_findings() {
    let project = Project::empty();
    for (dir, layout) in history::layouts() {
        layout.write(&project.path().join(dir));
    }
    let verify = || project.run(&["verify", "oci:core-aarch64"]).finds(8);
    verify().finish().stderr_lacks("::error");
    verify().env("GITHUB_ACTIONS", "false").finish().stderr_lacks("::error");
    let annotated = verify().env("GITHUB_ACTIONS", "true").finish();
    assert_eq!(annotated.stderr.lines().filter(|line| line.starts_with("::")).count(), 2, "{annotated}");
    snapshot!(annotated);
}

#[test]
fn github_annotations_show_notes() {
    let project = Project::app().committed().file("more", "");
    let bare = Fakes::new().real("cargo").real("rustc").real("git");
    snapshot!(project.run(&["plan"]).path_only(&bare).env("GITHUB_ACTIONS", "true").finish());
}

#[test]
fn github_annotations_hide_secrets() {
    let project = Project::app();
    let run = project.run(&["plan", "--registry", "https://me:hunter2@r.example"]).env("GITHUB_ACTIONS", "true");
    run.fails(3).finish().stderr_has(&["::error title=cargo multiarch::"]).stderr_lacks("hunter2");
}

#[test]
fn runner_expands_expressions_like_github() {
    let scope = json!({ "a": { "b": "x", "n": 1 }, "list": { "one": { "c": "y" }, "two": { "c": "z" } } });
    for (text, expected) in [
        ("plain $A ${B}", "plain $A ${B}"),
        ("<${{ a.b }}> ${{a.none}}!", "<x> !"),
        ("${{ a.none || a.b }}", "x"),
        ("${{ a.b == 'x' }} ${{ a.b == 'y' }}", "true false"),
        ("${{ a.n }}", "1"),
        ("${{ join(list.*.c, ' ') }}", "y z"),
        ("${{ startsWith(a.b, 'x') }} ${{ !startsWith(a.b, 'x') }}", "true false"),
    ] {
        assert_eq!(expressions::expand(text, &scope), expected);
    }
}
