//! Checks the manual pages of the program and its commands.

use crate::support::snapshot::snapshot;
use crate::support::{Project, commands};

/// Writes the manual pages with `man --out`. Returns their names, sorted.
pub fn pages(project: &Project) -> Vec<String> {
    project.run(&["man", "--out", "share/man1"]).finish();
    let entries = std::fs::read_dir(project.path().join("share/man1")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn man_prints_a_page_for_every_command() {
    let project = Project::empty();
    let mut expected: Vec<String> = commands().iter().map(|command| format!("cargo-multiarch-{command}.1")).collect();
    expected.push("cargo-multiarch.1".to_owned());
    expected.sort_unstable();
    assert_eq!(pages(&project), expected);

    let read = |name: &str| std::fs::read_to_string(project.path().join("share/man1").join(name)).unwrap();
    let main = project.run(&["man"]).finish().stdout;
    assert_eq!(main, read("cargo-multiarch.1"));
    for part in ["\n.TH CARGO-MULTIARCH 1", "cargo\\-multiarch\\-publish(1)"] {
        assert!(main.contains(part), "no '{part}' in\n{main}");
    }
    let publish = read("cargo-multiarch-publish.1");
    for part in ["\n.TH CARGO-MULTIARCH-PUBLISH 1", "\\fBcargo multiarch publish\\fR", "MULTIARCH_REGISTRY"] {
        assert!(publish.contains(part), "no '{part}' in\n{publish}");
    }
    for name in expected {
        let page = read(&name);
        for part in ["\n.SH \"EXIT STATUS\"\n", "\n.SH EXAMPLES\n", "\n.SH \"SEE ALSO\"\n"] {
            assert_eq!(page.matches(part).count(), 1, "expected exactly one '{part}' in {name}:\n{page}");
        }
    }
    assert_eq!(project.run(&["man", "publish"]).finish().stdout, publish);
    snapshot!(project.run(&["man", "pubish"]).fails(2).finish());
}

#[test]
fn man_rejects_a_file_as_output_directory() {
    let run = Project::app().run(&["man", "--out", "Cargo.toml"]).fails(3);
    snapshot!(run.finish());
}
