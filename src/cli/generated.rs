//! What was typed of what is made for shells, `man` and editors.

use camino::Utf8PathBuf;
use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into DIR, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    pub out: Option<Utf8PathBuf>,
}
