//! The help of every command.

use crate::support::snapshot::snapshot;
use crate::support::{Finished, Project, commands};

/// The help of the program and of every command, by a flag.
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
