//! Runs the jobs of generated workflows, as a CI service would.

use serde_json::Value;

use crate::ci::jobs::{published, run, run_for, with_matrix};
use crate::ci::runner::{Event, Forge, Runner};
use crate::support::{FakeRegistry, Project};

/// The `Authorization` header for user `me` with password `token`.
const LOGIN: &str = "Basic bWU6dG9rZW4=";

/// Starts a registry that requires a login.
fn registry() -> FakeRegistry {
    FakeRegistry::storing_with(|request, _| match request.authorization.as_deref() {
        Some(LOGIN) => None,
        _ => Some((401, vec![("WWW-Authenticate", "Basic realm=\"here\"".to_owned())], Vec::new())),
    })
}

#[test]
#[ignore = "run by scripts/test"]
fn ci_jobs_publish_the_same_digest_on_every_service() {
    let repository = Project::app().file(".gitignore", "/target\n").committed();
    repository.git(&["tag", "v1.2.3"]);
    let mut digests = Vec::new();
    for ci in ["github", "gitlab", "forgejo"] {
        for native in [false, true] {
            let registry = registry();
            let forge = Forge {
                repository: &repository,
                owner: "Team",
                registry: &registry.host,
                user: "me",
                password: "token",
            };
            let (jobs, calls) = run(ci, native, forge);
            let (name, digest) = published(&jobs);
            let install = format!("install cargo-multiarch --version ={} --locked\n", env!("CARGO_PKG_VERSION"));
            let repo = "team/app";
            assert_eq!(name, format!("{}/{repo}:1.2.3", registry.host));
            assert_eq!(jobs.len(), if native { 3 } else { 1 }, "{jobs:#?}");
            assert_eq!(calls.matches(&install).count(), jobs.len(), "{calls}");
            assert_eq!(registry.tags(repo), ["1.2.3", "latest"]);
            let (_, index) = registry.stored_manifest(repo, "1.2.3").unwrap();
            let index: Value = serde_json::from_slice(&index).unwrap();
            let manifests = index["manifests"].as_array().unwrap().iter();
            let platforms = manifests.map(|manifest| manifest["platform"]["architecture"].as_str().unwrap());
            assert_eq!(platforms.collect::<Vec<_>>(), ["amd64", "arm64"]);
            let summary = &jobs.last().unwrap().summary;
            let expected = "## app 1.2.3\n";
            assert_eq!(summary.starts_with(expected), ci == "github", "{summary}");
            if native {
                let last = &jobs.last().unwrap().stderr;
                assert!(!last.contains("Compiling"), "{last}");
            }
            digests.push(digest.to_owned());
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

#[test]
#[ignore = "run by scripts/test"]
fn ci_jobs_of_pull_requests_build_without_publishing() {
    let repository = Project::app().file(".gitignore", "/target\n").committed();
    for (ci, native) in [("github", false), ("github", true), ("gitlab", false), ("gitlab", true), ("forgejo", true)] {
        let registry = registry();
        let forge =
            Forge { repository: &repository, owner: "Team", registry: &registry.host, user: "me", password: "token" };
        let (jobs, calls) = run_for(Event::PullRequest, ci, native, forge);
        for job in &jobs {
            assert_eq!(job.code, 0, "{job:#?}");
        }
        assert_eq!(jobs.len(), if native { 3 } else { 1 }, "{jobs:#?}");
        assert_eq!(jobs.last().unwrap().name, "build");
        assert!(calls.contains("multiarch build") && !calls.contains("publish"), "{calls}");
        assert!(jobs.last().unwrap().stderr.contains(", verified\n"), "{jobs:#?}");
        assert_eq!(registry.tags("team/app"), Vec::<String>::new());
    }
}

/// Uses a workspace in a subdirectory of the repository, whose images have different platforms.
#[test]
#[ignore = "run by scripts/test"]
fn ci_jobs_support_images_with_different_platforms() {
    let registry = registry();
    // Workflows leave out loopback registries, which 0.0.0.0 is not.
    let host = registry.host.replace("127.0.0.1", "0.0.0.0");
    let config = format!(
        "registry = '{host}/of-config'\ninsecure-registries = ['{host}']\nplatforms = ['linux/amd64', 'linux/arm64']\n[images.one]\nbins = ['app']\n\
         [images.two]\nbins = ['other']\nplatforms = ['linux/amd64']\n"
    );
    let manifest = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n";
    let repository = Project::empty()
        .file(".gitignore", "target\n")
        .file("my server/Cargo.toml", manifest)
        .file("my server/Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.3\"\n")
        .file("my server/src/main.rs", "fn main() { println!(\"app says hello\"); }\n")
        .file("my server/src/bin/other.rs", "fn main() {}\n")
        .file("my server/multiarch.toml", &config)
        .committed();
    let mut lines = Vec::new();
    for (ci, native) in [("github", false), ("github", true), ("gitlab", true), ("forgejo", true)] {
        let forge = Forge { repository: &repository, owner: "Team", registry: &host, user: "me", password: "token" };
        let (jobs, _) = run(ci, native, forge);
        for job in &jobs {
            assert_eq!(job.code, 0, "{job:#?}");
        }
        let stdout = jobs.last().unwrap().stdout.lines().filter(|line| line.contains("@sha256:"));
        lines.push(stdout.map(str::to_owned).collect::<Vec<_>>());
        for (repo, count) in [("of-config/one", 2), ("of-config/two", 1)] {
            let (_, index) = registry.stored_manifest(repo, "1.2.3").unwrap();
            let index: Value = serde_json::from_slice(&index).unwrap();
            assert_eq!(index["manifests"].as_array().unwrap().len(), count, "{repo}: {index}");
        }
    }
    assert_eq!(lines[0].len(), 2, "{lines:#?}");
    assert!(lines.iter().all(|other| *other == lines[0]), "{lines:#?}");
}

#[test]
#[ignore = "run by scripts/test"]
fn ci_jobs_can_compute_their_matrix() {
    let registry = registry();
    let repository = Project::app().file(".gitignore", "/target\n").committed();
    repository.git(&["tag", "v1.2.3"]);
    let forge =
        Forge { repository: &repository, owner: "Team", registry: &registry.host, user: "me", password: "token" };
    let workflow = with_matrix().replace("ghcr.io", &registry.host);
    let jobs = Runner::new(forge, Event::Tag).run(&serde_saphyr::from_str(&workflow).unwrap());
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["plan", "compile", "compile", "publish"], "{jobs:#?}");
    let (name, _) = published(&jobs);
    assert_eq!(name, format!("{}/you/app:1.2.3", registry.host));
    for (job, triple) in jobs[1..3].iter().zip(["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]) {
        assert!(job.stdout.starts_with(&format!("dist/{triple}-")), "{job:#?}");
    }
}
