//! Arguments beside the variables that stand for some of them: an empty variable is one that is not set, an empty argument
//! is a mistake, and an error names whichever of the two it was that said the wrong thing.

use std::ffi::{OsStr, OsString};

use camino::Utf8PathBuf;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, Error, FromArgMatches};
use indexmap::IndexSet;

use super::Cli;
use crate::error::{Class, Failure, closest_match};

/// Parses the command line, and what the environment says where it says nothing.
pub fn parse(args: &[OsString]) -> Result<Cli, Error> {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let mut error = match parse_without(args, &is_empty) {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) => error,
        Err(error) if error.kind() == ErrorKind::InvalidSubcommand => return Err(with_whole_names(error)),
        result => return result,
    };
    // Without the variable that is to blame it is another error, or none.
    let text = error.to_string();
    let to_blame = |name: &OsString| {
        let ignored = |other: &OsStr| other == name || is_empty(other);
        parse_without(args, &ignored).err().is_none_or(|other| other.to_string() != text)
    };
    if let Some(name) = variables().into_iter().find(to_blame) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(name.to_string_lossy().into_owned()));
    }
    Err(error)
}

/// Suggests commands by their names: `p` says nothing to who typed `push`.
fn with_whole_names(mut error: Error) -> Error {
    if let Some(ContextValue::Strings(words)) = error.get(ContextKind::SuggestedSubcommand) {
        let cli = Cli::command();
        let names: IndexSet<String> =
            words.iter().filter_map(|word| Some(cli.find_subcommand(word)?.get_name().to_owned())).collect();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(Vec::from_iter(names)));
    }
    error
}

/// The variables of all flags.
fn variables() -> IndexSet<OsString> {
    let cli = Cli::command();
    let flags = std::iter::once(&cli).chain(cli.get_subcommands()).flat_map(Command::get_arguments);
    flags.filter_map(Arg::get_env).map(OsStr::to_owned).collect()
}

/// Parses as if some variables were not set.
fn parse_without(args: &[OsString], ignored: &dyn Fn(&OsStr) -> bool) -> Result<Cli, Error> {
    let without = |arg: Arg| match arg.get_env() {
        Some(name) if ignored(name) => arg.env(None::<&'static str>),
        _ => arg,
    };
    let without = |command: Command| command.mut_args(without);
    let mut command = without(Cli::command()).mut_subcommands(without);
    let mut matches = command.try_get_matches_from_mut(args)?;
    check_empty(&command, &matches)?;
    check_smoke(&command, &matches, args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Flags that may be given with nothing: cargo takes no features, and buildx's own arguments are not ours to judge.
const MAY_BE_EMPTY: [&str; 3] = ["features", "build_args", "buildx_args"];

/// `--tag "$TAG"` with a variable that is not set is no wish for the default tags.
fn check_empty(command: &Command, matches: &ArgMatches) -> Result<(), Error> {
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
        let what = if empty == values.len() { "is empty" } else { "has an empty value" };
        let without = match flag.is_required_set() {
            true => String::new(),
            false => format!(" without --{name} it is what is configured, or the default"),
        };
        let message = format!("--{name} {what}\n hint: is it a shell variable that is not set?{without}\n");
        return Err(Error::raw(ErrorKind::ValueValidation, message));
    }
    Ok(())
}

/// `--smoke --load` would run images with `--load`, and load none.
fn check_smoke(command: &Command, matches: &ArgMatches, args: &[OsString]) -> Result<(), Error> {
    let taken = args.windows(2).filter(|pair| pair[0] == "--smoke").find_map(|pair| pair[1].to_str());
    let command = matches.subcommand_name().and_then(|name| command.find_subcommand(name));
    let (Some(taken), Some(command)) = (taken, command) else { return Ok(()) };
    let word = taken.split('=').next().unwrap_or(taken);
    let is_ours = |flag: &Arg| {
        let long = word.strip_prefix("--").is_some_and(|name| flag.get_long() == Some(name));
        let short = word.strip_prefix('-').is_some_and(|name| flag.get_short().is_some_and(|c| name == c.to_string()));
        // Programs have these two as well, and that is what is meant.
        (long || short) && !matches!(flag.get_id().as_str(), "help" | "version")
    };
    if !command.get_arguments().any(is_ours) {
        return Ok(());
    }
    let message = format!(
        "--smoke would run the images with {taken}, which is a flag of this command\n \
         hint: name the words for the image: `--smoke='--version' {taken}`\n \
         hint: or, if the image is to be run with it: `--smoke={taken}`\n"
    );
    Err(Error::raw(ErrorKind::ValueValidation, message))
}

/// The user's folder for what can be had again.
pub fn cache_dir() -> Option<Utf8PathBuf> {
    let home =
        std::env::var("HOME").ok().filter(|home| !home.is_empty()).map(|home| Utf8PathBuf::from(home).join(".cache"));
    let cache = std::env::var("XDG_CACHE_HOME").ok().filter(|dir| dir.starts_with('/')).map(Utf8PathBuf::from).or(home);
    Some(cache?.join("cargo-multiarch"))
}

/// What all of our variables begin with.
const PREFIX: &str = "MULTIARCH_";

/// A variable that nothing reads is a typo that nobody notices.
pub fn check() -> Result<(), Failure> {
    let all = variables().into_iter().map(|name| name.to_string_lossy().into_owned());
    let known: Vec<String> = all.filter(|name| name.starts_with(PREFIX)).collect();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let Some(word) = name.strip_prefix(PREFIX).filter(|word| !word.starts_with("TEST_")) else { continue };
        if !known.contains(&name) {
            let failure = Failure::new(Class::Config, format!("unknown variable {name}"));
            // All begin alike: that says nothing of which one was meant.
            let words = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
            return Err(match closest_match(word, words) {
                Some(near) => failure.hint(format!("did you mean {PREFIX}{near}?")),
                None => failure.hint(format!("the variables are: {}", known.join(", "))),
            });
        }
    }
    Ok(())
}
