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
use crate::fs;
use crate::plan::BuildSettings;
use crate::process::Cmd;

/// Returns the variables for all builds that are linked with zig or a cross gcc, and writes the files that the
/// variables refer to.
pub(crate) fn write(linkers: &BTreeMap<BuildSettings, LinkerSelection>, facts: &Facts) -> Result<CEnv> {
    let mut c_env = CEnv::new();
    for (settings, selection) in linkers {
        let build = facts.build(settings);
        let variables = match &selection.linker {
            Linker::Zig => zig(&build, &facts.rust)?,
            Linker::Gcc(gcc) => cross_gcc(&build, gcc),
            Linker::Configured(_) | Linker::Host | Linker::RustLld | Linker::Cross => continue,
        };
        c_env.insert(settings.clone(), variables);
    }
    Ok(c_env)
}

/// Writes cargo-zigbuild's wrapper scripts and a CMake toolchain file for a build, and returns the variables that refer
/// to them.
fn zig(build: &BuildFacts<'_>, rust: &RustToolchain) -> Result<CVariables> {
    let config = cargo_config2::Config::load()?;
    let target = match &build.settings.glibc {
        Some(glibc) => format!("{}.{glibc}", build.triple()),
        None => build.triple().to_owned(),
    };
    let args: Vec<String> = cargo_command::config_args(build, rust).into_iter().collect();
    let wrapper = cargo_zigbuild::zig::prepare_zig_linker_with_cli_config(&target, &config, &args, None)
        .with_context(|| format!("cannot set up zig for {target}"))?;
    let path = |path: &Path| path.display().to_string();
    let mut variables = CVariables::from([
        ("CC", path(&wrapper.cc)),
        ("CXX", path(&wrapper.cxx)),
        ("AR", path(&wrapper.ar)),
        ("RANLIB", path(&wrapper.ranlib)),
    ]);
    let toolchain_file = wrapper.cc.with_extension("cmake");
    let text = c_env::cmake_toolchain(build.triple(), &variables);
    // Another run may be reading the file, so replace it atomically, and only if its contents change.
    if !fs_err::read_to_string(&toolchain_file).is_ok_and(|existing| existing == text) {
        let path =
            Utf8Path::from_path(&toolchain_file).context("the path of the cache directory is not valid UTF-8")?;
        fs::write_atomically(path, text.as_bytes())?;
    }
    variables.insert("CMAKE_TOOLCHAIN_FILE", path(&toolchain_file));
    if build.dependencies.bindgen {
        let c = preprocessor_output(&wrapper.cc, "c");
        let args = c_env::zig_bindgen_args(&c, &preprocessor_output(&wrapper.cxx, "c++"));
        variables.extend(args.map(|args| (BINDGEN, args)));
    }
    Ok(variables)
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
