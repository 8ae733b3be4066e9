//! Records the output in docs/tags.md.

use super::check_output;
use crate::support::{FakeRegistry, Finished, Project, ready_made};

const ARGS: [&str; 3] = ["publish", "--registry", "ghcr.io/you"];

/// Publishes to a fake registry that appears as ghcr.io in the output.
fn publish(project: &Project, registry: &FakeRegistry, code: i32) -> Finished {
    let host = registry.host.replace("127.0.0.1", "0.0.0.0");
    let args = ARGS.map(|arg| arg.replace("ghcr.io", &host));
    let run = project.run(&args.each_ref().map(String::as_str)).path_only(&ready_made::tools());
    let run = run.env("XDG_CACHE_HOME", project.path().join("cache")).env("MULTIARCH_ENGINE", "embedded");
    let mut finished = run.env("MULTIARCH_INSECURE_REGISTRIES", &host).fails(code).finish();
    finished.stderr = finished.stderr.replace(&host, "ghcr.io");
    finished
}

fn committed(version: &str) -> Project {
    let project = Project::empty()
        .file("Cargo.toml", &format!("[package]\nname = \"app\"\nversion = \"{version}\"\nedition = \"2021\"\n"))
        .file("Cargo.lock", &format!("version = 4\n\n[[package]]\nname = \"app\"\nversion = \"{version}\"\n"))
        .file("src/main.rs", "fn main() {}\n")
        .file(".gitignore", "/target\n/cache\n");
    project.committed()
}

/// Returns the lines of stderr that a filter selects, after an ellipsis.
fn excerpt(finished: &Finished, is_shown: impl Fn(&str) -> bool) -> String {
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| is_shown(line)).collect();
    format!("$ cargo multiarch {}\n…\n{}\n", ARGS.join(" "), lines.join("\n"))
}

#[test]
fn output_of_a_published_version() {
    let registry = FakeRegistry::storing();
    let project = committed("1.2.3");
    publish(&project, &registry, 0);
    project.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    let finished = publish(&project, &registry, 7);
    check_output("tags-published", &excerpt(&finished, |line| line.starts_with("error") || line.starts_with(" hint")));
}

#[test]
fn output_of_a_lower_version() {
    let registry = FakeRegistry::storing();
    publish(&committed("2.0.0"), &registry, 0);
    let finished = publish(&committed("1.2.1"), &registry, 0);
    let is_shown =
        |line: &str| line.starts_with("note: not moving") || line.contains("Tagged") || line.contains("Published");
    check_output("tags-lower", &excerpt(&finished, is_shown));
}

#[test]
fn output_of_a_git_tag_with_another_version() {
    let project = committed("1.2.3");
    project.git(&["tag", "v1.2.4"]);
    let finished = publish(&project, &FakeRegistry::storing(), 3);
    check_output("tags-git", &format!("$ cargo multiarch {}\n{}", ARGS.join(" "), finished.stderr));
}
