//! Tests with a real Docker Engine and buildx, real registries, QEMU, terminals, shells and browsers.
//! `scripts/with-services` starts the services.

mod bases;
mod buildx;
mod buildx_builders;
mod ci_jobs;
mod completions;
mod corpus;
mod cross;
mod doctor;
mod engine_equality;
mod examples;
mod full_disk;
mod init;
mod interop;
mod man;
mod publish;
mod publish_failures;
mod readme;
mod registry;
mod registry_tls;
mod reports;
mod smoke_runs;
mod sysroot;
mod terminal;
mod third_party;
mod verify;

use std::process::{Command, Stdio};

/// The registry that takes every push.
fn open_registry() -> String {
    crate::support::service("MULTIARCH_TEST_REGISTRY")
}

/// Runs a program to the end; its stdout, trimmed. Panics with its words when it fails.
#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// `docker run` of a platform, under QEMU where it is foreign.
#[track_caller]
fn docker_run(platform: &str, reference: &str, args: &[&str]) -> String {
    let first = ["run", "--rm", "--network", "none", "--pull", "always", "--quiet", "--platform", platform, reference];
    run("docker", &[&first, args].concat())
}

/// The one line of stdout: `repository:tag@sha256:…`.
#[track_caller]
fn reference(stdout: &str) -> String {
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 1, "{stdout}");
    assert!(lines[0].contains("@sha256:"), "{stdout}");
    lines[0].to_owned()
}

/// A base with a shell in the test registry; with one platform it is a plain manifest, otherwise an index.
fn base_image(name: &str, platforms: &[&str]) -> String {
    let base = format!("{}/{name}", open_registry());
    run(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/base-image"), &[&[base.as_str()], platforms].concat());
    base
}

/// A base made of another by some lines of a Dockerfile, in the test registry.
fn derived_image(name: &str, base: &str, lines: &str, platforms: &[&str]) -> String {
    let derived = format!("{}/{name}", open_registry());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), format!("FROM {base}\n{lines}\n")).unwrap();
    let build = ["buildx", "build", "--provenance=false", "--push", "--tag", &derived, "--platform"];
    run("docker", &[&build[..], &[&platforms.join(","), folder.path().to_str().unwrap()]].concat());
    derived
}
