//! Checks this project's own workflows, and runs the jobs of a release with fakes for cargo and GitHub.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::expressions::expanded;
use super::runner::{Event, Forge, JobResult, Runner};
use crate::docs::root;
use crate::release::{Release, repository};
use crate::support::Fakes;

/// Returns the paths of the workflows.
pub fn paths() -> Vec<PathBuf> {
    ["ci", "release"].map(|name| root().join(format!(".github/workflows/{name}.yml"))).into()
}

fn workflow(name: &str) -> Value {
    let path = root().join(format!(".github/workflows/{name}.yml"));
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

#[test]
fn own_workflows_limit_permissions_and_time() {
    for name in ["ci", "release"] {
        let workflow = workflow(name);
        assert_eq!(workflow["permissions"], json!({}), "{name}");
        assert!(workflow["concurrency"]["group"].is_string(), "{name}");
        for (job, steps) in jobs(&workflow) {
            assert!(steps["permissions"].is_object(), "{name}: {job} has no permissions");
            // A job that calls a workflow cannot have a time limit.
            assert!(
                steps["timeout-minutes"].is_number() || steps["uses"].is_string(),
                "{name}: {job} has no time limit"
            );
        }
    }
}

#[test]
fn the_last_ci_job_fails_unless_all_others_succeeded() {
    let workflow = workflow("ci");
    let passed = &workflow["jobs"]["passed"];
    let needed: BTreeSet<&str> =
        passed["needs"].as_array().unwrap().iter().map(|need| need.as_str().unwrap()).collect();
    let others: BTreeSet<&str> =
        jobs(&workflow).map(|(name, _)| name.as_str()).filter(|name| *name != "passed").collect();
    assert_eq!(needed, others);
    assert_eq!(passed["if"], "${{ always() }}", "the job must also run if another one failed");
    let step = &passed["steps"][0];
    for (results, expected) in [
        (&["success", "success"][..], true),
        (&["success", "failure"], false),
        (&["skipped", "success"], false),
        (&["success", "cancelled"], false),
        (&[], false),
    ] {
        let needs = results.iter().enumerate().map(|(n, result)| (n.to_string(), json!({ "result": result })));
        let scope = json!({ "needs": needs.collect::<serde_json::Map<_, _>>() });
        let mut bash = Command::new("bash");
        bash.args(["-e", "-o", "pipefail", "-c", step["run"].as_str().unwrap()]).envs(expanded(&step["env"], &scope));
        assert_eq!(bash.output().unwrap().status.success(), expected, "{results:?}");
    }
}

/// Runs the release workflow for the tag v1.2.3 of `repository`.
fn release(release: &Release, gh: &str) -> (Vec<JobResult>, Fakes) {
    let forge =
        Forge { repository: &release.project, owner: "You", registry: "ghcr.io", user: "me", password: "token" };
    let gh = format!("echo \"$*\" >> \"$0.log\"\n{gh}");
    let runner = Runner::with_programs(forge, Event::Tag, release.cargo().program("gh", &gh));
    let jobs = runner.run(&workflow("release"));
    (jobs, runner.into_programs())
}

/// Keeps the files of the release beside the program.
const GH: &str = r#"case "$1 $2" in
  "release create") for arg; do [ ! -f "$arg" ] || cp "$arg" "$(dirname "$0")"; done ;;
  "api --paginate") printf 'refs/tags/v1.2.2\nrefs/tags/v1.2.3\nrefs/tags/v1.3.0-rc.1\n' ;;
  "api repos/You/cargo-multiarch/git/ref/tags/v1") exit 1 ;;
esac"#;

#[test]
fn release_workflow_publishes_everything() {
    let repository = repository("You", "1.2.3");
    let (jobs, programs) = release(&repository, GH);
    for job in &jobs {
        assert_eq!(job.code, 0, "{job:#?}");
    }
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["check", "ci", "linux", "macos", "macos", "image", "crate", "release"]);
    let published = programs.log("cargo-multiarch");
    assert!(published.contains("publish --registry ghcr.io/you --artifacts "), "{published}");
    assert!(published.contains("verify ghcr.io/you/cargo-multiarch:1.2.3@sha256:"), "{published}");
    assert!(programs.log("cargo").contains("publish --locked with token-of-the-registry"), "{}", programs.log("cargo"));

    let calls = programs.log("gh");
    let created = calls.lines().find(|line| line.starts_with("release create ")).unwrap();
    assert!(created.starts_with("release create v1.2.3 --draft --verify-tag --title v1.2.3 "), "{created}");
    assert!(!created.contains("--prerelease"), "{created}");
    assert_eq!(created.matches(".tar.gz").count(), 6, "{created}");
    let head = repository.head();
    let expected = format!(
        "release edit v1.2.3 --draft=false\n\
         api --paginate --jq .[].ref repos/You/cargo-multiarch/git/matching-refs/tags/v1.\n\
         api repos/You/cargo-multiarch/git/ref/tags/v1\n\
         api --silent --method POST repos/You/cargo-multiarch/git/refs -f ref=refs/tags/v1 -f sha={head}\n"
    );
    assert!(calls.ends_with(&expected), "{calls}");
    let notes = read(&programs, "notes.md");
    for part in ["- A change.\n", "gh attestation verify FILE --repo You/cargo-multiarch\n", "- [x] clean work tree\n"]
    {
        assert!(notes.contains(part), "no '{part}' in {notes}");
    }
    let status =
        Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(programs.path()).status();
    assert!(status.unwrap().success());
    assert_eq!(read(&programs, "SHA256SUMS").lines().count(), 8);
}

fn read(programs: &Fakes, name: &str) -> String {
    std::fs::read_to_string(programs.path().join(name)).unwrap()
}

#[test]
fn release_workflow_stops_before_compiling_if_the_tag_is_wrong() {
    let (jobs, programs) = release(&repository("You", "1.2.4"), "exit 1");
    assert_eq!(jobs.len(), 1, "{jobs:#?}");
    assert_ne!(jobs[0].code, 0);
    assert_eq!(programs.log("cargo"), "");
}

/// Runs scripts/release-publish for a tag, and returns the calls of gh.
fn published(tag: &str, gh: &str) -> String {
    let repository = repository("You", "1.2.3");
    let files = tempfile::tempdir().unwrap();
    let programs = Fakes::new().program("gh", &format!("echo \"$*\" >> \"$0.log\"\n{gh}"));
    let output = Command::new("bash")
        .arg(repository.script("release-publish"))
        .args([Path::new(tag), files.path()])
        .env("PATH", format!("{}:/usr/bin:/bin", programs.path().display()))
        .env("GITHUB_REPOSITORY", "You/cargo-multiarch")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    programs.log("gh")
}

#[test]
fn releases_move_the_tag_of_the_action_only_forward() {
    for (tag, others, moved) in [
        ("v1.2.3", "v1.2.2 v1.2.3", true),
        ("v1.10.0", "v1.9.0 v1.10.0", true),
        ("v1.2.3", "v1.2.3 v1.3.0", false),
        ("v1.3.0-rc.1", "v1.2.3 v1.3.0-rc.1", false),
    ] {
        let gh = format!("case $2 in --paginate) for tag in {others}; do echo refs/tags/$tag; done ;; esac");
        let calls = published(tag, &gh);
        assert_eq!(calls.contains("--method PATCH"), moved, "{tag}: {calls}");
        assert_eq!(calls.contains("--prerelease"), tag.contains('-'), "{calls}");
    }
}
