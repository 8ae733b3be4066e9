//! Runs the GitHub action until an image is published.

use crate::ci::github_action::run;
use crate::support::{FakeRegistry, Project};

#[test]
#[ignore = "run by scripts/test"]
fn action_publish_sets_outputs_and_shows_the_checklist() {
    let registry = FakeRegistry::storing();
    let other = FakeRegistry::storing();
    let repository = Project::empty()
        .file(".gitignore", "target\n")
        .file("server/Cargo.toml", "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n")
        .file("server/Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.3\"\n")
        .file("server/src/main.rs", "fn main() {}\n")
        .committed();
    repository.git(&["tag", "v1.2.3"]);
    let with = format!(
        "          working-directory: server\n          args: >-\n            --registry {},{}\n            --platform linux/amd64\n",
        registry.host, other.host
    );
    let (job, _) = run(&repository, &registry.host, &with);
    assert_eq!(job.code, 0, "{job:#?}");
    let outputs = &job.outputs;
    let refs: Vec<&str> = outputs["refs"].as_str().unwrap().lines().collect();
    assert_eq!(refs.len(), 2, "one line per registry: {outputs:#}");
    let (name, digest) = refs[0].split_once('@').unwrap();
    assert_eq!(name, format!("{}/app:1.2.3", registry.host));
    let expected = [&registry, &other].map(|registry| format!("{}  {}/app", &digest["sha256:".len()..], registry.host));
    assert_eq!(outputs["digests"].as_str().unwrap().lines().collect::<Vec<_>>(), expected);
    assert_eq!(outputs["digest"], digest);
    assert!(
        job.stdout.contains(&format!("refs: {}\n", refs.join("\n"))),
        "the next step must receive the refs: {job:#?}"
    );
    assert!(job.stdout.lines().any(|line| line == refs[0]), "the log must show the refs: {job:#?}");
    assert!(outputs["report"].as_str().unwrap().ends_with("/report.json"), "{outputs:#}");
    assert!(job.summary.starts_with("## app 1.2.3\n"), "{}", job.summary);
    assert!(job.summary.contains("- [x] clean work tree"), "{}", job.summary);
}

#[test]
#[ignore = "run by scripts/test"]
fn action_does_not_push_if_push_is_false() {
    let registry = FakeRegistry::storing();
    let repository = Project::app().file(".gitignore", "/target\n").committed();
    let with = |push: &str| {
        format!(
            "          push: {push}\n          args: --platform linux/amd64\n          tags: |\n            {0}/app:1.2.3\n            {0}/app:edge\n",
            registry.host
        )
    };
    let (job, _) = run(&repository, &registry.host, &with("false"));
    assert_eq!(job.code, 0, "{job:#?}");
    assert_eq!(job.outputs["refs"], "");
    assert!(job.outputs["report"].as_str().unwrap().ends_with("/report.json"), "{:#}", job.outputs);
    assert_eq!(registry.tags("app"), Vec::<String>::new());

    let (job, _) = run(&repository, &registry.host, &with("true"));
    assert_eq!(job.code, 0, "{job:#?}");
    assert_eq!(registry.tags("app"), ["1.2.3", "edge"]);
    assert!(job.outputs["digest"].as_str().unwrap().starts_with("sha256:"), "{:#}", job.outputs);
}
