//! Runs zig as a C compiler or linker with adapted arguments. The scripts that `compile::zig_script` renders call this
//! program to do so.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use cargo_zigbuild::Zig;
use clap::Parser;

use crate::compile::linker::zig_args::ZigArgs;
use crate::elf::strip::without_debug_sections;
use crate::ui::{Color, Ui};

/// What the scripts for zig, and the program that writes them, call this program for.
#[derive(Parser)]
pub(crate) enum ZigCommand {
    /// Run `zig cc` with arguments for gcc.
    Cc {
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run `zig c++` with arguments for g++.
    #[command(name = "c++")]
    Cxx {
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Print the arguments with which zig compiles for a target, quoted for a shell.
    TargetArgs {
        /// A target triple, optionally with a glibc version.
        target: String,
        /// The value of cargo's `--config`.
        config: Option<String>,
    },
}

/// Runs a command. If it fails, prints the error and returns a failure exit code.
pub(crate) fn run(command: ZigCommand) -> ExitCode {
    let result = match command {
        ZigCommand::Cc { args } => compile_or_link(args, |args| Zig::Cc { args }),
        ZigCommand::Cxx { args } => compile_or_link(args, |args| Zig::Cxx { args }),
        ZigCommand::TargetArgs { target, config } => print_target_args(&target, config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Ui::new(0, Color::Auto).error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Extracts the arguments from the script that cargo-zigbuild's library writes, because the library does not return
/// them.
fn print_target_args(target: &str, config: Option<String>) -> Result<()> {
    let cargo_config = cargo_config2::Config::load()?;
    let config: Vec<String> = config.into_iter().collect();
    let wrapper = cargo_zigbuild::zig::prepare_zig_linker_with_cli_config(target, &cargo_config, &config, None)?;
    let script = fs_err::read_to_string(&wrapper.cc)?;
    let args = script.split_once(" zig cc -- ").and_then(|(_, args)| args.trim_end().strip_suffix(" \"$@\""));
    let args = args.with_context(|| format!("unexpected script of cargo-zigbuild: {}", wrapper.cc.display()))?;
    Ok(Ui::new(0, Color::Auto).data(args)?)
}

/// Runs `zig cc` or `zig c++` with adapted arguments, and removes debug information from the output if they request it.
fn compile_or_link(args: Vec<String>, tool: impl Fn(Vec<String>) -> Zig) -> Result<()> {
    let response_files: Vec<String> = args
        .iter()
        .filter_map(|arg| arg.strip_prefix('@').filter(|path| path.ends_with("linker-arguments")))
        .map(str::to_owned)
        .collect();
    let mut adapted = ZigArgs::adapt(args);
    for path in response_files {
        let in_file = ZigArgs::adapt_response_file(&fs_err::read_to_string(&path)?);
        fs_err::write(&path, in_file.args.join("\n"))?;
        adapted.merge(in_file);
    }
    let to_strip = adapted.file_to_strip().map(str::to_owned);
    tool(adapted.args).execute()?;
    if let Some(path) = to_strip {
        strip_debug(&path)?;
    }
    Ok(())
}

/// Removes debug information from an executable or shared library. Leaves other outputs unchanged, such as `/dev/null`
/// in checks of what the compiler supports.
fn strip_debug(path: &str) -> Result<()> {
    if !Path::new(path).is_file() {
        return Ok(());
    }
    let bytes = fs_err::read(path)?;
    if let Some(stripped) = without_debug_sections(&bytes).with_context(|| format!("cannot strip {path}"))? {
        // Write in place, to keep the file's mode.
        fs_err::write(path, stripped)?;
    }
    Ok(())
}

/// Parses a command line such as `… zig cc -- ARGS`. Returns `None` if it does not invoke a zig command.
pub(crate) fn command(args: &[OsString]) -> Option<ZigCommand> {
    if args.get(1)? != "zig" {
        return None;
    }
    ZigCommand::try_parse_from(&args[1..]).ok()
}
