//! Checks the recorded output of commands that need no services.

use std::process::{Command, Output};

use super::{block, check_output, root};
use crate::corpus::history;
use crate::support::{Fakes, Project};

/// Returns the output of a `verify` run as a terminal shows it: the first line of stderr, the table on stdout, and then
/// the findings on stderr.
fn terminal(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (announced, found) = stderr.split_once('\n').unwrap();
    format!("{announced}\n{stdout}{found}")
}

#[test]
fn output_of_verify() {
    let project = Project::empty();
    for ((directory, layout), name) in
        history::layouts().into_iter().zip(["verify-hello", "verify-arm64", "verify-glibc", "verify-health-check"])
    {
        layout.write(&project.path().join(directory));
        let args = format!("verify oci:{directory}");
        let (mut command, _dirs) = project.run(&args.split(' ').collect::<Vec<_>>()).into_command();
        let output = command.output().unwrap();
        let shown = terminal(&output);
        assert_eq!(output.status.code(), Some(if shown.contains("error") { 8 } else { 0 }), "{shown}");
        check_output(name, &format!("$ cargo multiarch {args}\n{shown}"));
    }
}

#[test]
fn output_of_plan_matrix() {
    let printed = Project::app().run(&["plan", "--matrix", "github"]).finish().stdout;
    check_output("plan-matrix", &format!("$ cargo multiarch plan --matrix github\n{printed}"));
}

#[test]
fn output_of_short_help() {
    let printed = Project::empty().run(&["publish", "-h"]).finish().stdout;
    check_output("publish-help", &format!("$ cargo multiarch publish -h\n{printed}"));
}

/// Copies examples/hello to a new git repository.
fn hello() -> Project {
    let project = Project::empty();
    let files = root().join("examples/hello/.");
    let copied = Command::new("cp").arg("-r").arg(files).arg(project.path()).status().unwrap();
    assert!(copied.success());
    project.file(".gitignore", "/target\n").committed()
}

/// Returns the stdout of `cargo multiarch ARGS` on a machine with Rust, git and, if `has_zig` is set, zig. Omits the
/// list of targets to install, which differs between machines.
fn stdout(project: &Project, args: &str, has_zig: bool) -> String {
    let tools = Fakes::new().real("cargo").real("rustc").real("git");
    let tools = if has_zig { tools.program("zig", "[ \"$*\" = version ] && echo 0.15.2") } else { tools };
    let printed = project.run(&args.split(' ').collect::<Vec<_>>()).path_only(&tools).finish().stdout;
    let shown = printed.split("\nMissing targets").next().unwrap();
    format!("$ cargo multiarch {args}\n{shown}")
}

#[test]
fn output_of_plan() {
    check_output("plan-hello", &stdout(&hello(), "plan --registry ghcr.io/you", false));
}

/// Uses the configuration in docs/platforms.md.
#[test]
fn output_of_plan_with_several_linkers() {
    let project = Project::with_config(&block("linkers").text).committed();
    check_output("plan-linkers", &stdout(&project, "plan", true));
}

#[test]
fn output_of_dockerfile() {
    check_output("dockerfile-hello", &stdout(&hello(), "dockerfile --platform linux/arm64", false));
    check_output("template-variables", &stdout(&Project::empty(), "dockerfile --variables", false));
}
