//! Tests with a real Docker Engine and buildx, real registries, QEMU, terminals, shells, and browsers.
//! `scripts/with-services` starts the services.

mod bases;
mod buildx;
mod buildx_builders;
mod capabilities;
mod ci_jobs;
mod completions;
mod corpus;
mod cross;
mod docs;
mod doctor;
mod engine_equality;
mod examples;
mod full_disk;
mod init;
mod interop;
mod man;
mod plain_manifests;
mod publish;
mod publish_failures;
mod registry;
mod registry_tls;
mod release;
mod reports;
mod smoke_runs;
mod sysroot;
mod tags;
mod terminal;
mod third_party;
mod verify;

use std::process::{Command, Stdio};

/// Returns the address of the test registry that accepts every push.
fn open_registry() -> String {
    crate::support::service("MULTIARCH_TEST_REGISTRY")
}

/// Runs a program and returns its trimmed stdout. Panics with its stderr if it fails.
#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs an image in Docker and returns its output. Programs for foreign platforms run under QEMU.
#[track_caller]
fn docker_run(platform: &str, reference: &str, args: &[&str]) -> String {
    let first = ["run", "--rm", "--network", "none", "--pull", "always", "--quiet", "--platform", platform, reference];
    run("docker", &[&first, args].concat())
}

/// Returns the only line of stdout, which must be a reference such as `repository:tag@sha256:…`.
#[track_caller]
fn reference(stdout: &str) -> String {
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 1, "{stdout}");
    assert!(lines[0].contains("@sha256:"), "{stdout}");
    lines[0].to_owned()
}

/// Pushes a base image with a shell to the test registry and returns its reference. The reference points to a plain
/// manifest if there is only one platform, and to an index otherwise.
fn base_image(name: &str, platforms: &[&str]) -> String {
    let base = format!("{}/{name}", open_registry());
    run(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/base-image"), &[&[base.as_str()], platforms].concat());
    base
}

/// Extends a base image with Dockerfile lines, pushes the result to the test registry, and returns its reference.
fn derived_image(name: &str, base: &str, lines: &str, platforms: &[&str]) -> String {
    let derived = format!("{}/{name}", open_registry());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), format!("FROM {base}\n{lines}\n")).unwrap();
    let build = ["buildx", "build", "--provenance=false", "--push", "--tag", &derived, "--platform"];
    run("docker", &[&build[..], &[&platforms.join(","), dir.path().to_str().unwrap()]].concat());
    derived
}
