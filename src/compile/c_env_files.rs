//! Writes what C builds need of a target, and asks compilers where their headers are: the edge of `native`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::c_env::{self, BINDGEN, CEnv};
use super::cargo_command;
use super::facts::Tools;
use super::linker::choice::{Choice, Linker};
use crate::fs;
use crate::plan::BuildSettings;
use crate::process::Cmd;

type Variables = BTreeMap<&'static str, String>;

/// The variables of every build that zig or a cross gcc links; what they name is there afterwards.
pub fn write(choices: &BTreeMap<BuildSettings, Choice>, tools: &Tools) -> Result<CEnv> {
    let mut all = CEnv::new();
    for (build, choice) in choices {
        let variables = match &choice.linker {
            Linker::Zig => zig(build, tools)?,
            Linker::Gcc(gcc) => cross_gcc(build, gcc, tools),
            Linker::Configured(_) | Linker::Host | Linker::RustLld | Linker::Cross => continue,
        };
        all.insert(build.clone(), variables);
    }
    Ok(all)
}

/// Has cargo-zigbuild write its wrapper scripts.
fn zig(build: &BuildSettings, tools: &Tools) -> Result<Variables> {
    let config = cargo_config2::Config::load()?;
    let target = match &build.glibc {
        Some(glibc) => format!("{}.{glibc}", build.triple),
        None => build.triple.clone(),
    };
    let args: Vec<String> = cargo_command::config_args(build, tools).into_iter().collect();
    let wrapper = cargo_zigbuild::zig::prepare_zig_linker_with_cli_config(&target, &config, &args, None)
        .with_context(|| format!("zig cannot link for {target}"))?;
    let file = wrapper.cc.with_extension("cmake");
    let path = |path: &std::path::Path| path.display().to_string();
    let mut variables = Variables::from([
        ("CC", path(&wrapper.cc)),
        ("CXX", path(&wrapper.cxx)),
        ("AR", path(&wrapper.ar)),
        ("RANLIB", path(&wrapper.ranlib)),
    ]);
    let text = c_env::cmake_toolchain(&build.triple, &variables);
    // Another run may be reading it.
    if !fs_err::read_to_string(&file).is_ok_and(|there| there == text) {
        fs::write_atomically(
            camino::Utf8Path::from_path(&file).context("the cache's path is not UTF-8")?,
            text.as_bytes(),
        )?;
    }
    variables.insert("CMAKE_TOOLCHAIN_FILE", path(&file));
    if tools.graph(build).bindgen {
        let c = searched(&wrapper.cc, "c");
        let args = c_env::bindgen_of_zig(&c, &searched(&wrapper.cxx, "c++"));
        variables.extend(args.map(|args| (BINDGEN, args)));
    }
    Ok(variables)
}

fn cross_gcc(build: &BuildSettings, gcc: &str, tools: &Tools) -> Variables {
    let mut variables = c_env::of_gcc(&build.triple, gcc);
    if tools.graph(build).bindgen {
        variables.extend(c_env::bindgen_of_gcc(&searched(gcc.as_ref(), "c")).map(|args| (BINDGEN, args)));
    }
    variables
}

/// What a compiler says of itself while it has nothing to do; where it does not run, what needs it will say so.
fn searched(compiler: &std::path::Path, language: &str) -> String {
    let output = Cmd::new(compiler).args(["-E", "-v", "-x", language, "/dev/null"]).output();
    output.map(|output| output.stderr).unwrap_or_default()
}
