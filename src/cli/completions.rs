//! Flags of `completions` and `man`.

use camino::Utf8PathBuf;
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use super::examples::COMMANDS;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command whose page it is; without it that of the program
    #[arg(value_name = "COMMAND", value_parser = command_names(), conflicts_with = "out")]
    pub command: Option<String>,
    /// Write a page for each command into DIR, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    pub out: Option<Utf8PathBuf>,
}

/// Parses the name of a command.
fn command_names() -> PossibleValuesParser {
    PossibleValuesParser::new(COMMANDS.iter().map(|(name, _)| *name))
}
