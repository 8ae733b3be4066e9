//! Shortens the output of `-h` by omitting environment variables. `--help` prints everything.

use std::ffi::OsString;

use clap::Command;

/// Reports whether the command line requests the short help: `-h`, possibly combined with other flags as in `-vh`,
/// rather than `--help`.
pub(crate) fn is_requested(args: &[OsString]) -> bool {
    let args = args.iter().skip(1).filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--");
    let mut requests = args.filter(|arg| *arg == "--help" || has_short_help_flag(arg));
    requests.next().is_some_and(|arg| arg != "--help")
}

/// Reports whether an argument consists of short flags without values, one of which is `-h`.
fn has_short_help_flag(arg: &str) -> bool {
    let flags = arg.strip_prefix('-').unwrap_or_default();
    flags.trim_start_matches(['v', 'q']).starts_with('h')
}

/// Hides environment variables in the help of all commands.
pub(crate) fn shorten(command: Command) -> Command {
    let without_variables = |command: Command| command.mut_args(|arg| arg.hide_env(true));
    without_variables(command).mut_subcommands(without_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_help_is_recognized() {
        for (line, expected) in [
            ("publish -h", true),
            ("-h", true),
            ("publish -vh", true),
            ("publish -qh -p app", true),
            ("publish -hv", true),
            ("publish -h --help", true),
            ("publish --help", false),
            ("publish --help -h", false),
            ("help publish", false),
            ("publish -th", false),
            ("publish -p h", false),
            ("publish -- -h", false),
            ("publish", false),
        ] {
            let args: Vec<OsString> = ["cargo-multiarch"].into_iter().chain(line.split(' ')).map(Into::into).collect();
            assert_eq!(is_requested(&args), expected, "{line}");
        }
    }
}
