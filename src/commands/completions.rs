//! `cargo multiarch completions`: prints a completion script for a shell.

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use crate::cli::{Cli, CompletionsArgs};
use crate::finding::CHECKS;
use crate::platform::Platform;
use crate::ui::Ui;

/// The program that cargo runs for `cargo multiarch`.
pub(crate) const PROGRAM: &str = "cargo-multiarch";

/// `cargo multiarch completions SHELL`
pub(crate) fn completions(args: &CompletionsArgs, ui: &Ui) -> Result<()> {
    Ok(ui.data(script(args.shell).trim_end())?)
}

/// Returns a shell's completion script. In zsh, cargo's own completions find ours for `cargo multiarch`; for bash and fish,
/// the script has to add them.
fn script(shell: Shell) -> String {
    // In bash, clap_complete 4.6 omits the flags of subcommands if the program's name has a dash.
    const NAME_IN_BASH: &str = "cargo_multiarch";
    match shell {
        Shell::Bash => {
            let script = generate(shell, NAME_IN_BASH);
            script.replace(&format!(" {NAME_IN_BASH}\n"), &format!(" {PROGRAM}\n"))
                + include_str!("../../templates/completions/cargo.bash")
        }
        Shell::Fish => generate(shell, PROGRAM) + include_str!("../../templates/completions/cargo.fish"),
        _ => generate(shell, PROGRAM),
    }
}

fn generate(shell: Shell, name: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut with_candidates(Cli::command().name(PROGRAM)), name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Adds what a shell can offer for each value, selected by the name of the value.
fn with_candidates(command: Command) -> Command {
    command.mut_args(with_candidates_for_arg).mut_subcommands(with_candidates)
}

fn with_candidates_for_arg(arg: Arg) -> Arg {
    if !arg.get_action().takes_values() {
        return arg;
    }
    let one_of = |arg: Arg, values: Vec<&'static str>| arg.value_parser(PossibleValuesParser::new(values));
    match arg.get_value_names().and_then(|names| names.first()).map(clap::builder::Str::as_str) {
        Some("PLATFORM") => one_of(arg, Platform::all().map(Platform::name).collect()),
        Some("CODE") => one_of(arg, CHECKS.iter().map(|check| check.code).collect()),
        Some("DIR") => arg.value_hint(ValueHint::DirPath),
        Some("FILE" | "PATH") => arg.value_hint(ValueHint::FilePath),
        // These take something else as well.
        Some("TEMPLATE" | "IMAGE" | "TRANSPORT:PATH" | "SPEC") => arg.value_hint(ValueHint::AnyPath),
        Some(_) if arg.get_possible_values().is_empty() => arg.value_hint(ValueHint::Other),
        _ => arg,
    }
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
