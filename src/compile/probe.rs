//! What the machine has for compiling, looked at once: rustc, the standard libraries of the targets, linkers.
//! Decides nothing; `toolchain` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use cargo_metadata::cargo_platform::Cfg;

use super::facts::{TargetFacts, Tools};
use super::linker::cross::{self};
use super::requirement::{OnProblem, Requirement};
use super::sysroot::{self, apt};
use super::{c_env, cargo_tree, target_env};
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure, message_with_causes};
use crate::plan::{BuildSettings, Plan};
use crate::platform::Platform;
use crate::process::{Cmd, check_interrupt, find_program};

fn cargo_home() -> Option<PathBuf> {
    let home = || Some(std::path::Path::new(&std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

pub fn remap(plan: &Plan) -> Vec<(String, String)> {
    let cargo_home = cargo_home().map(|home| (home.display().to_string(), "/cargo".to_owned()));
    [(plan.paths.root.to_string(), "/workspace".to_owned())].into_iter().chain(cargo_home).collect()
}

/// Looks at the machine for all triples of a plan.
pub fn probe(plan: &Plan) -> Result<Tools> {
    probe_with(plan, &mut |_, _, failure| Err(failure))
}

/// The same; whoever is told of what is in the way decides whether to go on without.
pub fn probe_with(plan: &Plan, in_the_way: OnProblem<'_>) -> Result<Tools> {
    let config = cargo_config2::Config::load().context("cannot read cargo's configuration")?;
    // Without the user's wrapper, which is for compiling.
    let rustc = config.build.rustc.clone().unwrap_or_else(|| "rustc".into());
    let version = Cmd::new(&rustc).arg("-vV").read().map_err(|error| {
        Failure::new(Class::Toolchain, format!("rustc does not run: {}", message_with_causes(&error)))
            .hint("install Rust: https://rustup.rs")
    })?;
    let field =
        |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let host = field("host:");
    let mut tools = Tools {
        cargo: std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
        rust_lld: false,
        rust_version: field("release:"),
        nightly: ["nightly", "dev"].iter().any(|channel| field("release:").contains(channel)),
        rust_src: None,
        auditable: has_auditable(),
        workspace_wrapper: config.build.rustc_workspace_wrapper.as_ref().map(|path| path.display().to_string()),
        zig: None,
        cross: cross::find(),
        env_rustflags: env_rustflags(),
        remap: remap(plan),
        variables: std::env::vars_os()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .chain(config.env.keys().cloned())
            .collect(),
        rustc,
        host,
        targets: BTreeMap::new(),
        graphs: BTreeMap::new(),
        sysroots: sysroot::wanted(plan),
        missing_apt: apt::PROGRAMS.into_iter().find(|program| find_program(program).is_none()),
    };
    let mut cfgs = BTreeMap::new();
    for triple in plan.triples() {
        let print = ["--print", "target-libdir", "--print", "cfg", "--target", triple];
        let printed = match Cmd::new(&tools.rustc).args(print).read() {
            Ok(printed) => printed,
            Err(error) => {
                check_interrupt()?;
                let what = format!("rustc does not know the target '{triple}': {}", message_with_causes(&error));
                in_the_way(Requirement::Target, Some(triple), Failure::new(Class::Toolchain, what))?;
                continue;
            }
        };
        let (libdir, cfg) = printed.split_once('\n').unwrap_or_default();
        let (libdir, cfg): (Utf8PathBuf, Vec<Cfg>) =
            (libdir.into(), cfg.lines().filter_map(|line| Cfg::from_str(line).ok()).collect());
        // The sysroot has a folder for each target, and the host's has the tools.
        let rustlib = libdir.ancestors().nth(2).unwrap_or(&libdir);
        let rust_src = rustlib.join("src/rust");
        tools.rust_src = rust_src.join("library/std/Cargo.toml").is_file().then(|| rust_src.to_string());
        tools.rust_lld = rustlib.join(&tools.host).join("bin/rust-lld").is_file();
        let target = config.target(triple)?;
        let facts = TargetFacts {
            std: has_std(&libdir),
            // What is not installed yet will come with it, but for a library that is compiled here.
            self_contained: libdir.join("self-contained/crt1.o").is_file()
                || (!has_std(&libdir) && !is_compiled_here(plan, triple)),
            crt_static: cfg
                .iter()
                .any(|cfg| matches!(cfg, Cfg::KeyPair(key, value) if key == "target_feature" && value == "crt-static")),
            // The resolved flags are the build-wide ones where no target-specific ones are there to win over them.
            build_rustflags: match (target.rustflags, &config.build.rustflags) {
                (Some(resolved), Some(build)) if resolved.flags == build.flags => resolved.flags,
                _ => Vec::new(),
            },
            configured_linker: target.linker.map(|linker| linker.display().to_string()),
            gcc: gcc(triple),
            other_gcc: gcc(&triple.replace("-musl", "-gnu")).filter(|_| gcc(triple).is_none()),
            env_tools: env_tools(triple, &tools.variables),
        };
        tools.targets.insert(triple.to_owned(), facts);
        cfgs.insert(triple, cfg);
    }
    tools.graphs = cargo_tree::graphs(plan, &tools.cargo, &cfgs).or_else(|failure| {
        in_the_way(Requirement::LockFile, None, failure)?;
        Ok::<_, Failure>(BTreeMap::new())
    })?;
    // Python takes its time to say whether it has zig: it is asked only where zig may be chosen.
    if plan.builds().any(|build| may_need_zig(build, &tools)) {
        tools.zig = find_zig();
    }
    Ok(tools)
}

/// Where cargo looks for its subcommands.
fn has_auditable() -> bool {
    const NAME: &str = "cargo-auditable";
    let home = || cargo_home().is_some_and(|home| home.join("bin").join(NAME).is_file());
    find_program(NAME).is_some() || home()
}

pub fn env_rustflags() -> Option<Vec<String>> {
    let split = |text: String, by: char| text.split(by).filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
    let encoded = std::env::var("CARGO_ENCODED_RUSTFLAGS").map(|text| split(text, '\x1f'));
    encoded.or_else(|_| std::env::var("RUSTFLAGS").map(|text| split(text, ' '))).ok()
}

fn is_compiled_here(plan: &Plan, triple: &str) -> bool {
    plan.builds().any(|build| build.triple == triple && build.build_std)
}

/// The cross gcc of a triple, when it is on PATH.
pub fn gcc(triple: &str) -> Option<String> {
    let name = format!("{}-gcc", Platform::gcc_prefix(triple)?);
    find_program(&name).map(|_| name)
}

/// As the crates `cc`, `cmake` and `bindgen` look for them.
pub fn env_tools(triple: &str, variables: &BTreeSet<String>) -> BTreeSet<&'static str> {
    let is_set = |tool: &&str| {
        let names = target_env::spellings(tool, triple);
        // A compiler for all targets is the host's; a toolchain file or bindgen's arguments are somebody's decision.
        let for_all = tool.contains('_') && variables.contains(*tool);
        for_all || names.iter().any(|name| variables.contains(name))
    };
    c_env::NAMES.into_iter().filter(is_set).collect()
}

fn may_need_zig(build: &BuildSettings, tools: &Tools) -> bool {
    let Some(facts) = tools.targets.get(&build.triple) else { return false };
    let needs_c = tools.graph(build).needs_c.is_some();
    let by_lld = build.triple.contains("-musl") && facts.self_contained && tools.rust_lld && !needs_c;
    let served = build.triple == tools.host || by_lld;
    let asked = build.linker == Some(LinkerChoice::Zig) || build.glibc.is_some();
    facts.configured_linker.is_none() && (asked || !served)
}

/// Is the standard library in a target's library folder?
pub fn has_std(libdir: &Utf8PathBuf) -> bool {
    let Ok(entries) = fs_err::read_dir(libdir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn find_zig() -> Option<String> {
    let (program, args) = cargo_zigbuild::Zig::find_zig().ok()?;
    Some(std::iter::once(program.display().to_string()).chain(args).collect::<Vec<_>>().join(" "))
}
