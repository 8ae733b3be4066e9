//! `cargo multiarch`: a Rust workspace in, one multi-platform container image tag out.
//!
//! Data flows one way, and a command reads from top to bottom in this order:
//!
//! - `cli`, `config`, `plan`: flags, environment and configuration files become a `plan::Plan`, which is pure data
//! - `compile`: cross-compiles the binaries, with one cargo job graph for all target triples
//! - `dockerfile`, `image`: build an OCI layout per image, with the embedded engine or `docker buildx`
//! - `verify`: proves from the bytes that every platform can start
//! - `publish`: pushes blobs and manifests by digest, then moves tags
//! - `report`: everything printed or written about a run
//!
//! `commands` composes these stages, one file per subcommand. Everything else is a foundation that knows no stage:
//! `registry`, `oci`, `elf`, `ui`, `fs`, `finding`, `platform`, `timings`, `process`, `shell`, `error`
//! and `threads`.

mod cli;
mod commands;
mod compile;
mod config;
mod dockerfile;
mod elf;
mod error;
mod finding;
mod fs;
mod image;
mod oci;
mod plan;
mod platform;
mod process;
mod publish;
mod registry;
mod report;
mod shell;
mod threads;
mod timings;
mod ui;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::cli::{Command, environment};
use crate::commands::zig;
use crate::timings::Timings;
use crate::ui::Ui;

/// Runs the program with a command line, as `cargo multiarch …` or `cargo-multiarch …`.
pub fn run(mut args: Vec<OsString>) -> ExitCode {
    if let Some(tool) = zig::tool(&args) {
        return zig::run(&tool);
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
