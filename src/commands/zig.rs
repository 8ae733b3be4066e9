//! Runs zig as a C compiler, linker or archiver. cargo-zigbuild's wrapper scripts call this program to do so.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use cargo_zigbuild::Zig;
use clap::Parser;

use crate::ui::{Color, Ui};

/// Runs a zig tool. If it fails, prints the error and returns a failure exit code.
pub(crate) fn run(tool: &Zig) -> ExitCode {
    match tool.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Ui::new(0, Color::Auto).error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Returns the zig tool that a command line requests, either with arguments such as `… zig cc -- ARGS`, or by invoking
/// the program as `ar`, `lib` or `dlltool`.
pub(crate) fn tool(args: &[OsString]) -> Option<Zig> {
    #[derive(Parser)]
    struct Tool {
        #[command(subcommand)]
        zig: Zig,
    }
    let name = Path::new(args.first()?).file_stem()?.to_str()?;
    let rest = || args.get(1..).unwrap_or_default().iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match name {
        "ar" => Some(Zig::Ar { args: rest() }),
        "lib" => Some(Zig::Lib { args: rest() }),
        name if name.ends_with("dlltool") => Some(Zig::Dlltool { args: rest() }),
        _ if args.get(1)? == "zig" => Tool::try_parse_from(&args[1..]).ok().map(|tool| tool.zig),
        _ => None,
    }
}
