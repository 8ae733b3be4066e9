//! What was typed of what is made for shells, `man` and editors.

use camino::Utf8PathBuf;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::error::nearest;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command whose page it is; without it that of the program
    #[arg(value_name = "COMMAND", value_parser = parse_command, conflicts_with = "out")]
    pub command: Option<String>,
    /// Write a page for each command into DIR, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    pub out: Option<Utf8PathBuf>,
}

/// The name of a command, from its name or alias.
fn parse_command(text: &str) -> Result<String, String> {
    let program = Cli::command();
    let is_meant =
        |command: &&Command| command.get_name() == text || command.get_all_aliases().any(|alias| alias == text);
    let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
    match (program.get_subcommands().find(is_meant), nearest(text, names.iter().copied())) {
        (Some(command), _) => Ok(command.get_name().to_owned()),
        (None, Some(near)) => Err(format!("there is no such command: did you mean {near}?")),
        (None, None) => Err(format!("there is no such command: they are {}", names.join(", "))),
    }
}
