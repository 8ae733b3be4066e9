//! `cargo multiarch` cross-compiles a Rust workspace and publishes it as multi-platform container images.
//!
//! Data flows in one direction, through these stages:
//!
//! - `cli`, `config`, `plan`: turn flags, environment variables and configuration files into a `plan::Plan`, which is
//!   pure data
//! - `compile`: cross-compiles the binaries, with one cargo job graph for all target triples
//! - `dockerfile`, `image`: build an OCI layout per image, with the embedded engine or `docker buildx`
//! - `verify`: inspects the images to check that they can start on every platform
//! - `publish`: pushes blobs and manifests by digest, then moves tags
//! - `report`: formats the results of a run
//!
//! `commands` composes these stages, with one file per subcommand. The other modules do not depend on any stage:
//! `registry`, `credentials`, `secrets`, `oci`, `host`, `elf`, `ui`, `fs`, `finding`, `platform`, `timings`, `process`,
//! `shell`, `error` and `threads`.

#![cfg(unix)]

mod cli;
mod commands;
mod compile;
mod config;
mod credentials;
mod dockerfile;
mod elf;
mod error;
mod finding;
mod fs;
mod host;
mod image;
mod oci;
mod plan;
mod platform;
mod process;
mod publish;
mod registry;
mod report;
mod secrets;
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

/// Runs the command line `cargo multiarch …` or `cargo-multiarch …` and returns the exit code.
pub fn run(mut args: Vec<OsString>) -> ExitCode {
    if let Some(command) = zig::command(&args) {
        return zig::run(command);
    }
    // cargo passes the subcommand's name as the first argument.
    if args.get(1).is_some_and(|arg| arg == "multiarch") {
        args.remove(1);
    }
    let cli = match environment::parse_command_line(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Printing fails if the output is closed, which should not cause a panic.
            let _ = error.print();
            let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if help { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    credentials::register_secrets();
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
        Command::Login(args) => commands::login::login(args, &ui),
        Command::Logout(args) => commands::login::logout(args, &ui),
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
