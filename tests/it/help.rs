//! Checks the help text of every command.

use crate::support::snapshot::snapshot;
use crate::support::{Finished, Project, commands};

/// Runs the program and every command with a help flag.
fn help(flag: &str) -> Vec<Finished> {
    let project = Project::empty();
    let commands = commands();
    let commands = commands.iter().map(|command| vec![command.as_str(), flag]);
    std::iter::once(vec![flag]).chain(commands).map(|args| project.run(&args).finish()).collect()
}

#[test]
fn help_of_every_command() {
    snapshot!(help("--help"));
}

#[test]
fn short_help_of_every_command() {
    snapshot!(help("-h"));
}

#[test]
fn short_help_has_a_line_per_option() {
    let help = Project::empty().run(&["publish", "-h"]).finish().stdout;
    assert!(help.lines().count() <= 65, "{help}");
    assert!(!help.contains("[env:"), "{help}");
    // The second line of a description would be indented further than the options.
    assert!(!help.lines().any(|line| line.starts_with("         ")), "{help}");
}

#[test]
fn long_help_has_environment_variables() {
    let project = Project::empty();
    for args in [["publish", "--help"], ["help", "publish"]] {
        let help = project.run(&args).finish().stdout;
        assert!(help.contains("[env: MULTIARCH_REGISTRY]"), "{help}");
    }
}
