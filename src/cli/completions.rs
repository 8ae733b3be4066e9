//! Arguments of `completions` and `man`.

use camino::Utf8PathBuf;
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use super::examples::COMMANDS;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to generate the script for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Print the manual page for this command [default: the main page]
    #[arg(value_name = "COMMAND", value_parser = command_names(), hide_possible_values = true, conflicts_with = "out")]
    pub command: Option<String>,
    /// Write the manual pages for all commands to this directory
    ///
    /// The usual location is ~/.local/share/man/man1.
    #[arg(long, value_name = "DIR")]
    pub out: Option<Utf8PathBuf>,
}

/// Returns a parser that accepts the name of any command.
fn command_names() -> PossibleValuesParser {
    PossibleValuesParser::new(COMMANDS.iter().map(|(name, _)| *name))
}
