//! Writes the files that C builds for a target need, and asks compilers where their headers are.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::c_env::{self, CEnv, CVariables};
use super::cargo_command;
use super::facts::{BuildFacts, Facts, RustToolchain};
use super::linker::selection::{Linker, LinkerSelection};
use super::target_env::BINDGEN;
use crate::fs;
use crate::plan::BuildSettings;
use crate::process::Cmd;

/// Returns the variables of every build that zig or a cross gcc links, and writes the files that they name.
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

/// Has cargo-zigbuild write its wrapper scripts.
fn zig(build: &BuildFacts<'_>, rust: &RustToolchain) -> Result<CVariables> {
    let config = cargo_config2::Config::load()?;
    let target = match &build.settings.glibc {
        Some(glibc) => format!("{}.{glibc}", build.triple()),
        None => build.triple().to_owned(),
    };
    let args: Vec<String> = cargo_command::config_args(build, rust).into_iter().collect();
    let wrapper = cargo_zigbuild::zig::prepare_zig_linker_with_cli_config(&target, &config, &args, None)
        .with_context(|| format!("zig cannot link for {target}"))?;
    let path = |path: &Path| path.display().to_string();
    let mut variables = CVariables::from([
        ("CC", path(&wrapper.cc)),
        ("CXX", path(&wrapper.cxx)),
        ("AR", path(&wrapper.ar)),
        ("RANLIB", path(&wrapper.ranlib)),
    ]);
    let toolchain_file = wrapper.cc.with_extension("cmake");
    let text = c_env::cmake_toolchain(build.triple(), &variables);
    // Another run may be reading it.
    if !fs_err::read_to_string(&toolchain_file).is_ok_and(|existing| existing == text) {
        let path = Utf8Path::from_path(&toolchain_file).context("the cache's path is not UTF-8")?;
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

/// What a compiler prints about itself when it preprocesses an empty file. Empty if it does not run, which its user will
/// report.
fn preprocessor_output(compiler: &Path, language: &str) -> String {
    let output = Cmd::new(compiler).args(["-E", "-v", "-x", language, "/dev/null"]).output();
    output.map(|output| output.stderr).unwrap_or_default()
}
