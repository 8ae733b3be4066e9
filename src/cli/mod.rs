//! The command line: one clap type per command. No logic.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod environment;
pub(crate) mod examples;
pub(crate) mod init;
pub(crate) mod output;
pub(crate) mod policy;
pub(crate) mod settings;
pub(crate) mod styles;
pub(crate) mod value_parsers;
pub(crate) mod verification;

pub(crate) use completions::{CompletionsArgs, ManArgs};
pub(crate) use doctor::DoctorArgs;
pub(crate) use init::InitArgs;
pub(crate) use output::{DestinationArgs, GraphArgs, GraphFormat, MessageFormat, OutputArgs, ReportArgs};
pub(crate) use settings::SettingsArgs;
pub(crate) use verification::{SmokeArgs, VerifyArgs};

use camino::Utf8PathBuf;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::styles::STYLES;
use crate::plan::CiService;
use crate::ui::{Color, Verbosity};

/// Compile a Rust workspace for many platforms and publish it as one container image tag.
#[derive(Debug, Parser)]
#[command(name = "cargo multiarch", bin_name = "cargo multiarch", version, styles = STYLES, after_help = examples::program_help())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Say more: -v the commands that run, -vv also all they print
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,

    /// Say nothing but errors, and what rustc warns of; stdout still has the result
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Color the messages
    #[arg(long, global = true, value_name = "WHEN", env = "CARGO_TERM_COLOR", hide_env = true)]
    pub color: Option<Color>,
}

impl Cli {
    pub(crate) fn verbosity(&self) -> Verbosity {
        if self.quiet { -1 } else { Verbosity::try_from(self.verbose).unwrap_or(2) }
    }

    /// Whether to record where the time of the run goes.
    pub(crate) fn records_timings(&self) -> bool {
        match &self.command {
            Command::Publish(args) => args.reports.timings,
            Command::Build(args) => args.reports.timings,
            _ => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compile, build, verify, push one tag, and check what the registry serves
    #[command(visible_alias = "p", after_help = examples::command_help("publish"))]
    Publish(PublishArgs),
    /// The same without pushing: an OCI layout per image in target/multiarch
    #[command(visible_alias = "b", after_help = examples::command_help("build"))]
    Build(BuildArgs),
    /// Compile only, into a bundle that a publish on another machine takes
    #[command(after_help = examples::command_help("compile"))]
    Compile(CompileArgs),
    /// Show what would happen, without compiling
    #[command(after_help = examples::command_help("plan"))]
    Plan(PlanArgs),
    /// Check any image: is every platform what it says, and can it start there?
    #[command(after_help = examples::command_help("verify"))]
    Verify(VerifyArgs),
    /// Write a configuration from what is found, a template to edit, a CI workflow
    #[command(after_help = examples::command_help("init"))]
    Init(InitArgs),
    /// Find all that is missing here for a publish, each with the command that mends it
    #[command(after_help = examples::command_help("doctor"))]
    Doctor(DoctorArgs),
    /// Print the Dockerfile that would be built
    #[command(after_help = examples::command_help("dockerfile"))]
    Dockerfile(DockerfileArgs),
    /// Print what completes commands and flags in a shell
    #[command(after_help = examples::command_help("completions"))]
    Completions(CompletionsArgs),
    /// Print the manual page of the program or of a command, or write all of them
    #[command(after_help = examples::command_help("man"))]
    Man(ManArgs),
    /// Print the JSON schema of multiarch.toml, for editors
    #[command(after_help = examples::command_help("schema"))]
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub destinations: DestinationArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
    #[command(flatten)]
    pub smoke: SmokeArgs,

    /// Push to the registry; `--push=false` does all but that
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        help_heading = "Output"
    )]
    pub push: bool,

    /// Write a pinned reference per repository to FILE, one a line
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub refs_file: Option<Utf8PathBuf>,

    /// Write `DIGEST  REPOSITORY` per repository to FILE, as attestation tools read it
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub digests_file: Option<Utf8PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub destinations: DestinationArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
    #[command(flatten)]
    pub smoke: SmokeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// The folder for the binaries and their manifest
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Utf8PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub output: OutputArgs,

    /// Print the jobs that compile each platform on a runner of its own, as a matrix for a workflow
    #[arg(long, value_name = "FORGE", value_parser = ci_services_with_matrix(), conflicts_with_all = ["message_format", "graph"], help_heading = "Output")]
    pub matrix: Option<CiService>,
    #[command(flatten)]
    pub graph: GraphArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DockerfileArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// List what a template of your own can use, and print no Dockerfile
    #[arg(long)]
    pub variables: bool,
}

/// Parses a CI service. The help lists only those that accept a matrix; the error for the others has a hint.
fn ci_services_with_matrix() -> impl TypedValueParser<Value = CiService> {
    let possible_value = |service: &CiService| Some(service.to_possible_value()?.hide(!service.takes_matrix()));
    PossibleValuesParser::new(CiService::value_variants().iter().filter_map(possible_value))
        .try_map(|name| CiService::from_str(&name, false))
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory};

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_in_the_readme_parse() {
        let mut count = 0;
        for rest in include_str!("../../README.md").split("cargo multiarch ").skip(1) {
            let command = rest.split(['`', '\n', ')', '>', '|', '#']).next().unwrap();
            // The title and prose only name the program.
            if !command.starts_with(|c: char| c.is_ascii_lowercase()) || command.starts_with("takes") {
                continue;
            }
            let command = command.replace("${{ matrix.platform }}", "linux/arm64");
            let args = ["cargo multiarch"].into_iter().chain(command.split_whitespace());
            Cli::try_parse_from(args).unwrap_or_else(|error| panic!("cargo multiarch {command}: {error}"));
            count += 1;
        }
        assert!(count >= 8, "only {count} commands found");
    }

    /// A line for each argument: its names, possible values and environment variable.
    fn arguments(command: &clap::Command) -> Vec<String> {
        let line = |arg: &Arg| {
            let long = arg.get_long().map(|long| format!(" --{long}"));
            let short = arg.get_short().map(|short| format!(" -{short}"));
            let names: String = long.into_iter().chain(short).collect();
            let names = if names.is_empty() { format!(" {}", arg.get_id().as_str().to_uppercase()) } else { names };
            let possible = arg.get_possible_values();
            let possible: Vec<&str> = possible.iter().map(clap::builder::PossibleValue::get_name).collect();
            let value = if !arg.get_action().takes_values() {
                String::new()
            } else if possible.is_empty() || possible == ["true", "false"] {
                " VALUE".to_owned()
            } else {
                format!(" {}", possible.join("|"))
            };
            let env = arg.get_env().map(|name| format!(" [{}]", name.display())).unwrap_or_default();
            format!("{}{names}{value}{env}", command.get_name())
        };
        command.get_arguments().map(line).collect()
    }

    /// Other programs depend on these names: docs/compatibility.md says what else has to change with them.
    #[test]
    fn flags_and_environment_variables_are_stable() {
        let cli = Cli::command();
        let mut lines = arguments(&cli);
        for command in cli.get_subcommands() {
            lines.push(
                [&[command.get_name()], &command.get_visible_aliases().collect::<Vec<_>>()[..]].concat().join(" "),
            );
            lines.extend(arguments(command));
        }
        insta::with_settings!({ snapshot_path => "../../tests/it/snapshots", prepend_module_to_snapshot => false,
            omit_expression => true }, {
            insta::assert_snapshot!("cli__flags_and_environment_variables_are_stable", lines.join("\n"));
        });
    }
}
