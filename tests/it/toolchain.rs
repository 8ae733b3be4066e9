//! Which tools are found and asked, with programs of the test's choosing on PATH; and that cargo's own settings hold.

use crate::snapshot::snapshot;
use crate::support::{Fakes, Finished, HEALTHY_DOCKER, Project, Run};

fn docker() -> Fakes {
    Fakes::new().program("docker", HEALTHY_DOCKER)
}

/// A `build` whose docker builds nothing: where all compiles, it ends with exit code 6.
fn build(project: &Project, args: &[&str]) -> Run {
    project.run(&[&["build", "-v"], args].concat()).path_first(&docker())
}

#[track_caller]
fn compiles(run: Run, platforms: &[&str]) -> Finished {
    let finished = run.fails(6).finish();
    platforms.iter().fold(finished, |finished, platform| finished.says(&[&format!("Compiled app for {platform} (")]))
}

/// `plan` for glibc on arm64, with nothing on PATH but cargo, rustc and what a test adds.
fn plan_gnu(tools: &Fakes, args: &[&str]) -> Run {
    let project = Project::with_config("libc = 'gnu'\nbase = 'x'\nplatforms = ['linux/arm64']");
    project.run(&[&["plan", "--message-format", "json"], args].concat()).path_only(tools)
}

fn bare() -> Fakes {
    Fakes::new().real("cargo").real("rustc").real("git").real("sh")
}

#[test]
fn linkers_on_path() {
    let gcc = || bare().program("aarch64-linux-gnu-gcc", "exit 1");
    // cargo-zigbuild asks Python first, then `zig`.
    let python = || bare().program("python3", "[ \"$*\" = '-m ziglang version' ] && echo 0.13.0");
    for (tools, linker) in [(gcc(), "{\"gcc\":\"aarch64-linux-gnu-gcc\"}"), (python(), "\"zig\"")] {
        let plan = plan_gnu(&tools, &[]).finish();
        let json: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        assert_eq!(json["images"][0]["platforms"][0]["linker"]["linker"].to_string(), linker, "{plan}");
    }
    snapshot!(
        plan_gnu(&bare(), &[]).fails(4).finish(),
        plan_gnu(&bare(), &["--linker", "gcc"]).fails(4).finish(),
        plan_gnu(&gcc(), &["--linker", "zig"]).fails(4).finish(),
        plan_gnu(&gcc(), &["--glibc", "2.28"]).fails(4).finish(),
    );
}

/// `plan` with a cargo-auditable on PATH, and what else is set.
fn plan_auditable(config: &str, variable: Option<(&str, &str)>) -> Run {
    let project = Project::with_config(&format!("platforms = ['linux/amd64']\n{config}"));
    let tools = bare().program("cargo-auditable", "exit 1");
    let run = project.run(&["plan", "-v", "--engine", "embedded"]).path_only(&tools);
    variable.into_iter().fold(run, |run, (name, value)| run.env(name, value))
}

#[test]
fn cargo_auditable() {
    const WRAPPER: Option<(&str, &str)> = Some(("RUSTC_WORKSPACE_WRAPPER", "/opt/wrapper"));
    let plain = plan_auditable("", None).finish();
    plan_auditable("auditable = false", None).finish().keeps_quiet_about("auditable");
    let always = plan_auditable("auditable = true", None).finish();
    let wrapped = plan_auditable("", WRAPPER).finish();
    let refused = plan_auditable("auditable = true", WRAPPER).fails(3).finish();
    let json = Project::app().run(&["plan", "--message-format", "json", "--engine", "embedded"]);
    let json = json.path_only(&bare().program("cargo-auditable", "exit 1")).finish();
    assert!(json.stdout.contains("\"auditable\": true,"), "{json}");
    // A cache of compilations is no such wrapper.
    plan_auditable("", Some(("RUSTC_WRAPPER", "/opt/sccache"))).finish().says(&["cargo auditable build "]);

    let without = Project::with_config("auditable = true").run(&["plan"]).path_only(&bare()).fails(4);
    snapshot!(plain, always, wrapped, refused, without.finish());
}

#[test]
fn a_standard_library_of_ones_own() {
    let project = || Project::with_config("platforms = ['linux/amd64']\nbuild-std = true");
    snapshot!(project().run(&["plan"]).path_only(&bare()).fails(4).finish());
    let sysroot = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    if !std::path::Path::new(sysroot.trim()).join("lib/rustlib/src").exists() {
        let lacking = project().run(&["plan"]).path_only(&bare()).env("RUSTC_BOOTSTRAP", "1").fails(4).finish();
        lacking.says(&["which the toolchain lacks", "hint: install it: `rustup component add rust-src`"]);
    }
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn linkers_of_several_kinds_share_a_process() {
    let config = "libc = 'gnu'\nbase = 'scratch'\nplatforms = ['linux/amd64', 'linux/arm64']\n\
        [platform.'linux/amd64']\nlinker = 'host'\n[platform.'linux/arm64']\nlinker = 'zig'\n";
    // A binary for glibc does not run on scratch, which is said once all are compiled.
    let finished = build(&Project::with_config(config), &[]).fails(8).finish();
    let finished = finished.says(&["Compiled app for linux/amd64 (", "Compiled app for linux/arm64 ("]);
    assert_eq!(finished.stderr.matches("Running `CARGO_TARGET_").count(), 1, "{finished}");
    finished.says(&[" --target aarch64-unknown-linux-gnu --target x86_64-unknown-linux-gnu "]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn lines_of_several_processes_are_told_apart() {
    let config = "platforms = ['linux/amd64', 'linux/arm64']\n[platform.'linux/arm64']\nbuild-env = { X = '1' }\n";
    let run = build(&Project::with_config(config), &[]);
    compiles(run, &["linux/amd64", "linux/arm64"]).says(&["[linux/arm64] ", "[linux/amd64] "]);
}

#[test]
fn no_cargo_and_no_rustc() {
    let run = |tools: &Fakes| Project::app().run(&["plan"]).path_only(tools).fails(4);
    snapshot!(run(&Fakes::new()).finish());
    // cargo metadata wants rustc as well, and says so itself.
    let broken = Fakes::new().real("cargo").program("rustc", "echo 'no such toolchain' >&2; exit 1");
    run(&broken).finish().says(&["no such toolchain", "hint: install Rust: https://rustup.rs"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn flags_of_every_source_survive() {
    // riscv64's musl needs a flag of ours as well.
    const TRIPLE: &str = "riscv64gc-unknown-linux-musl";
    let main = "fn main() { set(); }\n#[cfg(mine)]\nfn set() {}\n";
    let project = || Project::app().file("src/main.rs", main);
    let args = ["--platform", "linux/riscv64"];
    for table in [TRIPLE, "'cfg(target_os = \"linux\")'"] {
        let config = format!("[build]\nrustflags = ['--cfg=other']\n[target.{table}]\nrustflags = ['--cfg=mine']\n");
        let project = project().file(".cargo/config.toml", &config);
        compiles(build(&project, &args), &["linux/riscv64"]).says(&[", static)"]);
    }
    for (name, value) in [
        ("CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "--cfg=mine"),
        ("CARGO_BUILD_RUSTFLAGS", "--cfg=mine"),
        ("CARGO_ENCODED_RUSTFLAGS", "--cfg=mine\x1f--cfg=two"),
    ] {
        compiles(build(&project(), &args).env(name, value), &["linux/riscv64"]).says(&[", static)"]);
    }
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn cargos_own_settings_hold() {
    let config = "[build]\ntarget = 's390x-unknown-linux-gnu'\ntarget-dir = 'out'\n[profile.release]\nopt-level = 0\n";
    let project = Project::app().file(".cargo/config.toml", config);
    compiles(build(&project, &["--platform", "linux/amd64,linux/arm64"]), &["linux/amd64", "linux/arm64"]);
    assert!(project.path().join("out/multiarch/app/linux/arm64/app").is_file());
    compiles(build(&Project::app(), &["--platform", "linux/amd64", "--profile", "dev"]), &["linux/amd64"]);

    let wrapper = docker().program("wrapper", "echo x >> \"$0.log\"; exec \"$@\"");
    let run = build(&Project::app(), &["--platform", "linux/amd64"]).path_first(&wrapper);
    compiles(run.env("RUSTC_WORKSPACE_WRAPPER", wrapper.path().join("wrapper")), &["linux/amd64"]);
    assert!(!wrapper.log("wrapper").is_empty());
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn cargos_own_words_are_shown() {
    let bin = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n[features]\nextra = []\n\
        [[bin]]\nname = \"app\"\npath = \"src/main.rs\"\nrequired-features = [\"extra\"]\n";
    for (project, args, says) in [
        (Project::app(), &["-F", "app/nope"][..], "the package 'app' does not contain this feature: app/nope"),
        (Project::app().file("Cargo.toml", bin), &[], "requires the features: `extra`"),
    ] {
        let run = project.run(&[&["build", "-q", "--platform", "linux/amd64"], args].concat()).path_first(&docker());
        run.fails(5).finish().says(&[says]);
    }
    let with = Project::app().file("Cargo.toml", bin);
    compiles(build(&with, &["--platform", "linux/amd64", "--all-features"]), &["linux/amd64"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_dependency_that_does_not_compile() {
    let manifest = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n[dependencies]\ndep = { path = \"dep\" }\n";
    let lock = "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.3\"\ndependencies = [\n \"dep\",\n]\n\n\
        [[package]]\nname = \"dep\"\nversion = \"0.1.0\"\n";
    let project = Project::app()
        .file("Cargo.toml", manifest)
        .file("Cargo.lock", lock)
        .file("dep/Cargo.toml", "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
        .file("dep/src/lib.rs", "#[cfg(target_pointer_width = \"64\")]\ncompile_error!(\"not here\");\n");
    let finished = build(&project, &["--platform", "linux/amd64,linux/arm64"]).fails(5).finish();
    finished.says(&["not here", "x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "`dep`"]);
}
