//! `cargo multiarch completions`: prints a shell completion script.

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use crate::cli::{Cli, CompletionsArgs};
use crate::finding::CHECKS;
use crate::platform::Platform;
use crate::ui::Ui;

/// The name of the executable that cargo runs for `cargo multiarch`.
pub(crate) const PROGRAM: &str = "cargo-multiarch";

/// Runs `cargo multiarch completions`.
pub(crate) fn completions(args: &CompletionsArgs, ui: &Ui) -> Result<()> {
    Ok(ui.data(script(args.shell).trim_end())?)
}

/// Returns the completion script for a shell. In zsh, cargo's own completions delegate to this program's. In bash and
/// fish they do not, so the script also registers completions for `cargo multiarch`.
fn script(shell: Shell) -> String {
    // Use an underscore, because clap_complete 4.6 omits subcommand flags in bash if the program name contains a dash.
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

/// Adds suggestions for the value of each argument, such as platforms or paths, based on the argument's value name.
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
        // These arguments accept paths as well as other values.
        Some("TEMPLATE" | "IMAGE" | "TRANSPORT:PATH" | "SPEC") => arg.value_hint(ValueHint::AnyPath),
        Some(_) if arg.get_possible_values().is_empty() => arg.value_hint(ValueHint::Other),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_include_every_subcommand() {
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
