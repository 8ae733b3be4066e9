//! Checks generated workflows, the workflows in the book, action.yml and this project's own workflows with actionlint and
//! zizmor.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::init::workspace;
use crate::support::Project;

/// A script that prints actionlint's findings. It ignores unknown runner labels, the permission for attestations, and
/// actions that are not on GitHub, because this version of actionlint does not support them.
const LINT: &str = r#"
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const { createLinter } = await import(createRequire(process.argv[1] + "/x").resolve("actionlint"));
const lint = await createLinter();
for (const path of process.argv.slice(2))
  for (const found of lint(readFileSync(path, "utf8"), ".github/workflows/multiarch.yml"))
    if (found.kind != "runner-label" && !/https:|scope "attestations"/.test(found.message)) console.log(path, found.line, found.message);
"#;

/// Returns the directory in which scripts/setup installs the linters.
fn cache_dir() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    cache.join("cargo-multiarch")
}

/// Projects that need different parts of the workflow templates, by name.
fn projects() -> Vec<(&'static str, Project)> {
    let with_config = Project::with_config;
    vec![
        ("plain", Project::app()),
        // Jobs run in a container.
        ("workspace", workspace()),
        ("registries", with_config("registry = ['ghcr.io/you', 'docker.io/you', 'r.example:5000/x']\n")),
        ("zig", with_config("libc = 'gnu'\nbase = 'debian:trixie-slim'\nglibc = '2.28'\nsmoke = ['--version']\n")),
        ("buildx", with_config("engine = 'buildx'\nsmoke = []\nregistry = 'localhost:5000'\n")),
        (
            "buildx-in-container",
            with_config(
                "engine = 'buildx'\nlibc = 'gnu'\nbase = 'debian:bookworm-slim'\nsysroot-packages = ['libssl-dev']\n\
                 smoke = []\nregistry = 'r.example/x'\n",
            ),
        ),
    ]
}

/// Writes workflows of every kind to `dir`, and returns their paths.
fn write_workflows(dir: &Path) -> Vec<PathBuf> {
    let nested = Project::empty()
        .file("my server/Cargo.toml", "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n")
        .file("my server/Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.3\"\n")
        .file("my server/src/main.rs", "fn main() {}\n")
        .committed();
    let mut workspaces: Vec<_> = projects().into_iter().map(|(name, project)| (name, project, ".")).collect();
    workspaces.push(("nested", nested, "my server"));
    let mut paths = Vec::new();
    for (name, project, workspace_dir) in &workspaces {
        for (forge, path) in
            [("github", ".github/workflows/multiarch.yml"), ("forgejo", ".forgejo/workflows/multiarch.yml")]
        {
            for native in [&[][..], &["--ci-native"]] {
                project.run(&[&["init", "--ci", forge, "--force"], native].concat()).in_dir(workspace_dir).finish();
                let copy = dir.join(format!("{name}-{forge}{}.yml", native.concat()));
                std::fs::copy(project.path().join(path), &copy).unwrap();
                paths.push(copy);
            }
        }
    }
    for (name, text) in [
        ("matrix.yml", crate::ci::workflow_with_matrix()),
        ("documented-action.yml", job_with_steps(&crate::docs::block("action").text)),
        ("documented-migration.yml", job_with_steps(&crate::docs::block("migrated").text)),
    ] {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    paths
}

/// Returns a workflow with the steps of a job from the book.
fn job_with_steps(steps: &str) -> String {
    let steps = steps.replace("/cargo-multiarch@COMMIT", &format!("/cargo-multiarch@{}", "0".repeat(40)));
    format!(
        "name: job\non: pull_request\npermissions: {{}}\njobs:\n  job:\n    runs-on: ubuntu-24.04\n    permissions:\n      \
         contents: read\n    steps:\n{steps}"
    )
}

#[test]
#[ignore = "run by scripts/test"]
fn init_ci_workflows_pass_actionlint() {
    let with = "          command: build\n          args: --platform linux/arm64\n";
    let repository = Project::empty()
        .file("wrong.yml", "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n")
        .file("action.yml", &crate::ci::workflow_with_action(with));
    let output = Command::new("node")
        .args(["--input-type=module", "--eval", LINT, "--"])
        .arg(cache_dir().join("actionlint"))
        .args(write_workflows(repository.path()))
        .args(crate::ci::own_workflows::paths())
        .args(["action.yml", "wrong.yml"].map(|name| repository.path().join(name)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(found.contains("\"steps\" section is missing"), "actionlint did not report a job without steps: {found}");
    assert_eq!(found.lines().count(), 1, "{found}");
}

/// Runs zizmor on files or directories, and returns its exit code and findings.
fn zizmor(paths: &[PathBuf]) -> (Option<i32>, String) {
    let output = Command::new(cache_dir().join("bin/zizmor"))
        .args(["--offline", "--no-config", "--quiet", "--color=never"])
        .args(paths)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
#[ignore = "run by scripts/test"]
fn init_ci_workflows_pass_zizmor() {
    // zizmor requires this path for workflows.
    let wrong = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: actions/checkout@v5\n";
    let repository = Project::empty().file(".github/workflows/wrong.yml", wrong);
    let (code, found) = zizmor(&[repository.path().join(".github/workflows/wrong.yml")]);
    assert!(found.contains("error[unpinned-uses]"), "zizmor did not report an action without a commit: {found}");
    assert_ne!(code, Some(0), "{found}");

    let mut paths = write_workflows(&repository.path().join(".github/workflows"));
    paths.push(crate::docs::root().join("action.yml"));
    paths.extend(crate::ci::own_workflows::paths());
    let (code, found) = zizmor(&paths);
    assert_eq!(code, Some(0), "{found}");
}
