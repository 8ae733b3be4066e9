//! Compiled on one machine, published from another.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::ready_made;
use crate::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, Project, Run};

const PLATFORMS: &str = "linux/amd64,linux/arm64";

fn project() -> Project {
    Project::app().file(".gitignore", "/target\n/cache\n").committed()
}

fn compile(project: &Project, platform: &str, out: &str) {
    project.run(&["compile", "--platform", platform, "--out", out]).finish();
}

/// A publish that finds no compiler.
fn publish(project: &Project, registry: &FakeRegistry, args: &[&str]) -> Run {
    let none = Fakes::new().program("rustc", "echo 'no compiler here' >&2; exit 1");
    let first = ["publish", "--engine", "embedded", "--registry", &registry.host];
    project.run(&[&first, args].concat()).path_first(&none)
}

fn manifest(bundle: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(bundle.join("multiarch-bundle.json")).unwrap()).unwrap()
}

fn change(bundle: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = manifest(bundle);
    change(&mut value);
    std::fs::write(bundle.join("multiarch-bundle.json"), value.to_string()).unwrap();
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn bundles_give_the_digest_of_one_machine() {
    let project = project();
    let whole = FakeRegistry::storing();
    let args = ["publish", "--engine", "embedded", "--platform", PLATFORMS, "--registry", &whole.host];
    let digest = project.run(&args).finish().stdout.trim().rsplit_once('@').unwrap().1.to_owned();
    compile(&project, "linux/amd64", "dist/one");
    compile(&project, "linux/arm64", "dist/two");
    let dist = project.path().join("dist");
    let bundle = manifest(&dist.join("two"));
    assert_eq!(bundle["builds"][0]["platforms"][0], "linux/arm64");
    assert_eq!(bundle["builds"][0]["triple"], "aarch64-unknown-linux-musl");
    // CI's stores of files lose the mode.
    for name in ["one", "two"] {
        let file = manifest(&dist.join(name))["builds"][0]["binaries"][0]["file"].as_str().unwrap().to_owned();
        std::fs::set_permissions(dist.join(name).join(file), PermissionsExt::from_mode(0o644)).unwrap();
    }
    // and hidden files.
    std::fs::remove_file(dist.join("two/.gitignore")).unwrap();
    for artifacts in ["dist/one,dist/two", "dist/two,dist/one", "dist"] {
        let registry = FakeRegistry::storing();
        let finished = publish(&project, &registry, &["--artifacts", artifacts, "--platform", PLATFORMS]).finish();
        assert!(finished.stdout.trim().ends_with(&digest), "{artifacts}: {}", finished.stdout);
        finished.keeps_quiet_about("Compiling");
    }
    // An earlier bundle is replaced.
    compile(&project, "linux/arm64", "dist/one");
    assert_eq!(manifest(&dist.join("one"))["builds"].as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(dist.join("one")).unwrap().count(), 3, "a folder, the manifest and .gitignore");
}

#[test]
fn bundles_that_do_not_fit() {
    let project = Project::with_config("auditable = false").file(".gitignore", "/target\n/cache\n").committed();
    let compile = ["compile", "--platform", "linux/amd64", "--out", "dist/one"];
    project.run(&compile).path_only(&ready_made::tools()).finish();
    let one = project.path().join("dist/one");
    let good = manifest(&one);
    let refused = |args: &[&str], code: i32| {
        let registry = FakeRegistry::storing();
        let all = [&["--artifacts", "dist"], args].concat();
        let finished = publish(&project, &registry, &all).fails(code).finish();
        registry.is_untouched();
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
    .map(|(what, value)| {
        change(&one, |manifest| manifest[what] = value);
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
fn folders_of_bundles() {
    let project = Project::app().file("full/something", "x");
    let registry = FakeRegistry::storing();
    snapshot!(
        project.run(&["compile", "--out", "full"]).fails(3).finish(),
        project.run(&["compile", "--out", "Cargo.toml"]).fails(3).finish(),
        publish(&project, &registry, &["--artifacts", "none"]).fails(3).finish(),
    );
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn variables_are_compared_and_not_shown() {
    let config = "platforms = ['linux/amd64']\n[images.one]\nbins = ['app']\nbuild-env = { API_TOKEN = 'hunter2', WORD = 'plain' }\n\
        [images.two]\nbins = ['app']\nbuild-env = { API_TOKEN = 'hunter3', WORD = 'plain' }\n";
    let project = Project::app().file("multiarch.toml", config);
    project.run(&["compile", "--out", "dist"]).finish();
    let text = std::fs::read_to_string(project.path().join("dist/multiarch-bundle.json")).unwrap();
    assert!(!text.contains("hunter") && !text.contains("plain") && text.contains("API_TOKEN"), "{text}");
    let registry = FakeRegistry::storing();
    publish(&project, &registry, &["--artifacts", "dist"]).finish();
    let other = project.file("multiarch.toml", &config.replace("hunter3", "hunter4"));
    let finished = publish(&other, &registry, &["--artifacts", "dist"]).fails(3).finish();
    finished.keeps_quiet_about("hunter");
}
