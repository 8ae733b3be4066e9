//! `cargo multiarch`: a Rust workspace in, one multi-platform container image tag out.
//!
//! The map, in the order in which data flows (no step knows its caller):
//!
//! - [`cli`]: what was typed; [`environment`]: and what variables say beside it
//! - [`plan`]: what is wanted, from flags, environment and configuration; pure data from here on
//! - [`compile`]: binaries, by one cargo process for all target triples
//! - [`image`]: an OCI layout of them, by this program itself or by `docker buildx`
//! - [`verify`]: is it what it says, from the bytes
//! - [`publish`]: the registry, before and after
//! - [`report`]: what came of it, for people and for programs
//!
//! [`pipeline`] is the story, [`init`] writes what it reads, [`doctor`] says what would stop it here, [`generated`] is what
//! shells, `man` and editors know of it. [`platform`] is the one table of architectures, [`elf`] the one reader of ELF files,
//! [`process`] the one place that starts programs, [`ui`] the one that writes to the terminal, [`timings`] where a run's time
//! went, [`threads`] what waits side by side, [`size`] how bytes are told, [`wrap`] how long lines are broken, [`error`] what a failure is made of.

pub mod cli;
pub mod commands;
pub mod compile;
pub mod config;
pub mod dockerfile;
pub mod elf;
pub mod error;
pub mod finding;
pub mod fs;
pub mod image;
pub mod oci;
pub mod plan;
pub mod platform;
pub mod process;
pub mod publish;
pub mod registry;
pub mod report;
pub mod shell;
pub mod threads;
pub mod timings;
pub mod ui;
pub mod verify;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Command, environment};
use crate::timings::Timings;
use crate::ui::Ui;

/// Runs the program with a command line, as `cargo multiarch …` or `cargo-multiarch …`.
pub fn run(mut args: Vec<OsString>) -> ExitCode {
    if let Some(zig) = zig_tool(&args) {
        return match zig.execute() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                Ui::new(0, ui::Color::Auto).error(&error);
                ExitCode::FAILURE
            }
        };
    }
    // cargo runs `cargo-multiarch multiarch …`.
    if args.get(1).is_some_and(|arg| arg == "multiarch") {
        args.remove(1);
    }
    let cli = match environment::parse_command_line(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal is no reason to panic over the help text.
            let _ = error.print();
            let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if help { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    let timings = if cli.records_timings() { Timings::enabled() } else { Timings::default() };
    let ui = Ui::new(cli.verbosity(), cli.color.unwrap_or_default()).with_timings(timings);
    let result = process::stop_children_on_interrupt().and_then(|()| match &cli.command {
        Command::Publish(args) => commands::publish::publish(args, &ui),
        Command::Build(args) => commands::build::build(args, &ui),
        Command::Compile(args) => commands::compile::compile(args, &ui),
        Command::Plan(args) => commands::plan::plan(args, &ui),
        Command::Verify(args) => commands::verify::verify(args, &ui),
        Command::Init(args) => commands::init::run(args, &ui),
        Command::Doctor(args) => commands::doctor::run(args, &ui),
        Command::Dockerfile(args) => commands::dockerfile::dockerfile(args, &ui),
        Command::Completions(args) => commands::completions::completions(args, &ui),
        Command::Man(args) => commands::man::man(args, &ui),
        Command::Schema => commands::schema::schema(&ui),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error::failure_class(&error).exit_code())
        }
    }
}

/// The compiler or linker that cargo-zigbuild's wrapper scripts run this very program as: `… zig cc -- ARGS`,
/// or `ar` and `lib` by the name it is called with.
fn zig_tool(args: &[OsString]) -> Option<cargo_zigbuild::Zig> {
    #[derive(Parser)]
    struct Tool {
        #[command(subcommand)]
        zig: cargo_zigbuild::Zig,
    }
    let name = Path::new(args.first()?).file_stem()?.to_str()?;
    let rest = || args.get(1..).unwrap_or_default().iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match name {
        "ar" => Some(cargo_zigbuild::Zig::Ar { args: rest() }),
        "lib" => Some(cargo_zigbuild::Zig::Lib { args: rest() }),
        name if name.ends_with("dlltool") => Some(cargo_zigbuild::Zig::Dlltool { args: rest() }),
        _ if args.get(1)? == "zig" => Tool::try_parse_from(&args[1..]).ok().map(|tool| tool.zig),
        _ => None,
    }
}
