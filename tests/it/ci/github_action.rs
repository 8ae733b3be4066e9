//! action.yml: that it holds together, and what a workflow with it gets.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::runner::{Forge, Ran, Runner};
use crate::support::{Fakes, Project};

/// A workflow with the action in it, as README has it.
pub fn workflow(with: &str) -> String {
    format!(
        "on: push
defaults:
  run:
    shell: bash
jobs:
  publish:
    runs-on: ubuntu-24.04
    outputs:
      refs: ${{{{ steps.multiarch.outputs.refs }}}}
      digests: ${{{{ steps.multiarch.outputs.digests }}}}
      report: ${{{{ steps.multiarch.outputs.report }}}}
    steps:
      - uses: actions/checkout@v5
      - id: multiarch
        uses: ./
        with:
{with}      - run: 'echo \"refs: $REFS\"'
        env:
          REFS: ${{{{ steps.multiarch.outputs.refs }}}}
"
    )
}

pub fn run(repository: &Project, registry: &str, with: &str) -> (Ran, String) {
    let runner = Runner::new(Forge { repository, owner: "Team", registry, user: "me", password: "token" });
    let workflow = workflow(with);
    let workflow: Value = serde_saphyr::from_str(&workflow).unwrap_or_else(|error| panic!("{error}\n{workflow}"));
    let mut ran = runner.run(&workflow);
    (ran.pop().unwrap(), runner.cargo_calls())
}

/// The names after a dot-separated prefix, wherever an expression has them.
fn named(text: &str, prefix: &str) -> BTreeSet<String> {
    let part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let rest = text.split(prefix).skip(1);
    rest.map(|rest| rest.chars().take_while(part).collect()).collect()
}

#[test]
fn action_declares_what_it_uses() {
    let action = super::action();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let text = action["runs"].to_string();
    assert_eq!(named(&text, "inputs."), keys(&action["inputs"]), "each is used, and each that is used is there");
    for input in action["inputs"].as_object().unwrap().values() {
        assert!(input["description"].is_string() && input["default"].is_string(), "{input}");
    }
    let steps = action["runs"]["steps"].as_array().unwrap();
    assert_eq!(action["runs"]["using"], "composite");
    let written = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/action")).unwrap();
    for (name, output) in action["outputs"].as_object().unwrap() {
        let value = output["value"].as_str().unwrap();
        let (id, output) = value.strip_prefix("${{ steps.").unwrap().split_once('.').unwrap();
        assert!(steps.iter().any(|step| step["id"] == id), "no step is called {id}");
        assert_eq!(output, format!("outputs.{name} }}}}"));
        assert!(written.contains(&format!("output {name} ")), "scripts/action does not write {name}");
    }
    for step in steps.iter().filter(|step| step["run"].is_string()) {
        assert!(!step["run"].as_str().unwrap().contains("${{"), "what is put in would be read as a command: {step}");
        assert_eq!(step["shell"], "bash", "a composite action must say which");
        for name in step["env"].as_object().unwrap().keys() {
            assert!(written.contains(&format!("${name}")) || written.contains(&format!("${{{name}")), "{name}");
        }
    }
    // The list that is checked is not empty by mistake.
    assert!(named(&text, "inputs.").contains("working-directory"));
}

#[test]
fn action_installs_the_program() {
    const OWN: &str = "install cargo-multiarch --locked --force";
    for (there, install, version, has_binstall, expected) in [
        (None, "cargo", "", true, OWN),
        (None, "cargo", "1.2.3", true, "install cargo-multiarch@1.2.3 --locked --force"),
        (None, "prebuilt", "", true, "binstall --no-confirm --force cargo-multiarch"),
        (None, "prebuilt", "1.2.3", true, "binstall --no-confirm --force cargo-multiarch@1.2.3"),
        (None, "prebuilt", "", false, OWN),
        (Some("1.2.3"), "cargo", "", false, ""),
        (Some("1.2.3"), "cargo", "1.2.3", false, ""),
        (Some("1.2.2"), "cargo", "1.2.3", false, "install cargo-multiarch@1.2.3 --locked --force"),
    ] {
        let probe = if has_binstall { "exit 0" } else { "exit 101" };
        // What it installs says which version it is.
        let made = "made=$(dirname \"$0\")/cargo-multiarch\n\
            printf '#!/bin/sh\\necho cargo multiarch %s\\n' \"${VERSION:-9.9.9}\" > \"$made\" && chmod +x \"$made\"";
        let cargo = format!("[ \"$2\" != -V ] || {probe}\necho \"$@\" >> \"$0.log\"\n{made}");
        let mut programs = Fakes::new().program("cargo", &cargo);
        if let Some(version) = there {
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
        assert_eq!(programs.log("cargo").trim(), expected, "{there:?} {install} {version} {has_binstall}");
    }
}

#[test]
fn action_arguments_are_not_run_as_commands() {
    let repository = Project::app().committed();
    // `plan` wants no compiler, and a word too many is named.
    for (args, said) in [
        ("--registry 'r.example/a b'", "r.example/a b"),
        ("$(touch stolen) `touch stolen`; touch stolen", "'$(touch'"),
        ("--tag \"a;touch stolen\" --registry r.example", "a;touch stolen"),
        ("'unclosed", "args has a quote that is not closed"),
    ] {
        let args = serde_json::to_string(args).unwrap();
        let (ran, _) = run(&repository, "r.example", &format!("          command: plan\n          args: {args}\n"));
        assert_ne!(ran.code, 0, "{ran:#?}");
        assert!(ran.stderr.contains(said), "'{said}' is missing in {ran:#?}");
        assert!(!repository.path().join("stolen").exists());
    }
}

#[test]
fn action_summary_shows_failures() {
    let repository = Project::app().committed();
    let (ran, calls) = run(&repository, "r.example", "          command: publish\n");
    assert_eq!(ran.code, 3, "{ran:#?}");
    let summary = &ran.summary;
    assert!(summary.starts_with("## `cargo multiarch publish` failed with exit code 3\n"), "{summary}");
    assert!(summary.contains("\nerror: ") && summary.contains(" hint: "), "{summary}");
    assert!(!summary.contains("::error") && ran.stderr.contains("\n::error title=cargo multiarch::"), "{ran:#?}");
    assert_eq!(ran.outputs["refs"], "", "{:#}", ran.outputs);
    assert!(!calls.contains("install"), "it is there already: {calls}");
}

#[test]
fn action_summary_shows_the_output() {
    let repository = Project::app().committed();
    let (ran, _) = run(&repository, "r.example", "          command: plan\n          args: --engine embedded\n");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.summary.starts_with("## `cargo multiarch plan`\n\n~~~"), "{}", ran.summary);
    assert!(ran.summary.contains("linux/arm64  aarch64-unknown-linux-musl"), "{}", ran.summary);
    assert!(ran.stdout.contains("linux/arm64  aarch64-unknown-linux-musl"), "{ran:#?}");
    // That of PATH is not the one that was installed.
    let (ran, calls) = run(&repository, "r.example", "          command: plan\n          version: 99.0.0\n");
    assert!(calls.contains("install cargo-multiarch@99.0.0 --locked --force\n"), "another version is there: {calls}");
    assert_eq!(ran.code, 2, "{ran:#?}");
    let said = "::error title=cargo multiarch::version 99.0.0 is installed, and PATH has version 0.1.0 before it: /";
    assert!(ran.stderr.contains(said), "{ran:#?}");
    let (ran, _) = run(&repository, "r.example", "          version: 99.0.0\n          install: by-magic\n");
    assert_eq!(ran.code, 2, "{ran:#?}");
    assert!(ran.stderr.contains("::error title=cargo multiarch::install must be cargo or prebuilt"), "{ran:#?}");
}
