//! Which cargo processes a plan needs, and their command lines. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::toolchain::{Choice, Linker};
use super::tools::Tools;
use crate::plan::{Binary, BuildSettings, Plan};
use crate::process::Cmd;

/// One cargo process: the same binaries for one or several target triples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub binaries: BTreeSet<Binary>,
    /// One for each triple.
    pub builds: Vec<BuildSettings>,
}

/// The compilers that zig's wrappers stand for, by triple and glibc floor.
pub type ZigWrappers = BTreeMap<(String, Option<String>), ZigWrapper>;

/// Paths of `zig cc` and its companions for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZigWrapper {
    pub cc: String,
    pub cxx: String,
    pub ar: String,
    pub ranlib: String,
}

/// Groups what is to be compiled into as few cargo processes as possible: one, unless images differ in features,
/// profile or variables, a triple is wanted with different flags, or RUSTFLAGS would hide flags per target.
pub fn group(plan: &Plan, tools: &Tools) -> Vec<Run> {
    let mut wanted: BTreeMap<&BuildSettings, BTreeSet<Binary>> = BTreeMap::new();
    for platform in plan.images.iter().flat_map(|image| &image.platforms) {
        wanted.entry(&platform.build).or_default().extend(platform.binaries.iter().cloned());
    }
    let mut runs: Vec<Run> = Vec::new();
    for (build, binaries) in wanted {
        let fits = |run: &&mut Run| {
            run.binaries == binaries
                && run.builds.iter().all(|other| {
                    let flags = |build: &BuildSettings| target_flags(build, tools);
                    alike(other, build)
                        && other.triple != build.triple
                        && (!tools.rustflags_in_env || flags(other) == flags(build))
                })
        };
        match runs.iter_mut().find(fits) {
            Some(run) => run.builds.push(build.clone()),
            None => runs.push(Run { binaries, builds: vec![build.clone()] }),
        }
    }
    runs
}

/// Can two builds share a cargo process, but for their targets?
fn alike(one: &BuildSettings, other: &BuildSettings) -> bool {
    let shared = |build: &BuildSettings| BuildSettings {
        triple: String::new(),
        rustflags: Vec::new(),
        linker: None,
        glibc: None,
        ..build.clone()
    };
    shared(one) == shared(other)
}

/// The flags that are added to the user's own for a target: the settings', and a static C runtime for musl
/// where that is not rustc's default.
pub fn target_flags(build: &BuildSettings, tools: &Tools) -> Vec<String> {
    let mut flags = build.rustflags.clone();
    let dynamic = tools.targets.get(&build.triple).is_some_and(|facts| !facts.crt_static);
    if build.triple.contains("-musl") && dynamic && !flags.iter().any(|flag| flag.contains("crt-static")) {
        flags.push("-Ctarget-feature=+crt-static".to_owned());
    }
    flags
}

/// cargo's `--config` arguments that carry [`target_flags`]; none where RUSTFLAGS has to carry them.
pub fn config_args(build: &BuildSettings, tools: &Tools) -> Option<String> {
    let flags = target_flags(build, tools);
    if flags.is_empty() || tools.rustflags_in_env {
        return None;
    }
    let hidden = tools.targets.get(&build.triple).map(|facts| facts.build_rustflags.as_slice()).unwrap_or_default();
    let all: Vec<String> =
        hidden.iter().chain(&flags).map(|flag| serde_json::Value::from(flag.as_str()).to_string()).collect();
    Some(format!("target.{}.rustflags=[{}]", build.triple, all.join(",")))
}

/// The command line of a run.
pub fn command(
    run: &Run,
    plan: &Plan,
    tools: &Tools,
    choices: &BTreeMap<BuildSettings, Choice>,
    zig: &ZigWrappers,
) -> Cmd {
    let Some(first) = run.builds.first() else { return Cmd::new(&tools.cargo) };
    let mut cmd = Cmd::new(&tools.cargo).arg("build").args(["--manifest-path", plan.manifest_path.as_str()]);
    let packages: BTreeSet<&str> = run.binaries.iter().map(|binary| binary.package.as_str()).collect();
    cmd = packages.iter().fold(cmd, |cmd, package| cmd.args(["--package", package]));
    cmd = run.binaries.iter().fold(cmd, |cmd, binary| cmd.args(["--bin", &binary.name]));
    cmd = run.builds.iter().fold(cmd, |cmd, build| cmd.args(["--target", &build.triple]));
    cmd = cmd.args(["--profile", &first.profile]);
    if !first.features.is_empty() {
        cmd = cmd.args(["--features", &first.features.join(",")]);
    }
    let jobs = plan.jobs.map(|jobs| format!("--jobs={jobs}"));
    let switches = [
        (first.all_features, "--all-features"),
        (first.no_default_features, "--no-default-features"),
        (plan.locked, "--locked"),
        (plan.offline, "--offline"),
        // The other platforms' binaries are still built, so that the report says who failed and who did not.
        (true, "--keep-going"),
        (true, "--message-format=json-render-diagnostics"),
    ];
    cmd = cmd.args(switches.iter().filter(|(on, _)| *on).map(|(_, switch)| *switch)).args(jobs);
    for build in &run.builds {
        if let Some(config) = config_args(build, tools) {
            cmd = cmd.args(["--config", &config]);
        }
        cmd = linker_env(cmd, build, choices.get(build).map(|choice| &choice.linker), zig);
    }
    let flags = target_flags(first, tools);
    if tools.rustflags_in_env && !flags.is_empty() {
        cmd = cmd.env("CARGO_ENCODED_RUSTFLAGS", with_user_flags(&flags));
    }
    first.env.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value))
}

fn linker_env(mut cmd: Cmd, build: &BuildSettings, linker: Option<&Linker>, zig: &ZigWrappers) -> Cmd {
    let target = build.triple.replace('-', "_");
    let variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase());
    match linker {
        None | Some(Linker::Configured(_) | Linker::Host) => cmd,
        Some(Linker::RustLld) => cmd.env(variable, "rust-lld"),
        Some(Linker::Gcc(gcc)) => cmd.env(variable, gcc),
        Some(Linker::Zig) => {
            if let Some(wrapper) = zig.get(&(build.triple.clone(), build.glibc.clone())) {
                cmd = cmd.env(variable, &wrapper.cc);
                for (name, path) in
                    [("CC", &wrapper.cc), ("CXX", &wrapper.cxx), ("AR", &wrapper.ar), ("RANLIB", &wrapper.ranlib)]
                {
                    let name = format!("{name}_{target}");
                    // What the user has set stays.
                    if std::env::var_os(&name).is_none() {
                        cmd = cmd.env(name, path);
                    }
                }
            }
            cmd
        }
    }
}

/// The user's flags from the environment and ours, in cargo's own encoding.
fn with_user_flags(flags: &[String]) -> String {
    let encoded = std::env::var("CARGO_ENCODED_RUSTFLAGS").ok().filter(|flags| !flags.is_empty());
    let plain = || std::env::var("RUSTFLAGS").unwrap_or_default().split_whitespace().collect::<Vec<_>>().join("\x1f");
    let user = encoded.unwrap_or_else(plain);
    let all: Vec<&str> =
        user.split('\x1f').filter(|flag| !flag.is_empty()).chain(flags.iter().map(String::as_str)).collect();
    all.join("\x1f")
}
