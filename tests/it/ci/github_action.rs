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
      digest: ${{{{ steps.multiarch.outputs.digest }}}}
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
        for name in step["env"].as_object().into_iter().flat_map(|env| env.keys()) {
            assert!(written.contains(&format!("${name}")) || written.contains(&format!("${{{name}")), "{name}");
        }
    }
    // Make sure that the comparison above did not compare empty sets.
    assert!(named(&text, "inputs.").contains("working-directory"));
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/action");

#[test]
fn action_installs_its_own_source() {
    const INSTALL: &str = "install --path . --locked --force";
    let version = env!("CARGO_PKG_VERSION");
    for (installed, expected) in [(None, INSTALL), (Some(version), ""), (Some("0.0.1"), INSTALL)] {
        // The fake installation creates a program that prints its version.
        let cargo = format!(
            "echo \"$@\" >> \"$0.log\"\nprogram=$(dirname \"$0\")/cargo-multiarch\n\
             printf '#!/bin/sh\\necho cargo multiarch {version}\\n' > \"$program\" && chmod +x \"$program\"\n\
             [ \"$PWD\" = '{}' ]",
            env!("CARGO_MANIFEST_DIR")
        );
        let mut programs = Fakes::new().program("cargo", &cargo);
        if let Some(version) = installed {
            programs = programs.program("cargo-multiarch", &format!("echo cargo multiarch {version}"));
        }
        let output = Command::new("bash")
            .args([SCRIPT, "install"])
            .env("PATH", format!("{}:/usr/bin:/bin", programs.path().display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(programs.log("cargo").trim(), expected, "{installed:?}");
    }
}

#[test]
fn action_reports_another_program_on_path() {
    // The installation does not replace the first program on PATH.
    let programs = Fakes::new().program("cargo", "exit 0").program("cargo-multiarch", "echo cargo multiarch 0.0.1");
    let mut bash = Command::new("bash");
    bash.args([SCRIPT, "install"]).env("PATH", format!("{}:/usr/bin:/bin", programs.path().display()));
    let output = bash.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(", but version 0.0.1 comes first on PATH: /"), "{stderr}");
}

#[test]
fn action_chooses_zig_and_caches() {
    for (env, has_zig, expected) in [
        // A publish compiles, and must not use caches.
        (&[][..], false, "zig=true cache=false"),
        (&[], true, "zig=false cache=false"),
        (&[("ARGS", "--artifacts dist/")], false, "zig=false cache=false"),
        (&[("PUSH", "false")], false, "zig=true cache=true"),
        (&[("COMMAND", "build")], false, "zig=true cache=true"),
        (&[("COMMAND", "compile"), ("GITHUB_REF", "refs/tags/v1.2.3")], false, "zig=true cache=false"),
        (&[("COMMAND", "verify")], false, "zig=false cache=true"),
        (&[("ZIG", "false"), ("CACHE", "true")], false, "zig=false cache=true"),
        (&[("COMMAND", "verify"), ("ZIG", "true"), ("CACHE", "false")], true, "zig=true cache=false"),
        (&[("ZIG", "yes")], false, "zig must be true, false or auto, but is 'yes'"),
        (&[("CACHE", "no")], false, "cache must be true, false or auto, but is 'no'"),
        (&[("PUSH", "")], false, "push must be true or false, but is ''"),
        (
            &[("COMMAND", "build"), ("PUSH", "false")],
            false,
            "push applies to the command publish, but the command is build",
        ),
    ] {
        let mut programs = Fakes::new().program("python3", "exit 1");
        if has_zig {
            programs = programs.program("zig", "exit 0");
        }
        let written = programs.path().join("output");
        std::fs::write(&written, "").unwrap();
        let output = Command::new("bash")
            .args([SCRIPT, "choose"])
            .env("PATH", format!("{}:/usr/bin:/bin", programs.path().display()))
            .env("RUNNER_TEMP", programs.path())
            .env("GITHUB_OUTPUT", &written)
            .env_remove("GITHUB_REF")
            .envs([("COMMAND", "publish"), ("ARGS", ""), ("PUSH", "true"), ("ZIG", "auto"), ("CACHE", "auto")])
            .envs(env.iter().copied())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let written = super::machine::assignments(&std::fs::read_to_string(written).unwrap());
        let written: Vec<String> = written.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        if output.status.success() {
            assert_eq!(written.join(" "), expected, "{env:?}");
        } else {
            assert!(stderr.contains(expected), "no '{expected}' in {stderr}");
        }
    }
}

#[test]
fn action_accepts_the_outputs_of_metadata_action() {
    let repository = Project::app().committed();
    let with = "          command: plan
          args: --engine embedded --offline --message-format json
          tags: |
            r.example/you/app:1.2.3
            r.example/you/app:latest
            other.example/app:1.2.3
            other.example/app:latest
          labels: |
            org.opencontainers.image.title=An app, with a comma
            org.opencontainers.image.url=
          annotations: |
            manifest:org.example.a=1
            manifest,index:org.example.b=$(touch stolen)
";
    let (job, _) = run(&repository, "r.example", with);
    assert_eq!(job.code, 0, "{job:#?}");
    let json = job.stdout.lines().take_while(|line| !line.starts_with("refs: ")).collect::<Vec<_>>().join("\n");
    let plan: Value = serde_json::from_str(&json).unwrap();
    let image = &plan["images"][0];
    assert_eq!(image["repositories"], serde_json::json!(["r.example/you/app", "other.example/app"]));
    assert_eq!(image["tags"], serde_json::json!(["1.2.3", "latest"]));
    let labels = &image["platforms"][0]["container"]["labels"];
    assert_eq!(labels["org.opencontainers.image.title"], "An app, with a comma");
    assert_eq!(labels["org.opencontainers.image.url"], "");
    assert!(image["annotations"]["org.example.a"].is_null(), "{image:#}");
    assert_eq!(image["manifest_annotations"]["org.example.a"], "1", "{image:#}");
    assert_eq!(image["annotations"]["org.example.b"], "$(touch stolen)");
    assert!(!repository.path().join("stolen").exists());

    let (job, _) = run(&repository, "r.example", "          command: compile\n          tags: v1\n");
    assert_eq!(job.code, 2, "{job:#?}");
    let expected = "tags applies to the commands publish, build and plan, but the command is compile";
    assert!(job.stderr.contains(expected), "{job:#?}");
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
}
