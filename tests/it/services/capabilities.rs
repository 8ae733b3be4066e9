//! Checks that programs have their capabilities in containers.

use std::process::Command;

use super::{docker_run, open_registry, reference, run};
use crate::support::Project;

/// Prints the line of `/proc/self/status` with the effective capabilities.
const MAIN: &str = r#"fn main() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("CapEff")).unwrap());
}"#;

#[test]
#[ignore = "run by scripts/test"]
fn program_has_its_capabilities_unless_the_container_drops_them() {
    let config = "platforms = ['linux/amd64']\ncapabilities = { app = ['net_bind_service'] }";
    let project = Project::with_config(config).file("src/main.rs", MAIN);
    let registry = format!("{}/capabilities", open_registry());
    let published = project.run(&["publish", "--registry", &registry]).finish().stderr_has(&["MA044"]);
    let image = reference(&published.stdout);
    let net_bind_service = "CapEff:\t0000000000000400";
    assert_eq!(docker_run("linux/amd64", &image, &[]), net_bind_service);
    let dropped = Command::new("docker").args(["run", "--rm", "--cap-drop", "ALL", &image]).output().unwrap();
    let stderr = String::from_utf8_lossy(&dropped.stderr);
    assert!(!dropped.status.success() && stderr.contains("operation not permitted"), "{stderr}");
    let added = ["run", "--rm", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", &image];
    assert_eq!(run("docker", &added), net_bind_service);
}

/// Docker does not grant this capability by default, so the program would not start without `--cap-add`.
#[test]
#[ignore = "run by scripts/test"]
fn smoke_runs_grant_the_capabilities_of_the_program() {
    let config = "platforms = ['linux/amd64']\ncapabilities = { app = ['net_admin'] }\nsmoke = []";
    let project = Project::with_config(config).file("src/main.rs", MAIN);
    let registry = format!("{}/smoke-capabilities", open_registry());
    let published = project.run(&["publish", "--registry", &registry]).finish();
    published.stderr_has(&["for linux/amd64, in Docker: CapEff:\t0000000000001000"]);
}
