//! What is made of the command line and the configuration for others to read: completions for shells, pages for `man`, a
//! schema for editors.

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use crate::cli::{Cli, CompletionsArgs};
use crate::finding::CHECKS;
use crate::platform::Platform;
use crate::ui::Ui;

/// The program, and the name of its page.
pub const NAME: &str = "cargo-multiarch";

/// `completions SHELL`: what the shell reads.
pub fn completions(args: &CompletionsArgs, ui: &Ui) -> Result<()> {
    Ok(ui.data(script(args.shell).trim_end())?)
}

/// In zsh cargo's own completions find ours for `cargo multiarch`; in bash and fish that is for us to do.
fn script(shell: Shell) -> String {
    // clap_complete 4.6 forgets the flags of commands in bash where a program's name has a dash.
    const IN_BASH: &str = "cargo_multiarch";
    let generate = |name: &str| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut with_candidates(Cli::command().name(NAME)), name, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    };
    match shell {
        Shell::Bash => {
            let script = generate(IN_BASH).replace(&format!(" {IN_BASH}\n"), &format!(" {NAME}\n"));
            script + include_str!("../../templates/completions/cargo.bash")
        }
        Shell::Fish => generate(NAME) + include_str!("../../templates/completions/cargo.fish"),
        _ => generate(NAME),
    }
}

/// A command line with what a shell can offer for each value, by what the value is called.
fn with_candidates(command: Command) -> Command {
    let known = |arg: Arg, words: Vec<&'static str>| arg.value_parser(PossibleValuesParser::new(words));
    let with = |arg: Arg| match arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str()) {
        _ if !arg.get_action().takes_values() => arg,
        Some("PLATFORM") => known(arg, Platform::all().map(Platform::name).collect()),
        Some("CODE") => known(arg, CHECKS.iter().map(|check| check.code).collect()),
        Some("DIR") => arg.value_hint(ValueHint::DirPath),
        Some("FILE" | "PATH") => arg.value_hint(ValueHint::FilePath),
        // Also a path, or words of a few kinds.
        Some("TEMPLATE" | "IMAGE" | "TRANSPORT:PATH" | "SPEC") => arg.value_hint(ValueHint::AnyPath),
        Some(_) if arg.get_possible_values().is_empty() => arg.value_hint(ValueHint::Other),
        _ => arg,
    };
    command.mut_args(with).mut_subcommands(with_candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_with_every_command() {
        use clap::ValueEnum;
        for shell in Shell::value_variants() {
            let script = script(*shell);
            let words: Vec<&str> = script.split(|c: char| !c.is_ascii_alphanumeric()).collect();
            for command in Cli::command().get_subcommands() {
                assert!(words.contains(&command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
