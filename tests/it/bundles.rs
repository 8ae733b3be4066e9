//! Errors for bundles that do not match the plan.

use std::path::Path;

use serde_json::Value;

use crate::support::ready_made;
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, Project, Run};

pub const PLATFORMS: &str = "linux/amd64,linux/arm64";

pub fn project() -> Project {
    Project::app().file(".gitignore", "/target\n/cache\n").committed()
}

pub fn compile(project: &Project, platform: &str, out: &str) {
    project.run(&["compile", "--platform", platform, "--out", out]).finish();
}

/// Prepares a run of `publish` with a rustc that always fails.
pub fn publish(project: &Project, registry: &FakeRegistry, args: &[&str]) -> Run {
    let no_compiler = Fakes::new().program("rustc", "echo 'rustc must not run' >&2; exit 1");
    let first = ["publish", "--engine", "embedded", "--registry", &registry.host];
    project.run(&[&first, args].concat()).path_first(&no_compiler)
}

pub fn manifest(bundle: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(bundle.join("multiarch-bundle.json")).unwrap()).unwrap()
}

fn change(bundle: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = manifest(bundle);
    change(&mut value);
    std::fs::write(bundle.join("multiarch-bundle.json"), value.to_string()).unwrap();
}

#[test]
fn bundles_of_other_builds_are_rejected() {
    let project = Project::with_config("auditable = false").file(".gitignore", "/target\n/cache\n").committed();
    let compile = ["compile", "--platform", "linux/amd64", "--out", "dist/one"];
    project.run(&compile).path_only(&ready_made::tools()).finish();
    let one = project.path().join("dist/one");
    let good = manifest(&one);
    let refused = |args: &[&str], code: i32| {
        let registry = FakeRegistry::storing();
        let all = [&["--artifacts", "dist"], args].concat();
        let finished = publish(&project, &registry, &all).fails(code).finish();
        registry.assert_nothing_stored();
        finished
    };
    let amd64 = ["--platform", "linux/amd64"];
    let others = [
        refused(&["--platform", PLATFORMS], 3),
        refused(&["--platform", "linux/arm64"], 3),
        refused(&[&amd64[..], &["--profile", "dev"]].concat(), 3),
    ];
    let mut elsewhere = good["builds"].clone();
    elsewhere[0]["binaries"][0]["file"] = "../../src/main.rs".into();
    let manifests = [
        ("version", Value::from(99)),
        ("revision", Value::from("0123")),
        ("cargo_lock", Value::from("0123")),
        ("builds", Value::from("none")),
        ("builds", elsewhere),
    ]
    .map(|(field, value)| {
        change(&one, |manifest| manifest[field] = value);
        let finished = refused(&amd64, 3);
        change(&one, |manifest| *manifest = good.clone());
        finished
    });
    let copied =
        std::process::Command::new("cp").args(["-r", "one", "two"]).current_dir(one.parent().unwrap()).status();
    assert!(copied.unwrap().success());
    let twice = refused(&amd64, 3);
    std::fs::remove_dir_all(project.path().join("dist/two")).unwrap();

    let file = one.join(good["builds"][0]["binaries"][0]["file"].as_str().unwrap());
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let changed = refused(&amd64, 8);
    std::fs::remove_file(&file).unwrap();
    snapshot!(others, manifests, twice, changed, refused(&amd64, 8));
}

#[test]
fn invalid_bundle_directories_are_rejected() {
    let project = Project::app().file("full/something", "x");
    let registry = FakeRegistry::storing();
    snapshot!(
        project.run(&["compile", "--out", "full"]).fails(3).finish(),
        project.run(&["compile", "--out", "Cargo.toml"]).fails(3).finish(),
        publish(&project, &registry, &["--artifacts", "none"]).fails(3).finish(),
    );
}
