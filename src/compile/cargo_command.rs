//! Groups builds into cargo processes and creates their command lines.

use std::collections::{BTreeMap, BTreeSet};

use super::c_env::{self, CEnv};
use super::cross::Cross;
use super::facts::{BuildFacts, Facts, RustToolchain};
use super::linker::types::{Linker, LinkerSelection};
use super::{CompileRequest, sysroot};
use crate::plan::{Binary, Build, BuildSettings, CargoOptions};
use crate::process::Cmd;

/// A cargo process that compiles the same binaries for one or more target triples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CargoRun {
    /// The settings that all builds share. Settings that may differ between builds are left empty.
    pub shared: BuildSettings,
    pub binaries: BTreeSet<Binary>,
    /// The builds, one for each triple, in the plan's order.
    pub builds: Vec<Build>,
    /// Whether `cross` runs instead of cargo.
    pub by_cross: bool,
}

impl CargoRun {
    /// Returns the names of the binaries, separated by commas.
    pub(crate) fn binary_names(&self) -> String {
        self.binaries.iter().map(|binary| binary.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Returns the names of the binaries and platforms, such as `app for linux/amd64, linux/arm64`.
    pub(crate) fn description(&self) -> String {
        format!("{} for {}", self.binary_names(), self.platform_names())
    }

    /// Returns the names of the platforms, separated by commas.
    pub(crate) fn platform_names(&self) -> String {
        self.builds.iter().map(Build::name).collect::<Vec<_>>().join(", ")
    }
}

/// Groups builds into as few cargo processes as possible. Several processes are required if images differ in features,
/// profile or environment variables, if a triple is compiled with different flags, or if RUSTFLAGS would override flags
/// for individual targets. `cross` supports only one target per process.
pub(crate) fn group_runs(
    request: &CompileRequest,
    facts: &Facts,
    linkers: &BTreeMap<BuildSettings, LinkerSelection>,
) -> Vec<CargoRun> {
    let mut runs: Vec<CargoRun> = Vec::new();
    for build in request.sorted_builds() {
        let by_cross = linkers.get(&build.settings).is_some_and(|selection| selection.linker == Linker::Cross);
        let new = CargoRun {
            shared: shared_settings(&build.settings),
            binaries: build.binaries.clone(),
            builds: vec![build.clone()],
            by_cross,
        };
        match runs.iter_mut().find(|run| !by_cross && can_join(&new, run, facts)) {
            Some(run) => run.builds.extend(new.builds),
            None => runs.push(new),
        }
    }
    for run in &mut runs {
        run.builds.sort_by_key(|build| request.builds.iter().position(|other| other == build));
    }
    runs
}

/// Reports whether the builds of `new` can be added to `run`.
fn can_join(new: &CargoRun, run: &CargoRun, facts: &Facts) -> bool {
    let can_share = |one: &Build, other: &Build| {
        let (one, other) = (facts.build(&one.settings), facts.build(&other.settings));
        let flags = |build| target_flags(build, &facts.rust);
        one.triple() != other.triple()
            && c_env::can_share_process(&one, &other)
            && (facts.env.rustflags.is_none() || flags(&one) == flags(&other))
    };
    !run.by_cross
        && run.binaries == new.binaries
        && run.shared == new.shared
        && run.builds.iter().all(|build| new.builds.iter().all(|other| can_share(build, other)))
}

/// Returns the settings that must be the same for all builds of a cargo process.
fn shared_settings(settings: &BuildSettings) -> BuildSettings {
    BuildSettings {
        triple: String::new(),
        rustflags: Vec::new(),
        sysroot_packages: Vec::new(),
        linker: None,
        glibc: None,
        ..settings.clone()
    }
}

/// Returns the flags to add to the user's own for a target: those in the settings, `crt-static` for musl targets that
/// do not enable it by default, and path remappings.
pub(crate) fn target_flags(build: &BuildFacts<'_>, rust: &RustToolchain) -> Vec<String> {
    let mut flags = build.settings.rustflags.clone();
    if build.is_musl() && !build.target.crt_static && !flags.iter().any(|flag| flag.contains("crt-static")) {
        flags.push("-Ctarget-feature=+crt-static".to_owned());
    }
    flags.extend(build.sysroot.into_iter().flat_map(super::facts::Sysroot::rustflags));
    // The C runtime for musl targets ships with the prebuilt standard library. If the standard library is compiled from
    // source instead, the linker must provide the C runtime.
    if build.is_musl() && build.settings.build_std && !build.target.self_contained {
        flags.push("-Clink-self-contained=no".to_owned());
    }
    let remap = |from: &str, to: &str| format!("--remap-path-prefix={from}={to}");
    flags.extend(build.env.path_remaps.iter().map(|path| remap(&path.from, &path.to)));
    // A locally compiled standard library embeds the path of its source code, so remap that path too.
    if let (true, Some(rust_src)) = (build.settings.build_std, &rust.rust_src) {
        flags.push(remap(rust_src, "/rust"));
    }
    flags
}

/// Returns the value for cargo's `--config` flag that sets [`target_flags`], or `None` if there are no flags or if they
/// must be set in RUSTFLAGS instead.
pub(crate) fn config_args(build: &BuildFacts<'_>, rust: &RustToolchain) -> Option<String> {
    let flags = target_flags(build, rust);
    if flags.is_empty() || build.env.rustflags.is_some() {
        return None;
    }
    let quoted = |flag: &String| serde_json::Value::from(flag.as_str()).to_string();
    let all: Vec<String> = build.target.global_rustflags.iter().chain(&flags).map(quoted).collect();
    Some(format!("target.{}.rustflags=[{}]", build.triple(), all.join(",")))
}

/// Returns the cargo flags that affect dependency resolution: features, `--locked` and `--offline`.
pub(crate) fn resolver_flags(settings: &BuildSettings, options: &CargoOptions) -> Vec<String> {
    let features = (!settings.features.is_empty()).then(|| ["--features".to_owned(), settings.features.join(",")]);
    let switches = [
        (settings.all_features, "--all-features"),
        (settings.no_default_features, "--no-default-features"),
        (options.locked, "--locked"),
        (options.offline, "--offline"),
    ];
    let switches = switches.iter().filter(|(on, _)| *on).map(|(_, switch)| (*switch).to_owned());
    features.into_iter().flatten().chain(switches).collect()
}

/// The inputs for creating cargo command lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CargoCommands<'a> {
    pub request: &'a CompileRequest,
    pub facts: &'a Facts,
    pub linkers: &'a BTreeMap<BuildSettings, LinkerSelection>,
    pub auditable: bool,
    pub c_env: &'a CEnv,
}

impl CargoCommands<'_> {
    /// Returns the command line for a run.
    pub(crate) fn command(&self, run: &CargoRun) -> Cmd {
        let cross = self.facts.tools.cross.as_ref().filter(|_| run.by_cross);
        let mut builds: Vec<BuildFacts<'_>> =
            run.builds.iter().map(|build| self.facts.build(&build.settings)).collect();
        // Sort the builds so that the arguments do not depend on the order in the configuration.
        builds.sort_unstable_by_key(|build| build.settings);
        let mut cmd = self.program(cross);
        cmd = self.arguments(cmd, run, &builds);
        for build in &builds {
            if let Some(config) = config_args(build, &self.facts.rust) {
                cmd = cmd.args(["--config", &config]);
            }
            cmd = self.build_env(cmd, build);
        }
        if let Some(rustflags) = self.rustflags(run, &builds) {
            cmd = cmd.env("CARGO_ENCODED_RUSTFLAGS", rustflags);
        }
        if let Some(cross) = cross {
            cmd = cross.configure(cmd, &self.request.paths, &self.passed_to_cross(run, &builds));
        }
        run.shared.env.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value))
    }

    fn program(&self, cross: Option<&Cross>) -> Cmd {
        if let Some(cross) = cross {
            return Cmd::new(&cross.program).arg("build");
        }
        let subcommand = if self.auditable { &["auditable", "build"][..] } else { &["build"] };
        let manifest_path = self.request.paths.manifest_path.as_str();
        Cmd::new(&self.facts.rust.cargo).args(subcommand).args(["--manifest-path", manifest_path])
    }

    fn arguments(&self, mut cmd: Cmd, run: &CargoRun, builds: &[BuildFacts<'_>]) -> Cmd {
        let packages: BTreeSet<&str> = run.binaries.iter().map(|binary| binary.package.as_str()).collect();
        cmd = packages.iter().fold(cmd, |cmd, package| cmd.args(["--package", package]));
        cmd = run.binaries.iter().fold(cmd, |cmd, binary| cmd.args(["--bin", &binary.name]));
        cmd = builds.iter().fold(cmd, |cmd, build| cmd.args(["--target", build.triple()]));
        cmd = cmd.args(["--profile", &run.shared.profile]);
        cmd = cmd.args(resolver_flags(&run.shared, &self.request.options));
        if run.shared.build_std {
            // Include panic_abort, because the profile may select that panic strategy.
            cmd = cmd.arg("-Zbuild-std=std,panic_abort");
        }
        // After a failure, keep compiling for other platforms, so that errors for all platforms are reported.
        cmd = cmd.args(["--keep-going", "--message-format=json-render-diagnostics"]);
        cmd.args(self.request.options.jobs.map(|jobs| format!("--jobs={jobs}")))
    }

    /// Adds a build's environment variables for its linker, C compilers and sysroot.
    fn build_env(&self, mut cmd: Cmd, build: &BuildFacts<'_>) -> Cmd {
        if let Some(LinkerSelection { linker, .. }) = self.linkers.get(build.settings) {
            let c_variables = self.c_env.get(build.settings);
            let program = match linker {
                Linker::Configured(_) | Linker::Host | Linker::Cross => None,
                Linker::RustLld => Some("rust-lld"),
                Linker::Gcc(gcc) => Some(gcc.as_str()),
                Linker::Zig => c_variables.and_then(|variables| variables.get("CC")).map(String::as_str),
            };
            if let Some(program) = program {
                let target = build.triple().replace('-', "_").to_uppercase();
                cmd = cmd.env(format!("CARGO_TARGET_{target}_LINKER"), program);
            }
            let variables = c_env::variables(build, linker, c_variables);
            cmd = variables.into_iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
        }
        sysroot::variables(build).iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value))
    }

    /// Returns the user's RUSTFLAGS combined with the target flags, or `None` if RUSTFLAGS is unset or needs no change.
    /// If RUSTFLAGS is set, all builds of a run have the same target flags.
    fn rustflags(&self, run: &CargoRun, builds: &[BuildFacts<'_>]) -> Option<String> {
        let user = self.facts.env.rustflags.as_ref()?;
        let added = builds.first().map(|build| target_flags(build, &self.facts.rust)).unwrap_or_default();
        (!added.is_empty() || run.by_cross).then(|| [&user[..], &added].concat().join("\x1f"))
    }

    /// Returns the names of the variables that `cross` must forward to its container.
    fn passed_to_cross(&self, run: &CargoRun, builds: &[BuildFacts<'_>]) -> Vec<String> {
        let rustflags = self.facts.env.rustflags.as_ref().map(|_| "CARGO_ENCODED_RUSTFLAGS".to_owned());
        let jemalloc = builds.iter().filter_map(c_env::jemalloc_variable);
        run.shared.env.keys().cloned().chain(rustflags).chain(jemalloc).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::TargetFacts;
    use crate::plan::{Checkout, ConfigSources, Package, PlanRequest, Workspace, resolve};

    const AMD64: &str = "x86_64-unknown-linux-musl";
    const RISCV64: &str = "riscv64gc-unknown-linux-musl";

    /// Returns a request for the packages `a` and `b`, each with one binary named after it.
    fn request(config: &str) -> CompileRequest {
        let packages = ["a", "b"].map(|name| Package::for_tests(name, &[name]));
        let workspace = Workspace::with_packages("/w".into(), packages.into());
        let sources = ConfigSources { workspace: toml::from_str(config).unwrap(), ..ConfigSources::default() };
        let plan = resolve(&workspace, &sources, &Checkout::None, &PlanRequest::default()).unwrap();
        CompileRequest { builds: plan.unique_builds(), paths: plan.paths, options: plan.cargo }
    }

    /// Returns facts in which all targets except riscv64 link musl statically by default.
    fn facts(rustflags_in_env: bool) -> Facts {
        let targets = [(AMD64, true), ("aarch64-unknown-linux-musl", true), (RISCV64, false)];
        let target = |crt_static| TargetFacts { crt_static, ..TargetFacts::default() };
        let mut facts = Facts {
            targets: targets.iter().map(|(triple, crt_static)| ((*triple).to_owned(), target(*crt_static))).collect(),
            ..Facts::default()
        };
        facts.rust.cargo = "cargo".into();
        facts.env.rustflags = rustflags_in_env.then(|| vec!["-Cuser".to_owned()]);
        facts
    }

    fn select(request: &CompileRequest, linker: impl Fn(&str) -> Linker) -> BTreeMap<BuildSettings, LinkerSelection> {
        let selection =
            |settings: &BuildSettings| LinkerSelection { linker: linker(&settings.triple), why: String::new() };
        request.builds.iter().map(|build| (build.settings.clone(), selection(&build.settings))).collect()
    }

    fn line(
        run: &CargoRun,
        request: &CompileRequest,
        facts: &Facts,
        linkers: &BTreeMap<BuildSettings, LinkerSelection>,
    ) -> String {
        let c_env = CEnv::new();
        CargoCommands { request, facts, linkers, auditable: false, c_env: &c_env }.command(run).to_string()
    }

    #[test]
    fn uses_as_few_cargo_processes_as_possible() {
        const RISCV: &str = "platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']\n";
        for (why, config, in_env, expected) in [
            ("no differences", "", false, &["a b: aarch64 x86_64"][..]),
            (
                "features",
                "[images.a]\nfeatures = ['x']\n[images.b]",
                false,
                &["a: aarch64 x86_64", "b: aarch64 x86_64"],
            ),
            ("profiles", "[images.a]\nprofile = 'x'\n[images.b]", false, &["a: aarch64 x86_64", "b: aarch64 x86_64"]),
            (
                "one target's variables",
                "[platform.'linux/arm64']\nbuild-env = { X = '1' }",
                false,
                &["a b: aarch64", "a b: x86_64"],
            ),
            ("one target's flags", "[platform.'linux/arm64']\nrustflags = ['-Cx']", false, &["a b: aarch64 x86_64"]),
            (
                "build-std for one target",
                "[platform.'linux/arm64']\nbuild-std = true",
                false,
                &["a b: aarch64", "a b: x86_64"],
            ),
            ("one target's linker", "[platform.'linux/arm64']\nlinker = 'zig'", false, &["a b: aarch64 x86_64"]),
            (
                "one triple with different flags",
                "platforms = ['linux/amd64', 'linux/amd64/v3']",
                false,
                &["a b: x86_64", "a b: x86_64"],
            ),
            ("crt-static set with --config", RISCV, false, &["a b: aarch64 riscv64gc x86_64"]),
            ("crt-static set with RUSTFLAGS", RISCV, true, &["a b: aarch64 x86_64", "a b: riscv64gc"]),
        ] {
            let describe = |run: &CargoRun| {
                let names: Vec<&str> = run.binaries.iter().map(|binary| binary.name.as_str()).collect();
                let mut triples: Vec<&str> =
                    run.builds.iter().filter_map(|build| build.settings.triple.split('-').next()).collect();
                triples.sort_unstable();
                format!("{}: {}", names.join(" "), triples.join(" "))
            };
            let runs = group_runs(&request(config), &facts(in_env), &BTreeMap::new());
            let mut runs: Vec<String> = runs.iter().map(describe).collect();
            runs.sort_unstable();
            assert_eq!(runs, expected, "{why}");
        }
    }

    #[test]
    fn cross_compiles_one_target_per_process() {
        let request =
            request("platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']\nbuild-env = { X = 'secret' }");
        let mut facts = facts(false);
        facts.tools.cross = Some(Cross {
            program: "cross".into(),
            container_opts: "--init".into(),
            path: "/bin".into(),
            ..Cross::default()
        });
        let linkers = select(&request, |triple| if triple == AMD64 { Linker::Host } else { Linker::Cross });
        let runs = group_runs(&request, &facts, &linkers);
        assert_eq!(
            runs.iter().map(|run| (run.by_cross, run.builds.len())).collect::<Vec<_>>(),
            [(true, 1), (true, 1), (false, 1)]
        );
        let cargo_line = line(&runs[2], &request, &facts, &linkers);
        let line = line(&runs[0], &request, &facts, &linkers);
        assert!(line.starts_with("cd /w && PATH=/w/target/multiarch/+cross/bin:/bin "), "{line}");
        assert!(line.contains(" CROSS_CONTAINER_OPTS='--init --env X' X=secret cross build --package a"), "{line}");
        assert!(line.contains(" --target-dir /w/target/multiarch/+cross/target"), "{line}");
        assert!(cargo_line.contains(" cargo build") && !cargo_line.contains("CROSS"), "{cargo_line}");
    }

    #[test]
    fn target_flags_do_not_override_the_users_flags() {
        let build = |platform: &str, config: &str| {
            request(&format!("platforms = ['{platform}']\n{config}")).builds.remove(0).settings
        };
        let with_global = || {
            let mut facts = facts(false);
            facts.targets.values_mut().for_each(|target| target.global_rustflags.push("-Cuser".to_owned()));
            facts
        };
        let with_source = || {
            let mut facts = facts(false);
            facts.rust.rust_src = Some("/t/src/rust".into());
            facts
        };
        let flags = "rustflags = ['--cfg=a \"b\"']";
        for (platform, config, facts, expected) in [
            ("linux/amd64", "", with_global(), None),
            ("linux/riscv64", "", facts(false), Some(r#"rustflags=["-Ctarget-feature=+crt-static"]"#)),
            ("linux/riscv64", "", with_global(), Some(r#"rustflags=["-Cuser","-Ctarget-feature=+crt-static"]"#)),
            (
                "linux/riscv64",
                "rustflags = ['-Ctarget-feature=-crt-static']",
                facts(false),
                Some(r#"rustflags=["-Ctarget-feature=-crt-static"]"#),
            ),
            ("linux/amd64", flags, facts(false), Some(r#"rustflags=["--cfg=a \"b\""]"#)),
            ("linux/amd64/v3", "", facts(false), Some(r#"rustflags=["-Ctarget-cpu=x86-64-v3"]"#)),
            ("linux/amd64", flags, facts(true), None),
            (
                "linux/amd64",
                "build-std = true",
                with_source(),
                Some(r#"rustflags=["-Clink-self-contained=no","--remap-path-prefix=/t/src/rust=/rust"]"#),
            ),
        ] {
            let build = build(platform, config);
            let found = config_args(&facts.build(&build), &facts.rust);
            let found = found.as_deref().and_then(|text| text.split_once("-musl.")).map(|(_, flags)| flags);
            assert_eq!(found, expected, "{platform} {config}");
        }
    }

    #[test]
    fn rustflags_from_the_environment_are_kept() {
        let facts = facts(true);
        let line = |platform: &str| {
            let request = request(&format!("platforms = ['{platform}']"));
            let run = group_runs(&request, &facts, &BTreeMap::new()).remove(0);
            line(&run, &request, &facts, &BTreeMap::new())
        };
        let both = "CARGO_ENCODED_RUSTFLAGS='-Cuser\x1f-Ctarget-feature=+crt-static' cargo build";
        assert!(line("linux/riscv64").starts_with(both), "{}", line("linux/riscv64"));
        assert!(line("linux/amd64").starts_with("cargo build"), "the user's RUSTFLAGS need no change");
    }

    #[test]
    fn command_lines_depend_on_linker_and_settings() {
        let request = request(
            "platforms = ['linux/amd64', 'linux/riscv64']\nfeatures = ['x', 'y']\nno-default-features = true\n\
             locked = false\nprofile = 'dist'\nbuild-env = { X = '1' }",
        );
        let facts = facts(false);
        let run = group_runs(&request, &facts, &BTreeMap::new()).remove(0);
        let line = |linker: Linker| line(&run, &request, &facts, &select(&request, |_| linker.clone()));
        let rest = "X=1 cargo build --manifest-path /w/Cargo.toml --package a --package b --bin a --bin b \
            --target riscv64gc-unknown-linux-musl --target x86_64-unknown-linux-musl --profile dist --features x,y \
            --no-default-features --keep-going --message-format=json-render-diagnostics \
            --config 'target.riscv64gc-unknown-linux-musl.rustflags=[\"-Ctarget-feature=+crt-static\"]'";
        assert_eq!(line(Linker::Host), rest);
        assert_eq!(line(Linker::Configured("my-ld".into())), rest, "a configured linker is left to cargo");
        assert_eq!(
            line(Linker::RustLld),
            format!(
                "CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld {rest}"
            )
        );
        let (linkers, c_env) = (BTreeMap::new(), CEnv::new());
        let auditable =
            CargoCommands { request: &request, facts: &facts, linkers: &linkers, auditable: true, c_env: &c_env };
        let line = auditable.command(&run).to_string();
        assert!(line.starts_with("X=1 cargo auditable build --manifest-path "), "{line}");
        let mut with_std = run.clone();
        with_std.shared.build_std = true;
        assert!(auditable.command(&with_std).to_string().contains(" -Zbuild-std=std,panic_abort "));
    }
}
