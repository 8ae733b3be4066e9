//! The manual pages: one for each command, which `man` reads without a complaint.

use std::process::Command;

use cargo_multiarch::cli::Cli;
use clap::CommandFactory;

use crate::snapshot::snapshot;
use crate::support::Project;

/// The names of the pages in a folder that `man --out` has made.
fn pages(project: &Project) -> Vec<String> {
    project.run(&["man", "--out", "share/man1"]).finish();
    let entries = std::fs::read_dir(project.path().join("share/man1")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_command_has_a_page() {
    let project = Project::empty();
    let commands = Cli::command();
    let mut expected: Vec<String> =
        commands.get_subcommands().map(|command| format!("cargo-multiarch-{}.1", command.get_name())).collect();
    expected.push("cargo-multiarch.1".to_owned());
    expected.sort_unstable();
    assert_eq!(pages(&project), expected);

    let read = |name: &str| std::fs::read_to_string(project.path().join("share/man1").join(name)).unwrap();
    let main = project.run(&["man"]).finish().stdout;
    assert_eq!(main, read("cargo-multiarch.1"));
    for part in ["\n.TH CARGO-MULTIARCH 1", "cargo\\-multiarch\\-publish(1)"] {
        assert!(main.contains(part), "'{part}' is missing in\n{main}");
    }
    let publish = read("cargo-multiarch-publish.1");
    for part in ["\n.TH CARGO-MULTIARCH-PUBLISH 1", "\\fBcargo multiarch publish\\fR", "MULTIARCH_REGISTRY"] {
        assert!(publish.contains(part), "'{part}' is missing in\n{publish}");
    }
    for name in expected {
        let page = read(&name);
        for part in ["\n.SH \"EXIT STATUS\"\n", "\n.SH EXAMPLES\n", "\n.SH \"SEE ALSO\"\n"] {
            assert_eq!(page.matches(part).count(), 1, "{part} in {name}:\n{page}");
        }
    }
    assert_eq!(project.run(&["man", "publish"]).finish().stdout, publish);
    snapshot!(project.run(&["man", "pubish"]).fails(2).finish());
}

#[test]
fn a_file_is_no_folder_for_pages() {
    let run = Project::app().run(&["man", "--out", "Cargo.toml"]).fails(3);
    snapshot!(run.finish());
}

#[test]
#[ignore = "needs man and groff: scripts/test runs it"]
fn man_reads_every_page() {
    let project = Project::empty();
    for name in pages(&project) {
        let page = project.path().join("share/man1").join(&name);
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-z"]);
        for command in [&mut man, &mut groff] {
            let output = command.arg(&page).output().unwrap();
            assert!(output.status.success(), "{name}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        }
        let text = String::from_utf8(man.output().unwrap().stdout).unwrap();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let title = name.trim_end_matches(".1").to_uppercase();
        assert!(words.starts_with(&format!("{title}(1) Cargo Multiarch {title}(1) NAME ")), "{text}");
        assert!(words.contains(" SYNOPSIS cargo multiarch "), "{text}");
    }
}
