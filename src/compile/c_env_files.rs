//! Writes the wrapper scripts and CMake toolchain files for compiling a target's C code, and runs compilers to find
//! their include directories.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::c_env::{self, CEnv, CVariables};
use super::c_variable_names::BINDGEN;
use super::cargo_command;
use super::facts::{BuildFacts, Facts, RustToolchain};
use super::linker::types::{Linker, LinkerSelection};
use super::zig_program::ZigProgram;
use super::zig_script::ZigScripts;
use crate::fs;
use crate::oci::digest;
use crate::plan::BuildSettings;
use crate::process::Cmd;

/// Returns the variables for all builds that are linked with zig or a cross gcc, and writes the files that the
/// variables refer to.
pub(crate) fn write(
    linkers: &BTreeMap<BuildSettings, LinkerSelection>,
    facts: &Facts,
    cache_dir: &Utf8Path,
) -> Result<CEnv> {
    let mut c_env = CEnv::new();
    for (settings, selection) in linkers {
        let build = facts.build(settings);
        let variables = match &selection.linker {
            Linker::Zig => zig(&build, facts, cache_dir)?,
            Linker::Gcc(gcc) => cross_gcc(&build, gcc),
            Linker::Configured(_) | Linker::Host | Linker::RustLld | Linker::Cross => continue,
        };
        c_env.insert(settings.clone(), variables);
    }
    Ok(c_env)
}

/// Writes the scripts that run zig and a CMake toolchain file for a build, and returns the variables that refer to them.
fn zig(build: &BuildFacts<'_>, facts: &Facts, cache_dir: &Utf8Path) -> Result<CVariables> {
    let zig = facts.tools.zig.as_ref().context("zig is not installed")?;
    let exe = std::env::current_exe()?;
    let target_args = zig_target_args(build, &facts.rust, zig, &exe)?;
    let scripts = ZigScripts {
        zig,
        rustc_version: &facts.rust.version,
        exe: &exe,
        target_args: &target_args,
        adapts_links: build.triple().starts_with("arm"),
    };
    let compiler = scripts.compiler("cc");
    // Tools such as ccache compile again if a compiler changes, so keep an existing file, and never change it.
    let digest = digest::sha256(compiler.as_bytes());
    let dir = cache_dir.join("zig-scripts").join(digest::shorten_digest(digest.trim_start_matches("sha256:")));
    let script = |name: &str, text: String| {
        let path = dir.join(name);
        if !path.exists() {
            fs::write_program_atomically(&path, text.as_bytes())?;
        }
        anyhow::Ok(path.into_string())
    };
    let mut variables = CVariables::from([
        ("CC", script("cc", compiler)?),
        ("CXX", script("c++", scripts.compiler("c++"))?),
        ("AR", script("ar", scripts.tool("ar"))?),
        ("RANLIB", script("ranlib", scripts.tool("ranlib"))?),
    ]);
    let toolchain_file = dir.join("toolchain.cmake");
    if !toolchain_file.exists() {
        fs::write_atomically(&toolchain_file, c_env::cmake_toolchain(build.triple(), &variables).as_bytes())?;
    }
    variables.insert("CMAKE_TOOLCHAIN_FILE", toolchain_file.into_string());
    if build.dependencies.bindgen {
        let preprocess = |tool: &str, language: &str| preprocessor_output(variables[tool].as_ref(), language);
        let args = c_env::zig_bindgen_args(&preprocess("CC", "c"), &preprocess("CXX", "c++"));
        variables.extend(args.map(|args| (BINDGEN, args)));
    }
    Ok(variables)
}

/// Returns the arguments with which zig compiles for a build's target, quoted for a shell. cargo-zigbuild's library
/// decides on them. It reads environment variables to find zig, so another process of this program calls it.
fn zig_target_args(build: &BuildFacts<'_>, rust: &RustToolchain, zig: &ZigProgram, exe: &Path) -> Result<String> {
    let target = match &build.settings.glibc {
        Some(glibc) => format!("{}.{glibc}", build.triple()),
        None => build.triple().to_owned(),
    };
    let printed = Cmd::new(exe)
        .args(["zig", "target-args", &target])
        .args(cargo_command::config_args(build, rust))
        .env("CARGO_ZIGBUILD_ZIG_COMMAND", &zig.path)
        .env("CARGO_ZIGBUILD_ZIG_VERSION", zig.version.to_string())
        .read()
        .with_context(|| format!("cannot set up zig for {target}"))?;
    Ok(printed.trim().to_owned())
}

fn cross_gcc(build: &BuildFacts<'_>, gcc: &str) -> CVariables {
    let mut variables = c_env::gcc_variables(build.triple(), gcc);
    if build.dependencies.bindgen {
        let args = c_env::gcc_bindgen_args(&preprocessor_output(gcc.as_ref(), "c"));
        variables.extend(args.map(|args| (BINDGEN, args)));
    }
    variables
}

/// Returns a compiler's verbose output for an empty file, or an empty string if the compiler cannot run. The build
/// reports that error later, when it runs the compiler.
fn preprocessor_output(compiler: &Path, language: &str) -> String {
    let output = Cmd::new(compiler).args(["-E", "-v", "-x", language, "/dev/null"]).output();
    output.map(|output| output.stderr).unwrap_or_default()
}
