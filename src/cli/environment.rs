//! Parses the command line and the environment variables that set its options. Empty variables are treated as unset,
//! empty arguments are rejected, and errors about a variable's value name the variable.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, Error, FromArgMatches};
use indexmap::IndexSet;

use super::{Cli, short_help};
use crate::credentials;
use crate::error::{Class, Failure, closest_match};

/// Parses the command line. Options that are missing from the command line are read from environment variables.
pub(crate) fn parse_command_line(args: &[OsString]) -> Result<Cli, Error> {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let mut error = match parse_ignoring(args, &is_empty) {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) => error,
        Err(error) if error.kind() == ErrorKind::InvalidSubcommand => return Err(with_full_command_names(error)),
        result => return result,
    };
    // Find the variable that causes the error: if it is ignored, the error changes or disappears.
    let message = error.to_string();
    let causes_error = |name: &OsString| {
        let ignored = |other: &OsStr| other == name || is_empty(other);
        parse_ignoring(args, &ignored).err().is_none_or(|other| other.to_string() != message)
    };
    if let Some(name) = option_variables().into_iter().find(causes_error) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(name.to_string_lossy().into_owned()));
    }
    Err(error)
}

/// Replaces suggested aliases with full command names: `p` would be an unhelpful suggestion for `push`.
fn with_full_command_names(mut error: Error) -> Error {
    if let Some(ContextValue::Strings(words)) = error.get(ContextKind::SuggestedSubcommand) {
        let cli = Cli::command();
        let names: IndexSet<String> =
            words.iter().filter_map(|word| Some(cli.find_subcommand(word)?.get_name().to_owned())).collect();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(Vec::from_iter(names)));
    }
    error
}

/// Returns the names of all environment variables that set options.
fn option_variables() -> IndexSet<OsString> {
    let cli = Cli::command();
    let flags = std::iter::once(&cli).chain(cli.get_subcommands()).flat_map(Command::get_arguments);
    flags.filter_map(Arg::get_env).map(OsStr::to_owned).collect()
}

/// Parses the command line as if the ignored variables were unset.
fn parse_ignoring(args: &[OsString], ignored: &dyn Fn(&OsStr) -> bool) -> Result<Cli, Error> {
    let without_variable = |arg: Arg| match arg.get_env() {
        Some(name) if ignored(name) => arg.env(None::<&'static str>),
        _ => arg,
    };
    let without_variables = |command: Command| command.mut_args(without_variable);
    let mut command = without_variables(Cli::command()).mut_subcommands(without_variables);
    if short_help::is_requested(args) {
        command = short_help::shorten(command);
    }
    let mut matches = command.try_get_matches_from_mut(args)?;
    check_empty_values(&command, &matches)?;
    check_smoke_value(&command, &matches, args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Options that accept an empty value: cargo allows an empty list of features, and buildx arguments are not checked.
const MAY_BE_EMPTY: [&str; 3] = ["features", "build_args", "buildx_args"];

/// Rejects empty values, so that `--tag "$TAG"` with an unset variable does not silently use the default tags.
fn check_empty_values(command: &Command, matches: &ArgMatches) -> Result<(), Error> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(()) };
    let flags = command.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
    for flag in flags.filter(|flag| !MAY_BE_EMPTY.contains(&flag.get_id().as_str())) {
        let id = flag.get_id().as_str();
        let Ok(Some(values)) = matches.try_get_raw(id) else { continue };
        let values: Vec<&OsStr> = values.collect();
        let is_blank = |value: &&OsStr| value.to_str().is_some_and(|value| value.trim().is_empty());
        let empty = values.iter().filter(|value| is_blank(value)).count();
        if empty == 0 || matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let name = flag.get_long().unwrap_or(id);
        let problem = if empty == values.len() { "is empty" } else { "has an empty value" };
        let alternative = if flag.is_required_set() {
            String::new()
        } else {
            format!("; omit --{name} to use the configured or default value")
        };
        let message = format!("--{name} {problem}\n hint: check for unset shell variables{alternative}\n");
        return Err(Error::raw(ErrorKind::ValueValidation, message));
    }
    Ok(())
}

/// Rejects `--smoke --load`, which would run the images with the argument `--load` instead of loading them.
fn check_smoke_value(command: &Command, matches: &ArgMatches, args: &[OsString]) -> Result<(), Error> {
    let value = args.windows(2).filter(|pair| pair[0] == "--smoke").find_map(|pair| pair[1].to_str());
    let command = matches.subcommand_name().and_then(|name| command.find_subcommand(name));
    let (Some(value), Some(command)) = (value, command) else { return Ok(()) };
    let word = value.split('=').next().unwrap_or(value);
    let is_option = |flag: &Arg| {
        let long = word.strip_prefix("--").is_some_and(|name| flag.get_long() == Some(name));
        let short = word.strip_prefix('-').is_some_and(|name| flag.get_short().is_some_and(|c| name == c.to_string()));
        // Allow `--help` and `--version`, which are the usual arguments for smoke runs.
        (long || short) && !matches!(flag.get_id().as_str(), "help" | "version")
    };
    if !command.get_arguments().any(is_option) {
        return Ok(());
    }
    let message = format!(
        "`--smoke {value}` would pass {value} to the image, but {value} is also an option of this command\n \
         hint: to use it as an option, give --smoke its own arguments: `--smoke='--version' {value}`\n \
         hint: to pass {value} to the image, use `--smoke={value}`\n"
    );
    Err(Error::raw(ErrorKind::ValueValidation, message))
}

/// Prefix of this program's environment variables.
const PREFIX: &str = "MULTIARCH_";

/// Fails if an environment variable starts with this program's prefix but is unknown, and so is probably misspelled.
pub(crate) fn check_unknown_variables() -> Result<(), Failure> {
    let names = option_variables().into_iter().map(|name| name.to_string_lossy().into_owned());
    let known: Vec<String> =
        names.filter(|name| name.starts_with(PREFIX)).chain(credentials::VARIABLES.map(str::to_owned)).collect();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let Some(suffix) = name.strip_prefix(PREFIX).filter(|suffix| !suffix.starts_with("TEST_")) else { continue };
        if !known.contains(&name) && !credentials::is_host_variable(&name) {
            let failure = Failure::new(Class::Config, format!("unknown environment variable {name}"));
            // Compare names without the common prefix, which would make unrelated names look similar.
            let suffixes = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
            return Err(match closest_match(suffix, suffixes) {
                Some(near) => failure.hint(format!("did you mean {PREFIX}{near}?")),
                None => failure.hint(format!("valid variables are: {}", known.join(", "))),
            });
        }
    }
    Ok(())
}
