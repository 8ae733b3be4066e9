//! Command-line types: one clap struct per command.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod environment;
pub(crate) mod examples;
pub(crate) mod init;
pub(crate) mod output;
pub(crate) mod policy;
pub(crate) mod registry;
pub(crate) mod settings;
pub(crate) mod short_help;
pub(crate) mod styles;
pub(crate) mod tag_args;
pub(crate) mod value_parsers;
pub(crate) mod verification;

pub(crate) use completions::{CompletionsArgs, ManArgs};
pub(crate) use doctor::DoctorArgs;
pub(crate) use init::InitArgs;
pub(crate) use output::{DestinationArgs, GraphArgs, GraphFormat, MessageFormat, OutputArgs, ReadBack, ReportArgs};
pub(crate) use registry::{AccessArgs, LoginArgs, LogoutArgs};
pub(crate) use settings::SettingsArgs;
pub(crate) use tag_args::TagArgs;
pub(crate) use verification::{SmokeArgs, VerifyArgs};

use camino::Utf8PathBuf;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use self::styles::STYLES;
use crate::plan::CiService;
use crate::ui::{Color, Verbosity};

/// Cross-compile a Rust workspace and publish it as multi-platform container images.
#[derive(Debug, Parser)]
#[command(
    name = "cargo multiarch",
    bin_name = "cargo multiarch",
    version,
    styles = STYLES,
    after_help = examples::short_program_help(),
    after_long_help = examples::program_help()
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Print commands as they run; -vv also prints their output
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,

    /// Print only errors and rustc warnings
    ///
    /// The result is still printed to stdout.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Coloring
    #[arg(long, global = true, value_name = "WHEN", env = "CARGO_TERM_COLOR", hide_env = true)]
    pub color: Option<Color>,
}

impl Cli {
    pub(crate) fn verbosity(&self) -> Verbosity {
        if self.quiet { -1 } else { Verbosity::try_from(self.verbose).unwrap_or(2) }
    }

    /// Reports whether a timing report was requested.
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
    /// Compile, build, verify and publish images
    #[command(
        visible_alias = "p",
        after_help = examples::pointer_to_long_help("publish"),
        after_long_help = examples::command_help("publish")
    )]
    Publish(PublishArgs),
    /// Build images as OCI layouts in target/multiarch, without publishing them
    #[command(
        visible_alias = "b",
        after_help = examples::pointer_to_long_help("build"),
        after_long_help = examples::command_help("build")
    )]
    Build(BuildArgs),
    /// Compile binaries into a bundle for `publish --artifacts`
    #[command(
        after_help = examples::pointer_to_long_help("compile"),
        after_long_help = examples::command_help("compile")
    )]
    Compile(CompileArgs),
    /// Show what would be built and published, without compiling
    #[command(
        after_help = examples::pointer_to_long_help("plan"),
        after_long_help = examples::command_help("plan"),
        mut_args(|arg| settings::with_registry_summary(arg, "Show what would be pushed to this registry"))
    )]
    Plan(PlanArgs),
    /// Verify that an image is valid and can start on every platform
    #[command(
        after_help = examples::pointer_to_long_help("verify"),
        after_long_help = examples::command_help("verify"),
        mut_args(verification::show_policy_in_short_help)
    )]
    Verify(VerifyArgs),
    /// Create a configuration, and optionally a template or a CI workflow
    #[command(after_help = examples::command_help("init"))]
    Init(InitArgs),
    /// Check that this machine and the registries are ready for publishing
    #[command(
        after_help = examples::pointer_to_long_help("doctor"),
        after_long_help = examples::command_help("doctor"),
        mut_args(|arg| settings::with_registry_summary(arg, "Registry to check"))
    )]
    Doctor(DoctorArgs),
    /// Log in to a registry
    ///
    /// The password is checked with the registry, and stored in Docker's configuration or with the credential helper that is
    /// configured there. In CI, you can set MULTIARCH_USERNAME and MULTIARCH_PASSWORD instead.
    #[command(
        after_help = examples::pointer_to_long_help("login"),
        after_long_help = examples::command_help("login")
    )]
    Login(LoginArgs),
    /// Log out of a registry
    #[command(after_help = examples::command_help("logout"))]
    Logout(LogoutArgs),
    /// Print the generated Dockerfile
    #[command(
        after_help = examples::pointer_to_long_help("dockerfile"),
        after_long_help = examples::command_help("dockerfile")
    )]
    Dockerfile(DockerfileArgs),
    /// Print a shell completion script
    #[command(after_help = examples::command_help("completions"))]
    Completions(CompletionsArgs),
    /// Print a manual page, or write all of them to a directory
    #[command(after_help = examples::command_help("man"))]
    Man(ManArgs),
    /// Print the JSON schema of multiarch.toml
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
    #[command(flatten)]
    pub tags: TagArgs,
    #[command(flatten)]
    pub access: AccessArgs,

    /// Push to the registry
    ///
    /// `--push=false` skips the push but still prints the references that would be pushed.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        hide_possible_values = true,
        action = clap::ArgAction::Set,
        help_heading = "Output"
    )]
    pub push: bool,

    /// How to check stored layers
    ///
    /// Before tags move, the image is read back from the registry. Manifests and configs are always read completely.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "size",
        env = "MULTIARCH_READ_BACK",
        hide_env_values = true,
        help_heading = "Verification"
    )]
    pub read_back: ReadBack,

    /// Write image references with digests to a file, one per line
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub refs_file: Option<Utf8PathBuf>,

    /// Write digests and repositories to a file
    ///
    /// Each line has the form `DIGEST  REPOSITORY`, which attestation tools can read.
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
    #[command(flatten)]
    pub access: AccessArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Directory to write the bundle to
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Utf8PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub output: OutputArgs,

    /// Print a CI job matrix
    ///
    /// The matrix has one job per platform and names the runner for each job.
    #[arg(
        long,
        value_name = "FORGE",
        value_parser = ci_services_with_matrix(),
        conflicts_with_all = ["message_format", "graph"],
        help_heading = "Output"
    )]
    pub matrix: Option<CiService>,
    #[command(flatten)]
    pub graph: GraphArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DockerfileArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// List the variables and helpers available to templates
    #[arg(long)]
    pub variables: bool,
}

/// Returns a parser for CI services. The help lists only services that support a matrix, but the parser also accepts
/// the others, so that a later error can suggest an alternative.
fn ci_services_with_matrix() -> impl TypedValueParser<Value = CiService> {
    let possible_value = |service: &CiService| Some(service.to_possible_value()?.hide(!service.supports_matrix()));
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

    /// Describes each argument on one line: its names, possible values and environment variable.
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

    /// Other programs depend on these names. See docs/compatibility.md before changing them.
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
