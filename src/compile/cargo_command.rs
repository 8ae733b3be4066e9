//! Which cargo processes a plan needs, and their command lines. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::c_env::{self, CEnv};
use super::facts::Tools;
use super::linker::choice::{Choice, Linker};
use super::sysroot;
use super::toolchain::Toolchain;
use crate::plan::{Binary, BuildSettings, Plan};
use crate::process::Cmd;

/// One cargo process: the same binaries for one or several target triples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CargoRun {
    pub binaries: BTreeSet<Binary>,
    /// One for each triple.
    pub builds: Vec<BuildSettings>,
    /// The program `cross` runs it.
    pub by_cross: bool,
}

/// Groups what is to be compiled into as few cargo processes as possible: one, unless images differ in features,
/// profile or variables, a triple is wanted with different flags, or RUSTFLAGS would hide flags per target. `cross`
/// takes one target at a time.
pub fn group_runs(plan: &Plan, tools: &Tools, choices: &BTreeMap<BuildSettings, Choice>) -> Vec<CargoRun> {
    let mut wanted: BTreeMap<&BuildSettings, BTreeSet<Binary>> = BTreeMap::new();
    for platform in plan.platforms() {
        wanted.entry(&platform.build).or_default().extend(platform.binaries.iter().cloned());
    }
    let mut runs: Vec<CargoRun> = Vec::new();
    for (build, binaries) in wanted {
        let by_cross = choices.get(build).is_some_and(|choice| choice.linker == Linker::Cross);
        let fits = |run: &&mut CargoRun| {
            !by_cross
                && !run.by_cross
                && run.binaries == binaries
                && run.builds.iter().all(|other| {
                    let flags = |build: &BuildSettings| target_flags(build, tools);
                    alike(other, build)
                        && c_env::share_variables(other, build, tools)
                        && other.triple != build.triple
                        && (tools.env_rustflags.is_none() || flags(other) == flags(build))
                })
        };
        match runs.iter_mut().find(fits) {
            Some(run) => run.builds.push(build.clone()),
            None => runs.push(CargoRun { binaries, builds: vec![build.clone()], by_cross }),
        }
    }
    runs
}

/// Can two builds share a cargo process, but for their targets?
fn alike(one: &BuildSettings, other: &BuildSettings) -> bool {
    let shared = |build: &BuildSettings| BuildSettings {
        triple: String::new(),
        rustflags: Vec::new(),
        sysroot_packages: Vec::new(),
        linker: None,
        glibc: None,
        ..build.clone()
    };
    shared(one) == shared(other)
}

/// The flags that are added to the user's own for a target: the settings', a static C runtime for musl where that is
/// not rustc's default, and names for this machine's folders.
pub fn target_flags(build: &BuildSettings, tools: &Tools) -> Vec<String> {
    let mut flags = build.rustflags.clone();
    let dynamic = tools.targets.get(&build.triple).is_some_and(|facts| !facts.crt_static);
    if build.triple.contains("-musl") && dynamic && !flags.iter().any(|flag| flag.contains("crt-static")) {
        flags.push("-Ctarget-feature=+crt-static".to_owned());
    }
    flags.extend(sysroot::flags(build, tools));
    // The start files of a musl target come with its standard library; where that is compiled, they are the linker's.
    let bare = tools.targets.get(&build.triple).is_some_and(|facts| !facts.self_contained);
    if build.triple.contains("-musl") && build.build_std && bare {
        flags.push("-Clink-self-contained=no".to_owned());
    }
    // As for the other folders of this machine: the source of a library that is compiled here is named in it.
    let rust_src = tools.rust_src.iter().filter(|_| build.build_std).map(|folder| (folder, "/rust"));
    let remap = tools.remap.iter().map(|(from, to)| (from, to.as_str())).chain(rust_src);
    flags.extend(remap.map(|(from, to)| format!("--remap-path-prefix={from}={to}")));
    flags
}

/// cargo's `--config` arguments that carry [`target_flags`]; none where RUSTFLAGS has to carry them.
pub fn config_args(build: &BuildSettings, tools: &Tools) -> Option<String> {
    let flags = target_flags(build, tools);
    if flags.is_empty() || tools.env_rustflags.is_some() {
        return None;
    }
    let hidden = tools.targets.get(&build.triple).map(|facts| facts.build_rustflags.as_slice()).unwrap_or_default();
    let all: Vec<String> =
        hidden.iter().chain(&flags).map(|flag| serde_json::Value::from(flag.as_str()).to_string()).collect();
    Some(format!("target.{}.rustflags=[{}]", build.triple, all.join(",")))
}

/// What cargo's resolver is told of a build: its features, and whether anything may be changed or fetched.
pub fn resolver_flags(build: &BuildSettings, plan: &Plan) -> Vec<String> {
    let features = (!build.features.is_empty()).then(|| ["--features".to_owned(), build.features.join(",")]);
    let switches = [
        (build.all_features, "--all-features"),
        (build.no_default_features, "--no-default-features"),
        (plan.cargo.locked, "--locked"),
        (plan.cargo.offline, "--offline"),
    ];
    let switches = switches.iter().filter(|(on, _)| *on).map(|(_, switch)| (*switch).to_owned());
    features.into_iter().flatten().chain(switches).collect()
}

/// The command line of a run.
pub fn command(run: &CargoRun, plan: &Plan, toolchain: &Toolchain, native: &CEnv) -> Cmd {
    let Toolchain { tools, choices, .. } = toolchain;
    let Some(first) = run.builds.first() else { return Cmd::new(&tools.cargo) };
    let cross = tools.cross.as_ref().filter(|_| run.by_cross);
    let mut cmd = Cmd::new(cross.map_or(&tools.cargo, |cross| &cross.program));
    if cross.is_none() {
        cmd = cmd.args(toolchain.auditable.then_some("auditable"));
    }
    cmd = cmd.arg("build");
    if cross.is_none() {
        cmd = cmd.args(["--manifest-path", plan.paths.manifest_path.as_str()]);
    }
    let packages: BTreeSet<&str> = run.binaries.iter().map(|binary| binary.package.as_str()).collect();
    cmd = packages.iter().fold(cmd, |cmd, package| cmd.args(["--package", package]));
    cmd = run.binaries.iter().fold(cmd, |cmd, binary| cmd.args(["--bin", &binary.name]));
    cmd = run.builds.iter().fold(cmd, |cmd, build| cmd.args(["--target", &build.triple]));
    cmd = cmd.args(["--profile", &first.profile]);
    cmd = cmd.args(resolver_flags(first, plan));
    let jobs = plan.cargo.jobs.map(|jobs| format!("--jobs={jobs}"));
    let switches = [
        // Both kinds of panic: the profile decides which is linked.
        (first.build_std, "-Zbuild-std=std,panic_abort"),
        // The other platforms' binaries are still built, so that the report says who failed and who did not.
        (true, "--keep-going"),
        (true, "--message-format=json-render-diagnostics"),
    ];
    cmd = cmd.args(switches.iter().filter(|(on, _)| *on).map(|(_, switch)| *switch)).args(jobs);
    for build in &run.builds {
        if let Some(config) = config_args(build, tools) {
            cmd = cmd.args(["--config", &config]);
        }
        cmd = linker_env(cmd, build, choices.get(build).map(|choice| &choice.linker), tools, native);
        cmd = sysroot::variables(build, tools).iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
    }
    let flags = target_flags(first, tools);
    if let Some(user) = tools.env_rustflags.as_ref().filter(|_| !flags.is_empty() || run.by_cross) {
        cmd = cmd.env("CARGO_ENCODED_RUSTFLAGS", [&user[..], &flags].concat().join("\x1f"));
    }
    if let Some(cross) = cross {
        let flags = tools.env_rustflags.as_ref().map(|_| "CARGO_ENCODED_RUSTFLAGS".to_owned());
        let passed = first.env.keys().cloned().chain(flags).chain(c_env::lg_page(first, tools));
        cmd = cross.configure(cmd, plan, &passed.collect::<Vec<_>>());
    }
    first.env.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value))
}

fn linker_env(mut cmd: Cmd, build: &BuildSettings, linker: Option<&Linker>, tools: &Tools, native: &CEnv) -> Cmd {
    let Some(linker) = linker else { return cmd };
    let program = match linker {
        Linker::Configured(_) | Linker::Host | Linker::Cross => None,
        Linker::RustLld => Some("rust-lld"),
        Linker::Gcc(gcc) => Some(gcc.as_str()),
        Linker::Zig => native.get(build).and_then(|variables| variables.get("CC")).map(String::as_str),
    };
    if let Some(program) = program {
        let target = build.triple.replace('-', "_").to_uppercase();
        cmd = cmd.env(format!("CARGO_TARGET_{target}_LINKER"), program);
    }
    let variables = c_env::variables(build, linker, tools, native);
    variables.into_iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::TargetFacts;
    use crate::compile::linker::cross::Cross;
    use crate::plan::{Checkout, ConfigSources, Package, PlanRequest, Workspace, resolve};

    const AMD64: &str = "x86_64-unknown-linux-musl";
    const RISCV64: &str = "riscv64gc-unknown-linux-musl";

    /// The plan of packages `a` and `b`, each with the binary of its name.
    fn plan(config: &str) -> Plan {
        let packages = ["a", "b"].map(|name| Package::for_tests(name, &[name]));
        let workspace = Workspace::with_packages("/w".into(), packages.into());
        let sources = ConfigSources { workspace: toml::from_str(config).unwrap(), ..ConfigSources::default() };
        resolve(&workspace, &sources, &Checkout::None, &PlanRequest::default()).unwrap()
    }

    /// x86-64 links musl statically by default, riscv64 does not.
    fn tools(rustflags_in_env: bool, build_rustflags: &[&str]) -> Tools {
        let facts = |crt_static| TargetFacts {
            crt_static,
            build_rustflags: build_rustflags.iter().map(|flag| (*flag).to_owned()).collect(),
            ..TargetFacts::default()
        };
        let targets = [(AMD64, true), ("aarch64-unknown-linux-musl", true), (RISCV64, false)];
        Tools {
            cargo: "cargo".into(),
            env_rustflags: rustflags_in_env.then(|| vec!["-Cuser".to_owned()]),
            targets: targets.iter().map(|(triple, crt_static)| ((*triple).to_owned(), facts(*crt_static))).collect(),
            ..Tools::default()
        }
    }

    fn toolchain(tools: &Tools, choices: BTreeMap<BuildSettings, Choice>) -> Toolchain {
        Toolchain { tools: tools.clone(), choices, auditable: false, notes: vec![] }
    }

    #[test]
    fn as_few_cargo_processes_as_possible() {
        const RISCV: &str = "platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']\n";
        for (why, config, in_env, expected) in [
            ("one for all", "", false, &["a b: aarch64 x86_64"][..]),
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
                "a standard library of one's own",
                "[platform.'linux/arm64']\nbuild-std = true",
                false,
                &["a b: aarch64", "a b: x86_64"],
            ),
            ("linkers", "[platform.'linux/arm64']\nlinker = 'zig'", false, &["a b: aarch64 x86_64"]),
            ("a triple twice", "platforms = ['linux/amd64', 'linux/amd64/v3']", false, &["a b: x86_64", "a b: x86_64"]),
            ("crt-static by --config", RISCV, false, &["a b: aarch64 riscv64gc x86_64"]),
            ("crt-static by RUSTFLAGS", RISCV, true, &["a b: aarch64 x86_64", "a b: riscv64gc"]),
        ] {
            let line = |run: &CargoRun| {
                let names: Vec<&str> = run.binaries.iter().map(|binary| binary.name.as_str()).collect();
                let triples: Vec<&str> = run.builds.iter().filter_map(|build| build.triple.split('-').next()).collect();
                format!("{}: {}", names.join(" "), triples.join(" "))
            };
            let mut runs: Vec<String> =
                group_runs(&plan(config), &tools(in_env, &[]), &BTreeMap::new()).iter().map(line).collect();
            runs.sort_unstable();
            assert_eq!(runs, expected, "{why}");
        }
    }

    #[test]
    fn cross_runs_alone() {
        let plan = plan("platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']\nbuild-env = { X = 'secret' }");
        let mut tools = tools(false, &[]);
        tools.cross = Some(Cross {
            program: "cross".into(),
            container_opts: "--init".into(),
            path: "/bin".into(),
            ..Cross::default()
        });
        let builds = plan.builds().cloned();
        let linker = |triple: &str| if triple == AMD64 { Linker::Host } else { Linker::Cross };
        let choices: BTreeMap<BuildSettings, Choice> =
            builds.map(|build| (build.clone(), Choice { linker: linker(&build.triple), why: String::new() })).collect();
        let runs = group_runs(&plan, &tools, &choices);
        assert_eq!(
            runs.iter().map(|run| (run.by_cross, run.builds.len())).collect::<Vec<_>>(),
            [(true, 1), (true, 1), (false, 1)]
        );
        let line = command(&runs[0], &plan, &toolchain(&tools, choices.clone()), &CEnv::new()).to_string();
        assert!(line.starts_with("cd /w && PATH=/w/target/multiarch/+cross/bin:/bin "), "{line}");
        assert!(line.contains(" CROSS_CONTAINER_OPTS='--init --env X' X=secret cross build --package a"), "{line}");
        assert!(line.contains(" --target-dir /w/target/multiarch/+cross/target"), "{line}");
        let own = command(&runs[2], &plan, &toolchain(&tools, choices), &CEnv::new()).to_string();
        assert!(own.contains(" cargo build") && !own.contains("CROSS"), "{own}");
    }

    #[test]
    fn flags_of_ours_hide_none_of_the_users() {
        let build = |platform: &str, config: &str| {
            plan(&format!("platforms = ['{platform}']\n{config}")).images.remove(0).platforms.remove(0).build
        };
        let flags = "rustflags = ['--cfg=a \"b\"']";
        for (platform, config, tools, expected) in [
            ("linux/amd64", "", tools(false, &["-Cuser"]), None),
            ("linux/riscv64", "", tools(false, &[]), Some(r#"rustflags=["-Ctarget-feature=+crt-static"]"#)),
            (
                "linux/riscv64",
                "",
                tools(false, &["-Cuser"]),
                Some(r#"rustflags=["-Cuser","-Ctarget-feature=+crt-static"]"#),
            ),
            (
                "linux/riscv64",
                "rustflags = ['-Ctarget-feature=-crt-static']",
                tools(false, &[]),
                Some(r#"rustflags=["-Ctarget-feature=-crt-static"]"#),
            ),
            ("linux/amd64", flags, tools(false, &[]), Some(r#"rustflags=["--cfg=a \"b\""]"#)),
            ("linux/amd64/v3", "", tools(false, &[]), Some(r#"rustflags=["-Ctarget-cpu=x86-64-v3"]"#)),
            ("linux/amd64", flags, tools(true, &[]), None),
            (
                "linux/amd64",
                "build-std = true",
                Tools { rust_src: Some("/t/src/rust".into()), ..tools(false, &[]) },
                Some(r#"rustflags=["-Clink-self-contained=no","--remap-path-prefix=/t/src/rust=/rust"]"#),
            ),
        ] {
            let found = config_args(&build(platform, config), &tools);
            let found = found.as_deref().and_then(|text| text.split_once("-musl.")).map(|(_, flags)| flags);
            assert_eq!(found, expected, "{platform} {config}");
        }
    }

    #[test]
    fn rustflags_of_the_environment_are_kept() {
        let tools = tools(true, &[]);
        let line = |platform: &str| {
            let plan = plan(&format!("platforms = ['{platform}']"));
            let run = group_runs(&plan, &tools, &BTreeMap::new()).remove(0);
            command(&run, &plan, &toolchain(&tools, BTreeMap::new()), &CEnv::new()).to_string()
        };
        let both = "CARGO_ENCODED_RUSTFLAGS='-Cuser\x1f-Ctarget-feature=+crt-static' cargo build";
        assert!(line("linux/riscv64").starts_with(both), "{}", line("linux/riscv64"));
        assert!(line("linux/amd64").starts_with("cargo build"), "cargo reads the user's by itself");
    }

    #[test]
    fn command_lines() {
        let plan = plan(
            "platforms = ['linux/amd64', 'linux/riscv64']\nfeatures = ['x', 'y']\nno-default-features = true\n\
             locked = false\nprofile = 'dist'\nbuild-env = { X = '1' }",
        );
        let tools = tools(false, &[]);
        let run = group_runs(&plan, &tools, &BTreeMap::new()).remove(0);
        let choose = |linker: Linker| -> BTreeMap<BuildSettings, Choice> {
            run.builds
                .iter()
                .map(|build| (build.clone(), Choice { linker: linker.clone(), why: String::new() }))
                .collect()
        };
        let line = |linker| command(&run, &plan, &toolchain(&tools, choose(linker)), &CEnv::new()).to_string();
        let rest = "X=1 cargo build --manifest-path /w/Cargo.toml --package a --package b --bin a --bin b \
            --target riscv64gc-unknown-linux-musl --target x86_64-unknown-linux-musl --profile dist --features x,y \
            --no-default-features --keep-going --message-format=json-render-diagnostics \
            --config 'target.riscv64gc-unknown-linux-musl.rustflags=[\"-Ctarget-feature=+crt-static\"]'";
        assert_eq!(line(Linker::Host), rest);
        let auditable = Toolchain { auditable: true, ..toolchain(&tools, BTreeMap::new()) };
        let mut own_std = run.clone();
        own_std.builds.iter_mut().for_each(|build| build.build_std = true);
        let line_of = |run: &CargoRun, toolchain: &Toolchain| command(run, &plan, toolchain, &CEnv::new()).to_string();
        assert!(line_of(&run, &auditable).starts_with("X=1 cargo auditable build --manifest-path "));
        assert!(line_of(&own_std, &auditable).contains(" -Zbuild-std=std,panic_abort "));
        assert_eq!(line(Linker::Configured("my-ld".into())), rest, "what the user configured is left to cargo");
        assert_eq!(
            line(Linker::RustLld),
            format!(
                "CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld {rest}"
            )
        );
    }
}
