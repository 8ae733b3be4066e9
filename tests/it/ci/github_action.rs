//! Checks that action.yml is consistent, and runs workflows that use the action.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::runner::{Event, Forge, JobResult, Runner};
use crate::support::{Fakes, Project};

/// Returns a workflow that uses the action, like the one in the README.
pub fn workflow(with: &str) -> String {
    format!(
        "name: action
on: push
permissions: {{}}
defaults:
  run:
    shell: bash
jobs:
  publish:
    runs-on: ubuntu-24.04
    permissions:
      contents: read
    outputs:
      refs: ${{{{ steps.multiarch.outputs.refs }}}}
      digests: ${{{{ steps.multiarch.outputs.digests }}}}
      report: ${{{{ steps.multiarch.outputs.report }}}}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          persist-credentials: false
      - id: multiarch
        uses: ./
        with:
{with}      - run: 'echo \"refs: $REFS\"'
        env:
          REFS: ${{{{ steps.multiarch.outputs.refs }}}}
"
    )
}

pub fn run(repository: &Project, registry: &str, with: &str) -> (JobResult, String) {
    let runner = Runner::new(Forge { repository, owner: "Team", registry, user: "me", password: "token" }, Event::Tag);
    let workflow = workflow(with);
    let workflow: Value = serde_saphyr::from_str(&workflow).unwrap_or_else(|error| panic!("{error}\n{workflow}"));
    let mut jobs = runner.run(&workflow);
    (jobs.pop().unwrap(), runner.cargo_calls())
}

/// Returns the names that follow a prefix such as `inputs.` anywhere in `text`.
fn named(text: &str, prefix: &str) -> BTreeSet<String> {
    let part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let rest = text.split(prefix).skip(1);
    rest.map(|rest| rest.chars().take_while(part).collect()).collect()
}

#[test]
fn action_inputs_and_outputs_are_consistent() {
    let action = super::action();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let text = action["runs"].to_string();
    assert_eq!(named(&text, "inputs."), keys(&action["inputs"]), "the declared and used inputs must match");
    for input in action["inputs"].as_object().unwrap().values() {
        assert!(input["description"].is_string() && input["default"].is_string(), "{input}");
    }
    let steps = action["runs"]["steps"].as_array().unwrap();
    assert_eq!(action["runs"]["using"], "composite");
    let written = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/action")).unwrap();
    for (name, output) in action["outputs"].as_object().unwrap() {
        let value = output["value"].as_str().unwrap();
        let (id, output) = value.strip_prefix("${{ steps.").unwrap().split_once('.').unwrap();
        assert!(steps.iter().any(|step| step["id"] == id), "no step has the id {id}");
        assert_eq!(output, format!("outputs.{name} }}}}"));
        assert!(written.contains(&format!("output {name} ")), "scripts/action does not write {name}");
    }
    for step in steps.iter().filter(|step| step["run"].is_string()) {
        assert!(!step["run"].as_str().unwrap().contains("${{"), "an expanded expression could run commands: {step}");
        assert_eq!(step["shell"], "bash", "steps of composite actions must set a shell");
        for name in step["env"].as_object().unwrap().keys() {
            assert!(written.contains(&format!("${name}")) || written.contains(&format!("${{{name}")), "{name}");
        }
    }
    // Make sure that the comparison above did not compare empty sets.
    assert!(named(&text, "inputs.").contains("working-directory"));
}

#[test]
fn action_installs_the_program() {
    const INSTALL: &str = "install cargo-multiarch --locked --force";
    for (installed, install, version, has_binstall, expected) in [
        (None, "cargo", "", true, INSTALL),
        (None, "cargo", "1.2.3", true, "install cargo-multiarch@1.2.3 --locked --force"),
        (None, "prebuilt", "", true, "binstall --no-confirm --force cargo-multiarch"),
        (None, "prebuilt", "1.2.3", true, "binstall --no-confirm --force cargo-multiarch@1.2.3"),
        (None, "prebuilt", "", false, INSTALL),
        (Some("1.2.3"), "cargo", "", false, ""),
        (Some("1.2.3"), "cargo", "1.2.3", false, ""),
        (Some("1.2.2"), "cargo", "1.2.3", false, "install cargo-multiarch@1.2.3 --locked --force"),
    ] {
        let probe = if has_binstall { "exit 0" } else { "exit 101" };
        // The fake installation creates a program that prints its version.
        let create = "program=$(dirname \"$0\")/cargo-multiarch\n\
            printf '#!/bin/sh\\necho cargo multiarch %s\\n' \"${VERSION:-9.9.9}\" > \"$program\" && chmod +x \"$program\"";
        let cargo = format!("[ \"$2\" != -V ] || {probe}\necho \"$@\" >> \"$0.log\"\n{create}");
        let mut programs = Fakes::new().program("cargo", &cargo);
        if let Some(version) = installed {
            programs = programs.program("cargo-multiarch", &format!("echo cargo multiarch {version}"));
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/action");
        let output = Command::new("bash")
            .args([script, "install"])
            .env("PATH", format!("{}:/usr/bin:/bin", programs.path().display()))
            .env("INSTALL", install)
            .env("VERSION", version)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(programs.log("cargo").trim(), expected, "{installed:?} {install} {version} {has_binstall}");
    }
}

#[test]
fn action_arguments_are_not_run_as_commands() {
    let repository = Project::app().committed();
    // Use `plan`, because it does not need a compiler and its errors quote invalid arguments.
    for (args, expected) in [
        ("--registry 'r.example/a b'", "r.example/a b"),
        ("$(touch stolen) `touch stolen`; touch stolen", "'$(touch'"),
        ("--tag \"a;touch stolen\" --registry r.example", "a;touch stolen"),
        ("'unclosed", "args has an unclosed quote"),
    ] {
        let args = serde_json::to_string(args).unwrap();
        let (job, _) = run(&repository, "r.example", &format!("          command: plan\n          args: {args}\n"));
        assert_ne!(job.code, 0, "{job:#?}");
        assert!(job.stderr.contains(expected), "no '{expected}' in {job:#?}");
        assert!(!repository.path().join("stolen").exists());
    }
}

#[test]
fn action_summary_shows_failures() {
    let repository = Project::app().committed();
    let (job, calls) = run(&repository, "r.example", "          command: publish\n");
    assert_eq!(job.code, 3, "{job:#?}");
    let summary = &job.summary;
    assert!(summary.starts_with("## `cargo multiarch publish` failed with exit code 3\n"), "{summary}");
    assert!(summary.contains("\nerror: ") && summary.contains(" hint: "), "{summary}");
    assert!(!summary.contains("::error") && job.stderr.contains("\n::error title=cargo multiarch::"), "{job:#?}");
    assert_eq!(job.outputs["refs"], "", "{:#}", job.outputs);
    assert!(!calls.contains("install"), "the program must not be installed again: {calls}");
}

#[test]
fn action_summary_shows_the_output() {
    let repository = Project::app().committed();
    let (job, _) = run(&repository, "r.example", "          command: plan\n          args: --engine embedded\n");
    assert_eq!(job.code, 0, "{job:#?}");
    assert!(job.summary.starts_with("## `cargo multiarch plan`\n\n~~~"), "{}", job.summary);
    assert!(job.summary.contains("linux/arm64  aarch64-unknown-linux-musl"), "{}", job.summary);
    assert!(job.stdout.contains("linux/arm64  aarch64-unknown-linux-musl"), "{job:#?}");
    // The program on PATH has a different version than the requested one.
    let (job, calls) = run(&repository, "r.example", "          command: plan\n          version: 99.0.0\n");
    assert!(
        calls.contains("install cargo-multiarch@99.0.0 --locked --force\n"),
        "the requested version must be installed: {calls}"
    );
    assert_eq!(job.code, 2, "{job:#?}");
    let expected =
        "::error title=cargo multiarch::version 99.0.0 was installed, but version 0.1.0 comes first on PATH: /";
    assert!(job.stderr.contains(expected), "{job:#?}");
    let (job, _) = run(&repository, "r.example", "          version: 99.0.0\n          install: by-magic\n");
    assert_eq!(job.code, 2, "{job:#?}");
    assert!(job.stderr.contains("::error title=cargo multiarch::install must be cargo or prebuilt"), "{job:#?}");
}
