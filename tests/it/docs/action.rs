//! Checks that docs/ci.md lists the inputs and outputs of action.yml, and that actions and programs are pinned to the same
//! versions everywhere.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

use super::{block, pages, root};
use crate::support::Project;

#[test]
fn ci_page_lists_inputs_and_outputs_of_the_action() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let action: Value = serde_saphyr::from_str(&read("action.yml")).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let page = read("docs/ci.md");
    let table = page.split("| input | meaning | default |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().skip(1).map(|row| row.split('`').nth(1).unwrap().to_owned());
    let (inputs, outputs) = (keys(&action["inputs"]), keys(&action["outputs"]));
    assert_eq!(rows.collect::<BTreeSet<_>>(), inputs);
    for name in ["action", "migrated"] {
        let parsed: Vec<Value> = serde_saphyr::from_str(&block(name).text).unwrap();
        let with = &parsed.iter().find(|step| step["id"] == "multiarch").unwrap()["with"];
        assert!(keys(with).is_subset(&inputs), "{with}");
    }
    let steps = block("action").text;
    let used = steps.split("steps.multiarch.outputs.").nth(1).unwrap().split(' ').next().unwrap();
    assert!(outputs.contains(used), "{used}");
    for output in outputs {
        assert!(page.contains(&format!("`{output}`")), "docs/ci.md does not mention the output {output}");
    }
}

/// Returns the files that use actions: the templates of workflows, the book, action.yml and this project's workflows.
fn files_with_actions() -> Vec<(String, String)> {
    let mut files = pages();
    for path in [
        "action.yml",
        "templates/ci/github.yml",
        "templates/ci/forgejo.yml",
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
    ] {
        files.push((path.to_owned(), std::fs::read_to_string(root().join(path)).unwrap()));
    }
    files
}

/// All files use the same release of an action. This catches updates that miss a file.
#[test]
fn actions_are_pinned_to_the_same_commits() {
    let pinned = Regex::new(r"(?m)uses: (\S+)@(\S+)(?: # (v[0-9.]+))?$").unwrap();
    let mut commits: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (file, text) in files_with_actions() {
        for found in pinned.captures_iter(&text) {
            let (action, commit) = (found[1].to_owned(), found[2].to_owned());
            if action.ends_with("/cargo-multiarch") {
                continue;
            }
            let version = found.get(3).map(|version| version.as_str().to_owned());
            let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
            assert!(
                is_commit && version.is_some(),
                "{file}: {action} is not pinned by commit, with the version as comment"
            );
            let pin = (commit, version.unwrap());
            let first = commits.entry(action.clone()).or_insert_with(|| pin.clone());
            assert_eq!(*first, pin, "{file}: {action}");
        }
    }
    assert!(commits.len() > 8, "{commits:?}");
}

/// Workflows install the version of the program that the book describes, and action.yml the version of zig that
/// workflows install.
#[test]
fn installed_versions_are_current() {
    let install = Regex::new(r"cargo install cargo-multiarch --version (\S+)").unwrap();
    for (file, text) in pages() {
        for found in install.captures_iter(&text).filter(|found| !found[1].ends_with('`')) {
            assert_eq!(&found[1], concat!("=", env!("CARGO_PKG_VERSION")), "{file}");
        }
    }
    let download = Regex::new(r"(?:download/v|cargo-multiarch-v)(\d+\.\d+\.\d+)").unwrap();
    for (file, text) in pages() {
        for found in download.captures_iter(&text) {
            assert_eq!(&found[1], env!("CARGO_PKG_VERSION"), "{file}");
        }
    }
    let project = Project::with_config("linker = 'zig'");
    project.run(&["init", "--ci", "github"]).finish();
    let workflow = std::fs::read_to_string(project.path().join(".github/workflows/multiarch.yml")).unwrap();
    let action = std::fs::read_to_string(root().join("action.yml")).unwrap();
    let zig = Regex::new(r"setup-zig@\S+ # v\S+\n\s+with:\n\s+version: (\S+)").unwrap();
    let version = |text: &str| zig.captures(text).unwrap()[1].to_owned();
    assert_eq!(version(&workflow), version(&action));
    let release = std::fs::read_to_string(root().join(".github/workflows/release.yml")).unwrap();
    assert_eq!(version(&workflow), version(&release));
}
