//! Checks that linkers, cargo-auditable and Rust are detected, using fake programs on PATH.

use crate::support::snapshot::snapshot;
use crate::support::{Fakes, HEALTHY_DOCKER, Project, Run};

pub fn docker() -> Fakes {
    Fakes::new().program("docker", HEALTHY_DOCKER)
}

/// Prepares a `build` with a fake Docker that cannot build images. If everything compiles, the exit code is 6.
pub fn build(project: &Project, args: &[&str]) -> Run {
    project.run(&[&["build", "-v"], args].concat()).path_first(&docker())
}

/// Prepares a run of `plan` for glibc on arm64 with only the given programs on PATH.
fn plan_gnu(tools: &Fakes, args: &[&str]) -> Run {
    let project = Project::with_config("libc = 'gnu'\nbase = 'x'\nplatforms = ['linux/arm64']");
    project.run(&[&["plan", "--message-format", "json"], args].concat()).path_only(tools)
}

fn bare() -> Fakes {
    Fakes::new().real("cargo").real("rustc").real("git").real("sh")
}

#[test]
fn linker_is_found_on_path() {
    let gcc = || bare().program("aarch64-linux-gnu-gcc", "exit 1");
    let zig = |tools: Fakes| tools.program("zig", "[ \"$*\" = version ] && echo 0.15.2");
    // zig can be installed as the Python package `ziglang`.
    let package = zig(Fakes::new());
    let print_dir = format!("echo \"$@\" >> $0.log; [ \"$1\" = -c ] && echo {}", package.path().display());
    let python = bare().program("python3", &print_dir);
    for (tools, linker) in
        [(&gcc(), "{\"gcc\":\"aarch64-linux-gnu-gcc\"}"), (&zig(bare()), "\"zig\""), (&python, "\"zig\"")]
    {
        let plan = plan_gnu(tools, &[]).finish();
        let json: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        assert_eq!(json["images"][0]["platforms"][0]["linker"]["linker"].to_string(), linker, "{plan}");
    }
    assert_eq!(python.log("python3").lines().count(), 1, "Python is started only once");
    snapshot!(
        plan_gnu(&bare(), &[]).fails(4).finish(),
        plan_gnu(&bare(), &["--linker", "gcc"]).fails(4).finish(),
        plan_gnu(&gcc(), &["--linker", "zig"]).fails(4).finish(),
        plan_gnu(&gcc(), &["--glibc", "2.28"]).fails(4).finish(),
    );
}

/// Prepares a run of `plan` with cargo-auditable on PATH, using the given configuration and, optionally, an environment
/// variable.
fn plan_auditable(config: &str, variable: Option<(&str, &str)>) -> Run {
    let project = Project::with_config(&format!("platforms = ['linux/amd64']\n{config}"));
    let tools = bare().program("cargo-auditable", "exit 1");
    let run = project.run(&["plan", "-v", "--engine", "embedded"]).path_only(&tools);
    variable.into_iter().fold(run, |run, (name, value)| run.env(name, value))
}

#[test]
fn cargo_auditable_is_used_if_installed() {
    const WRAPPER: Option<(&str, &str)> = Some(("RUSTC_WORKSPACE_WRAPPER", "/opt/wrapper"));
    let plain = plan_auditable("", None).finish();
    plan_auditable("auditable = false", None).finish().stderr_lacks("auditable");
    let always = plan_auditable("auditable = true", None).finish();
    let wrapped = plan_auditable("", WRAPPER).finish();
    let refused = plan_auditable("auditable = true", WRAPPER).fails(3).finish();
    let json = Project::app().run(&["plan", "--message-format", "json", "--engine", "embedded"]);
    let json = json.path_only(&bare().program("cargo-auditable", "exit 1")).finish();
    assert!(json.stdout.contains("\"auditable\": true,"), "{json}");
    // A compiler cache in RUSTC_WRAPPER does not conflict with cargo-auditable.
    plan_auditable("", Some(("RUSTC_WRAPPER", "/opt/sccache"))).finish().stderr_has(&["cargo auditable build "]);

    let without = Project::with_config("auditable = true").run(&["plan"]).path_only(&bare()).fails(4);
    snapshot!(plain, always, wrapped, refused, without.finish());
}

#[test]
fn build_std_needs_nightly_and_rust_src() {
    let project = || Project::with_config("platforms = ['linux/amd64']\nbuild-std = true");
    snapshot!(project().run(&["plan"]).path_only(&bare()).fails(4).finish());
    let sysroot = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    if !std::path::Path::new(sysroot.trim()).join("lib/rustlib/src").exists() {
        let missing = project().run(&["plan"]).path_only(&bare()).env("RUSTC_BOOTSTRAP", "1").fails(4).finish();
        missing.stderr_has(&["which is not installed", "hint: install rust-src: `rustup component add rust-src`"]);
    }
}

#[test]
fn missing_cargo_and_rustc_are_reported() {
    let run = |tools: &Fakes| Project::app().run(&["plan"]).path_only(tools).fails(4);
    snapshot!(run(&Fakes::new()).finish());
    // `cargo metadata` also runs rustc, so the program shows rustc's error.
    let broken = Fakes::new().real("cargo").program("rustc", "echo 'no such toolchain' >&2; exit 1");
    run(&broken).finish().stderr_has(&["no such toolchain", "hint: install Rust: https://rustup.rs"]);
}

#[test]
fn target_cpu_native_is_rejected() {
    const NATIVE: &str = "-Ctarget-cpu=native";
    let in_config = |table: &str| {
        let config = format!("[{table}]\nrustflags = ['-C', 'target-cpu=native']\n");
        Project::with_config("platforms = ['linux/amd64']").file(".cargo/config.toml", &config)
    };
    let app = || Project::with_config("platforms = ['linux/amd64']");
    let with_key =
        |platform: &str| Project::with_config(&format!("platforms = ['{platform}']\nrustflags = ['{NATIVE}']"));
    let plan = ["plan", "--engine", "embedded"];
    snapshot!(
        app().run(&plan).env("RUSTFLAGS", NATIVE).fails(3).finish(),
        app().run(&plan).env("CARGO_ENCODED_RUSTFLAGS", "--cfg=x\x1f-Ctarget-cpu=native").fails(3).finish(),
        in_config("build").run(&plan).fails(3).finish(),
        in_config("target.'cfg(target_os = \"linux\")'").run(&plan).fails(3).finish(),
        with_key("linux/arm64").run(&plan).fails(3).finish(),
        with_key("linux/arm64")
            .run(&["publish", "--registry", "localhost:9/x", "--engine", "embedded"])
            .fails(3)
            .finish(),
    );
    for variable in ["CARGO_BUILD_RUSTFLAGS", "CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS"] {
        let rejected = in_config("build").run(&plan).env(variable, NATIVE).fails(3).finish();
        rejected.stderr_has(&[&format!("{variable} sets target-cpu=native")]);
    }
    // The platform's own CPU level overrides the flag, except in `[target.'cfg(…)']`.
    let level = |table: &str| in_config(table).file("multiarch.toml", "platforms = ['linux/amd64/v3']");
    level("build").run(&plan).env("RUSTFLAGS", NATIVE).finish();
    level("target.x86_64-unknown-linux-musl").run(&plan).finish();
    level("target.'cfg(unix)'").run(&plan).fails(3).finish();
    let doctor = with_key("linux/amd64").run(&["doctor", "--engine", "embedded"]).finds(3).finish();
    doctor.finding_with_fix("error", "rust", "target-cpu=native", "linux/amd64/v3");
}

#[test]
fn global_flags_in_files_and_in_the_variable_are_kept() {
    let project = Project::with_config("platforms = ['linux/amd64']")
        .file(".cargo/config.toml", "[build]\nrustflags = ['--cfg=in_file']\n");
    let plan = project.run(&["plan", "-v", "--engine", "embedded"]);
    plan.env("CARGO_BUILD_RUSTFLAGS", "--cfg=in_variable")
        .finish()
        .stderr_has(&["target.x86_64-unknown-linux-musl.rustflags=[\"--cfg=in_file\",\"--cfg=in_variable\""]);
}

#[test]
fn plan_shows_how_executables_will_be_linked() {
    let config = "platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']\nlinker = 'zig'\n\
        [platform.'linux/arm64']\nrustflags = ['-C', 'relocation-model=static', '-Cstrip=symbols']\n";
    let project = Project::with_config(config);
    let zig = Fakes::new().program("zig", "echo 0.15.1");
    let plan =
        |args: &[&str]| project.run(&[&["plan", "--engine", "embedded"][..], args].concat()).path_first(&zig).finish();
    let executables = |stdout: &str| stdout.split_once("Executables:\n").unwrap().1.to_owned();
    let expected = "  linux/amd64    static-pie, symbols (profile release)\n  \
        linux/arm64    not pie, stripped: no function names in backtraces (profile release)\n  \
        linux/riscv64  static, symbols (profile release)\n";
    let shown = executables(&plan(&[]).stdout);
    assert!(shown.starts_with(expected), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&plan(&["--message-format", "json"]).stdout).unwrap();
    let platform = &json["images"][0]["platforms"][1];
    assert_eq!((&platform["executable"], &platform["symbols"]), (&"not-pie".into(), &"stripped".into()));
}
