//! Runs zig as a C compiler, linker or archiver. cargo-zigbuild's wrapper scripts call this program to do so.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use cargo_zigbuild::Zig;
use clap::Parser;

use crate::compile::linker::zig_args::ZigArgs;
use crate::elf::strip::without_debug_sections;
use crate::ui::{Color, Ui};

/// Runs a zig tool. If it fails, prints the error and returns a failure exit code.
pub(crate) fn run(tool: Zig) -> ExitCode {
    let result = match tool {
        Zig::Cc { args } => compile_or_link(args, |args| Zig::Cc { args }),
        Zig::Cxx { args } => compile_or_link(args, |args| Zig::Cxx { args }),
        other => other.execute(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Ui::new(0, Color::Auto).error(&error);
            ExitCode::FAILURE
        }
    }
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
