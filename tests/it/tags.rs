//! Tags that `publish` creates, moves and leaves alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::ready_made;
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Project, Run};

/// Creates a committed project whose configuration is not under version control.
fn project() -> Project {
    Project::app().file(".gitignore", "/target\n/cache\n/multiarch.toml\n").committed()
}

/// Creates another commit, which may have another version.
pub fn commit(project: Project, version: &str) -> Project {
    let manifest = format!("[package]\nname = \"app\"\nversion = \"{version}\"\nedition = \"2021\"\n");
    let lock = format!("version = 4\n\n[[package]]\nname = \"app\"\nversion = \"{version}\"\n");
    let project = project.file("Cargo.toml", &manifest).file("Cargo.lock", &lock);
    project.git(&["commit", "-q", "-a", "-m", "next", "--allow-empty"]);
    project
}

/// Returns the address of a registry that does not count as a loopback address.
fn remote(registry: &FakeRegistry) -> String {
    registry.host.replace("127.0.0.1", "0.0.0.0")
}

fn publish(project: &Project, host: &str, args: &[&str]) -> Run {
    let all = ["publish", "--engine", "embedded", "--platform", "linux/amd64", "--registry", host];
    let run = project.run(&[&all, &["--insecure-registry", host][..], args].concat()).path_only(&ready_made::tools());
    run.env("XDG_CACHE_HOME", project.path().join("cache"))
}

/// Returns the digest that a tag of `app` points to.
fn digest(registry: &FakeRegistry, tag: &str) -> String {
    crate::support::fake_registry::digest(&registry.stored_manifest("app", tag).unwrap().1)
}

#[test]
fn version_tag_stays_at_the_image_of_another_commit() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let project = project();
    publish(&project, &host, &[]).finish();
    let first = digest(&registry, "1.2.3");
    let project = commit(project, "1.2.3");
    let finished = publish(&project, &host, &[]).fails(7).finish();
    assert!(!finished.stderr.contains("Compiling"), "{finished}");
    snapshot!(finished);
    assert_eq!([digest(&registry, "1.2.3"), digest(&registry, "latest")], [first.clone(), first.clone()]);

    let doctor = || {
        let run = project.run(&["doctor", "--engine", "embedded", "--registry", &host, "--insecure-registry", &host]);
        run.path_only(&ready_made::tools())
    };
    let warned = doctor().finish();
    assert!(warned.stdout.contains("warning"), "{warned}");
    assert!(warned.stdout.contains("app:1.2.3 is already published from another commit"), "{warned}");
    let allowed = doctor().env("MULTIARCH_ALLOW_OVERWRITE", "1").finish();
    assert!(!allowed.stdout.contains("already published"), "{allowed}");

    // The hints also suggest other tags and a new version.
    publish(&project, &host, &["--tag", "edge,{{git.short}}"]).finish();
    publish(&commit(project, "1.2.4"), &host, &[]).finish();
    assert_eq!(digest(&registry, "1.2.3"), first);
    assert_eq!(digest(&registry, "latest"), digest(&registry, "1.2.4"));
}

#[test]
fn version_tag_moves_if_that_is_allowed() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let mut project = project();
    publish(&project, &host, &[]).finish();
    for (args, variable) in [(&["--allow-overwrite"][..], ""), (&[], "1")] {
        let published = digest(&registry, "1.2.3");
        project = commit(project, "1.2.3");
        let run = publish(&project, &host, args).env("MULTIARCH_ALLOW_OVERWRITE", variable);
        run.finish().stderr_has(&["      Tagged ", "app: 1.2.3 (was sha256:", "), latest (was sha256:"]);
        assert_ne!(digest(&registry, "1.2.3"), published);
    }
    project = commit(project, "1.2.3");
    publish(&project, &host, &[]).env("MULTIARCH_ALLOW_OVERWRITE", "false").fails(7).finish();
}

#[test]
fn tags_without_protection_move() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let second = |project: Project| commit(project, "1.2.3").file("src/main.rs", "fn main() {}\n");
    for (config, host, dirty, tag) in [
        ("", &registry.host, false, "1.2.3"),
        ("immutable-tags = []", &host, false, "1.2.3"),
        ("", &host, true, "1.2.3-dirty"),
    ] {
        let project = project().file("multiarch.toml", config);
        let project = if dirty { project.file("untracked", "") } else { project };
        publish(&project, host, &[]).finish();
        let published = digest(&registry, tag);
        let project = if dirty { second(project) } else { commit(project, "1.2.3") };
        publish(&project, host, &[]).finish();
        assert_ne!(digest(&registry, tag), published, "{config} {host} {tag}");
    }
}

#[test]
fn all_immutable_tags_are_checked_in_one_round() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let config =
        "immutable-tags = ['{{version}}', 'stable']\n[images.one]\nbins = ['app']\n[images.two]\nbins = ['app']\n";
    let project = project().file("multiarch.toml", config);
    publish(&project, &host, &["--tag", "v{{version}},stable,latest"]).finish();
    let project = commit(project, "1.2.4");
    let finished = publish(&project, &host, &["--tag", "v{{version}},stable,latest"]).fails(7).finish();
    snapshot!(finished);
    assert_eq!(registry.tags("one"), ["latest", "stable", "v1.2.3"]);
}

#[test]
fn different_image_without_a_revision_is_found_before_tags_move() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let project = Project::app();
    publish(&project, &host, &[]).finish();
    let first = digest(&registry, "1.2.3");
    let project = project.file("multiarch.toml", "env = { MODE = 'other' }\n");
    let finished = publish(&project, &host, &[]).fails(7).finish();
    snapshot!(finished);
    assert_eq!([digest(&registry, "1.2.3"), digest(&registry, "latest")], [first.clone(), first]);
}

#[test]
fn same_image_can_be_published_again() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let project = project();
    publish(&project, &host, &[]).finish();
    let first = digest(&registry, "1.2.3");
    publish(&project, &host, &[]).finish();
    // Annotations on the index do not change the platforms' manifests.
    let config = "annotations = { 'index:org.example.build' = '2' }";
    let project = project.file("multiarch.toml", config);
    let finished = publish(&project, &host, &["--message-format", "json"]).finish();
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let moved = report["images"][0]["moved"].as_array().unwrap();
    let changes: Vec<&str> = moved.iter().map(|tag| tag["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["unchanged", "moved"], "{report:#}");
    assert_eq!(digest(&registry, "1.2.3"), first);
    assert_ne!(digest(&registry, "latest"), first);
    let again = publish(&project, &host, &[]).finish().stdout;
    assert!(again.starts_with(&format!("{host}/app:latest@")), "1.2.3 has another digest: {again}");
    // Without a tag that points to the new index, the reference is that of the published image.
    let only_version = publish(&project, &host, &["--tag", "1.2.3"]).finish().stdout;
    assert_eq!(only_version, format!("{host}/app:1.2.3@{first}\n"));
}

#[test]
fn rolling_tags_stay_at_the_highest_version() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let config = "tags = ['{{version}}', '{{major}}', 'latest']";
    let project = commit(project().file("multiarch.toml", config), "2.0.0");
    publish(&project, &host, &[]).finish();
    let newest = digest(&registry, "latest");
    let project = commit(project, "1.2.1");
    let finished = publish(&project, &host, &["--report", "target/report.json"]).finish();
    assert_eq!([digest(&registry, "latest"), digest(&registry, "2")], [newest.clone(), newest.clone()]);
    assert_eq!(digest(&registry, "1"), digest(&registry, "1.2.1"));
    let report = std::fs::read(project.path().join("target/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let moved = report["images"][0]["moved"].as_array().unwrap();
    let changes: Vec<&str> = moved.iter().map(|tag| tag["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["created", "created", "kept"], "{report:#}");
    assert_eq!((&moved[2]["from"], &moved[2]["to"]), (&Value::from(newest.as_str()), &Value::from(newest.as_str())));
    snapshot!(finished);

    // A reference does not contain a tag that points to another image.
    let only_latest = publish(&project, &host, &["--tag", "latest"]).finish().stdout;
    assert!(only_latest.starts_with(&format!("{host}/app@sha256:")), "{only_latest}");
    publish(&project, &host, &["--allow-downgrade"]).finish().stderr_has(&["app: latest (was "]);
    assert_eq!(digest(&registry, "latest"), digest(&registry, "1.2.1"));
}

#[test]
fn platforms_that_a_tag_loses_are_reported_with_and_without_an_index() {
    const AMD64: &str = "--platform=linux/amd64";
    const ARM64: &str = "--platform=linux/arm64";
    let warning = |before: &[&str], after: &[&str], indexes: [bool; 2]| {
        let registry = FakeRegistry::storing();
        let project = Project::app().file(".gitignore", "/target\n/multiarch.toml\n").committed();
        let publish = |project: &Project, platforms: &[&str]| {
            let args = ["publish", "--engine", "embedded", "--registry", &registry.host, "--tag", "edge"];
            project.run(&[&args[..], platforms].concat()).path_only(&ready_made::tools()).finish()
        };
        let project = project.file("multiarch.toml", &format!("index = {}", indexes[0]));
        publish(&project, before);
        let project = project.file("multiarch.toml", &format!("index = {}", indexes[1]));
        let stderr = publish(&project, after).stderr;
        stderr.split_once("will no longer include ").map(|(_, lost)| lost.lines().next().unwrap().to_owned())
    };
    assert_eq!(warning(&[AMD64], &[ARM64], [false, false]).as_deref(), Some("linux/amd64"));
    assert_eq!(warning(&[AMD64], &[AMD64], [false, true]), None);
    assert_eq!(warning(&[AMD64], &[ARM64], [false, true]).as_deref(), Some("linux/amd64"));
    assert_eq!(warning(&[AMD64, ARM64], &[AMD64], [true, false]).as_deref(), Some("linux/arm64"));
}

#[test]
fn tags_are_restored_if_one_cannot_be_moved() {
    let seen = [(&["latest"][..], true), (&["latest", "stable"], false)].map(|(rejected, is_restored)| {
        let is_broken = Arc::new(AtomicBool::new(false));
        let stable_puts = AtomicUsize::new(0);
        let broken = is_broken.clone();
        let registry = FakeRegistry::storing_with(move |request, _| {
            let tag = request.path.strip_prefix("/v2/app/manifests/").filter(|_| request.method == "PUT")?;
            let is_rejected = broken.load(Ordering::SeqCst)
                && rejected.contains(&tag)
                // The tag `stable` can be moved, but not moved back.
                && (tag != "stable" || stable_puts.fetch_add(1, Ordering::SeqCst) > 0);
            is_rejected.then(|| (403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec()))
        });
        let host = remote(&registry);
        let config = "tags = ['{{version}}', 'stable', 'latest']";
        let project = project().file("multiarch.toml", config);
        publish(&project, &host, &[]).finish();
        let [first, latest] = ["stable", "latest"].map(|tag| digest(&registry, tag));
        is_broken.store(true, Ordering::SeqCst);
        let finished = publish(&commit(project, "1.2.4"), &host, &[]).fails(7).finish();
        assert_eq!(digest(&registry, "latest"), latest);
        assert_eq!(digest(&registry, "stable") == first, is_restored, "{finished}");
        assert_eq!(digest(&registry, "1.2.3"), first);
        finished
    });
    snapshot!(seen);
}

#[test]
fn other_packages_can_be_published_if_one_version_is_taken() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let package = |name: &str, version: &str| format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n");
    let lock = |api: &str| {
        format!(
            "version = 4\n\n[[package]]\nname = \"api\"\nversion = \"{api}\"\n\n[[package]]\nname = \"web\"\nversion = \
             \"1.0.0\"\n"
        )
    };
    let project = Project::empty()
        .file(".gitignore", "/target\n/cache\n")
        .file("Cargo.toml", "[workspace]\nmembers = ['api', 'web']\nresolver = '2'\n")
        .file("Cargo.lock", &lock("1.0.0"))
        .file("api/Cargo.toml", &package("api", "1.0.0"))
        .file("api/src/main.rs", "fn main() {}\n")
        .file("web/Cargo.toml", &package("web", "1.0.0"))
        .file("web/src/main.rs", "fn main() {}\n")
        .committed();
    publish(&project, &host, &[]).finish();
    let project = project.file("api/Cargo.toml", &package("api", "1.0.1")).file("Cargo.lock", &lock("1.0.1"));
    project.git(&["commit", "-q", "-a", "-m", "next"]);
    project.git(&["tag", "api-v1.0.1"]);
    snapshot!(publish(&project, &host, &[]).fails(7).finish());
    publish(&project, &host, &["-p", "api"]).finish();
    assert_eq!(registry.tags("api"), ["1.0.0", "1.0.1", "latest"]);
}

#[test]
fn uncommitted_changes_are_not_reported_as_another_commit() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let project = project();
    publish(&project, &host, &[]).finish();
    let project = project.file("untracked", "");
    snapshot!(publish(&project, &host, &["--tag", "1.2.3"]).fails(7).finish());
}

#[test]
fn existing_manifest_in_an_unknown_format_is_another_image() {
    let registry = FakeRegistry::storing();
    let host = remote(&registry);
    let schema1 = br#"{"schemaVersion":1,"name":"app","tag":"latest","fsLayers":[],"history":[]}"#;
    registry.manifest("app", "latest", "application/vnd.docker.distribution.manifest.v1+json", schema1);
    publish(&project(), &host, &[]).finish().stderr_has(&["app: 1.2.3, latest (was "]);
    assert_eq!(digest(&registry, "latest"), digest(&registry, "1.2.3"));
}

#[test]
fn tags_may_name_their_repository() {
    let registry = FakeRegistry::storing();
    let project = project();
    let tag = |name: &str| format!("{}/team/app:{name}", registry.host);
    let args = ["publish", "--engine", "embedded", "--platform", "linux/amd64", "--tag", &tag("{{version}}")];
    let run = project.run(&[&args[..], &["--tag", &tag("edge"), "--label", "org.example.a=b, c"]].concat());
    run.path_only(&ready_made::tools()).env("XDG_CACHE_HOME", project.path().join("cache")).finish();
    assert_eq!(registry.tags("team/app"), ["1.2.3", "edge"]);
}

#[test]
fn contradictory_tags_with_repositories_are_rejected() {
    let project =
        Project::with_config("registry = 'r.example'\n[images.app]\nbins = ['app']\n[images.cli]\nbins = ['app']");
    let plan = |args: &[&str]| project.run(&[&["plan", "--offline"], args].concat()).fails(3).finish();
    snapshot!(
        plan(&["--tag", "ghcr.io/you/app:1.2.3,latest"]),
        plan(&["--tag", "ghcr.io/you/app:1.2.3", "--registry", "ghcr.io/you"]),
        plan(&["--tag", "ghcr.io/you/app:1.2.3"]),
        plan(&["--tag", "ghcr.io/you/app:1.2.3,ghcr.io/you/cli:1.2.3,ghcr.io/you/other:1.2.3"]),
        plan(&["--tag", "ghcr.io/you/app:1.2.3,docker.io/you/app:latest,ghcr.io/you/cli:1.2.3"]),
        project.run(&["plan", "--label", "a"]).fails(2).finish(),
    );
}
