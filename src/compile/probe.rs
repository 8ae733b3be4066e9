//! Collects the facts needed for compiling: the Rust toolchain, standard libraries, linkers, and the dependencies of
//! each build. Makes no decisions based on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_config2::{Config, Flags, de};
use cargo_metadata::cargo_platform::Cfg;

use super::cross::Cross;
use super::facts::{BuildFacts, Facts, HostTools, PathRemap, RustToolchain, RustflagsVariable, TargetFacts, UserEnv};
use super::requirement::{Problem, Requirement};
use super::sysroot::{self, apt};
use super::{CompileRequest, c_variable_names, cargo_tree, link_overrides, memory, zig_program};
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure, message_with_causes};
use crate::platform::Platform;
use crate::process::{Cmd, check_interrupt, find_program};

/// The collected facts, and the problems found while collecting them.
pub(crate) struct Probed {
    pub facts: Facts,
    /// The problems in the order in which they were found.
    pub problems: Vec<Problem>,
}

impl Probed {
    /// Returns the facts, or the first problem as an error.
    pub(crate) fn into_result(self) -> Result<Facts, Failure> {
        match self.problems.into_iter().next() {
            Some(problem) => Err(problem.failure),
            None => Ok(self.facts),
        }
    }
}

/// Collects all the facts needed to compile the builds in `request`.
pub(crate) fn probe(request: &CompileRequest) -> Result<Probed> {
    let config = Config::load().context("cannot read cargo's configuration")?;
    let mut facts = Facts {
        rust: rust_toolchain(&config)?,
        tools: HostTools {
            zig: None,
            cross: find_cross(),
            available_memory: memory::available(),
            missing_for_sysroots: apt::PROGRAMS.into_iter().find(|program| find_program(program).is_none()),
        },
        env: user_env(&config, &request.paths.root),
        targets: BTreeMap::new(),
        dependencies: BTreeMap::new(),
        sysroots: sysroot::requested(&request.builds, &request.paths),
    };
    let mut problems = Vec::new();
    let mut cfgs = BTreeMap::new();
    for triple in request.triples() {
        let Some(printed) = print_target(&facts.rust.rustc, triple, &mut problems)? else { continue };
        let rustlib = printed.rustlib();
        let rust_src = rustlib.join("src/rust");
        facts.rust.rust_src = rust_src.join("library/std/Cargo.toml").is_file().then(|| rust_src.to_string());
        facts.rust.has_rust_lld = rustlib.join(&facts.rust.host).join("bin/rust-lld").is_file();
        facts.targets.insert(triple.to_owned(), target_facts(triple, &printed, request, &facts, &config)?);
        cfgs.insert(triple, printed.cfg);
    }
    match cargo_tree::summaries(request, &facts.rust.cargo, &cfgs) {
        Ok(dependencies) => facts.dependencies = dependencies,
        Err(failure) => problems.push(Problem::for_all(Requirement::LockFile, failure)),
    }
    // Look for zig only if a build may need it, because Python may have to be started, which is slow.
    let may_need_zig = request.builds.iter().any(|build| {
        facts.targets.contains_key(&build.settings.triple) && may_need_zig(&facts.build(&build.settings), &facts.rust)
    });
    facts.tools.zig = if may_need_zig { zig_program::find(&request.paths.cache_dir) } else { None };
    Ok(Probed { facts, problems })
}

/// Returns the Rust toolchain that `rustc -vV` describes. `probe` adds information about rust-lld and the standard
/// library's source later.
fn rust_toolchain(config: &Config) -> Result<RustToolchain> {
    // Skip the user's rustc wrapper, which is only needed for compiling.
    let rustc = config.build.rustc.clone().unwrap_or_else(|| "rustc".into());
    let printed = Cmd::new(&rustc).arg("-vV").read().map_err(|error| {
        Failure::new(Class::Toolchain, format!("cannot run rustc: {}", message_with_causes(&error)))
            .hint("install Rust: https://rustup.rs")
    })?;
    let field =
        |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let version = field("release:");
    Ok(RustToolchain {
        cargo: std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
        rustc,
        host: field("host:"),
        is_nightly: ["nightly", "dev"].iter().any(|channel| version.contains(channel)),
        version,
        has_rust_lld: false,
        rust_src: None,
        has_auditable: has_auditable(),
    })
}

fn user_env(config: &Config, root: &Utf8Path) -> UserEnv {
    let from_env = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let cargo_home = cargo_home().map(|home| PathRemap::new(home.display().to_string(), "/cargo"));
    UserEnv {
        rustflags: rustflags_in_env(),
        variables: from_env.chain(config.env.keys().cloned()).collect(),
        jobs: config.build.jobs,
        workspace_wrapper: config.build.rustc_workspace_wrapper.as_ref().map(|path| path.display().to_string()),
        path_remaps: [PathRemap::new(root.as_str(), "/workspace")].into_iter().chain(cargo_home).collect(),
    }
}

fn cargo_home() -> Option<PathBuf> {
    let in_home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(in_home)
}

fn rustflags_in_env() -> Option<Vec<String>> {
    if let Ok(encoded) = std::env::var("CARGO_ENCODED_RUSTFLAGS") {
        return Some(split_flags(&encoded, '\x1f'));
    }
    std::env::var("RUSTFLAGS").ok().map(|flags| split_flags(&flags, ' '))
}

fn split_flags(text: &str, separator: char) -> Vec<String> {
    text.split(separator).filter(|flag| !flag.is_empty()).map(str::to_owned).collect()
}

/// Reports whether cargo-auditable is installed where cargo searches for subcommands.
fn has_auditable() -> bool {
    const NAME: &str = "cargo-auditable";
    find_program(NAME).is_some() || cargo_home().is_some_and(|home| home.join("bin").join(NAME).is_file())
}

fn find_cross() -> Option<Cross> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    Some(Cross {
        program: find_program("cross")?,
        rustup: find_program("rustup"),
        has_containers: ["docker", "podman"].iter().any(|engine| find_program(engine).is_some()),
        container_opts: variable("CROSS_CONTAINER_OPTS"),
        path: variable("PATH"),
    })
}

/// The properties of a target, as printed by rustc.
struct PrintedTarget {
    libdir: Utf8PathBuf,
    cfg: Vec<Cfg>,
}

impl PrintedTarget {
    /// Returns the toolchain's `rustlib` directory, which contains a directory for each target.
    fn rustlib(&self) -> &Utf8Path {
        self.libdir.ancestors().nth(2).unwrap_or(&self.libdir)
    }
}

/// Runs rustc to get the properties of a target. If rustc does not support the target, adds a problem and returns
/// `None`.
fn print_target(rustc: &Path, triple: &str, problems: &mut Vec<Problem>) -> Result<Option<PrintedTarget>> {
    let args = ["--print", "target-libdir", "--print", "cfg", "--target", triple];
    let printed = match Cmd::new(rustc).args(args).read() {
        Ok(printed) => printed,
        Err(error) => {
            check_interrupt()?;
            let message = format!("rustc does not support the target '{triple}': {}", message_with_causes(&error));
            let failure = Failure::new(Class::Toolchain, message);
            problems.push(Problem::for_target(Requirement::Target, triple, failure));
            return Ok(None);
        }
    };
    let (libdir, cfg) = printed.split_once('\n').unwrap_or_default();
    let cfg = cfg.lines().filter_map(|line| Cfg::from_str(line).ok()).collect();
    Ok(Some(PrintedTarget { libdir: libdir.into(), cfg }))
}

fn target_facts(
    triple: &str,
    printed: &PrintedTarget,
    request: &CompileRequest,
    facts: &Facts,
    config: &Config,
) -> Result<TargetFacts> {
    let target = config.target(triple)?;
    let has_std = has_std(&printed.libdir);
    let builds_std = request.builds.iter().any(|build| build.settings.triple == triple && build.settings.build_std);
    let is_crt_static =
        |cfg: &Cfg| matches!(cfg, Cfg::KeyPair(key, value) if key == "target_feature" && value == "crt-static");
    let gcc = find_gcc(triple);
    let rustflags = UserRustflags::find(triple, target.rustflags, config)?;
    Ok(TargetFacts {
        is_host: triple == facts.rust.host,
        has_std,
        // A standard library that still has to be installed will include the C runtime, but one that is compiled
        // locally will not.
        self_contained: printed.libdir.join("self-contained/crt1.o").is_file() || (!has_std && !builds_std),
        crt_static: printed.cfg.iter().any(is_crt_static),
        global_rustflags: if rustflags.is_global { rustflags.flags.clone() } else { Vec::new() },
        rustflags: rustflags.flags,
        cfg_rustflags: rustflags.in_cfg_tables,
        rustflags_variable: rustflags.variable,
        configured_linker: target.linker.map(|linker| linker.display().to_string()),
        other_libc_gcc: if gcc.is_none() { find_gcc(&triple.replace("-musl", "-gnu")) } else { None },
        gcc,
        user_variables: c_variable_names::set_for_target(triple, &facts.env.variables),
        overridden_links: link_overrides::find(triple, &std::env::current_dir()?, cargo_home().as_deref()),
    })
}

/// The user's rustflags for one target.
struct UserRustflags {
    flags: Vec<String>,
    /// Whether the flags apply to all targets.
    is_global: bool,
    /// The number of flags at the end that come from `[target.'cfg(…)']` tables.
    in_cfg_tables: usize,
    /// The variable that set the last of the other flags.
    variable: Option<RustflagsVariable>,
}

impl UserRustflags {
    /// Finds the flags. `resolved` are the target's flags according to cargo-config2.
    fn find(triple: &str, resolved: Option<Flags>, config: &Config) -> Result<UserRustflags> {
        let mut flags = resolved.map(|flags| flags.flags).unwrap_or_default();
        // The resolved flags equal the global ones unless target-specific flags override them.
        let is_global = config.build.rustflags.as_ref().is_some_and(|global| global.flags == flags);
        let name = format!("CARGO_TARGET_{}_RUSTFLAGS", triple.replace('-', "_").to_uppercase());
        let name = if is_global { "CARGO_BUILD_RUSTFLAGS" } else { &name };
        let variable = std::env::var(name).ok().map(|value| split_flags(&value, ' ')).filter(|flags| !flags.is_empty());
        let in_variable = variable.as_ref().map_or(0, Vec::len);
        let mut in_cfg_tables = 0;
        if rustflags_in_env().is_none() {
            let files = de::Config::load().context("cannot read cargo's configuration")?;
            let in_table = |flags: Option<de::Flags>| flags.map_or_else(Vec::new, |flags| flags.flags);
            if !is_global {
                let in_triple_table = in_table(files.target.get(triple).and_then(|target| target.rustflags.clone()));
                in_cfg_tables = flags.len().saturating_sub(in_triple_table.len() + in_variable);
            } else if in_variable > 0 {
                // cargo appends the variable to the flags in files, but cargo-config2 drops those.
                let in_files = in_table(files.build.rustflags).into_iter().map(|flag| flag.val);
                flags = in_files.chain(flags).collect();
            }
        }
        let variable = variable.map(|flags| RustflagsVariable { name: name.to_owned(), flags: flags.len() });
        Ok(UserRustflags { flags, is_global, in_cfg_tables, variable })
    }
}

/// Reports whether a target's library directory contains the standard library.
fn has_std(libdir: &Utf8Path) -> bool {
    let Ok(entries) = fs_err::read_dir(libdir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// Returns the name of the cross gcc for a triple, if it is on PATH.
fn find_gcc(triple: &str) -> Option<String> {
    let name = format!("{}-gcc", Platform::gcc_prefix(triple)?);
    find_program(&name).map(|_| name)
}

fn may_need_zig(build: &BuildFacts<'_>, rust: &RustToolchain) -> bool {
    let needs_c = build.dependencies.needs_c.is_some();
    let rust_lld_links = build.is_musl() && build.target.self_contained && rust.has_rust_lld && !needs_c;
    let is_requested = build.settings.linker == Some(LinkerChoice::Zig) || build.settings.glibc.is_some();
    let has_other_linker = build.target.is_host || rust_lld_links;
    build.target.configured_linker.is_none() && (is_requested || !has_other_linker)
}
