//! The help of every command.

use cargo_multiarch::cli::Cli;
use clap::CommandFactory;

use crate::support::snapshot::snapshot;
use crate::support::{Finished, Project};

/// The help of the program and of every command, by a flag.
fn help(flag: &str) -> Vec<Finished> {
    let project = Project::empty();
    let cli = Cli::command();
    let commands = cli.get_subcommands().map(|command| vec![command.get_name(), flag]);
    std::iter::once(vec![flag]).chain(commands).map(|args| project.run(&args).finish()).collect()
}

#[test]
fn long() {
    snapshot!(help("--help"));
}

#[test]
fn short() {
    snapshot!(help("-h"));
}
