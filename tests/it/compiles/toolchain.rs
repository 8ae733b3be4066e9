//! Builds with several linkers or several cargo processes, with cargo's own configuration, and with cargo errors.

use crate::support::{Finished, Project, Run};
use crate::toolchain::{build, docker};

#[track_caller]
fn assert_compiles(run: Run, platforms: &[&str]) -> Finished {
    let finished = run.fails(6).finish();
    platforms
        .iter()
        .fold(finished, |finished, platform| finished.stderr_has(&[&format!("Compiled app for {platform} (")]))
}

#[test]
#[ignore = "run by scripts/test"]
fn different_linkers_share_one_cargo_process() {
    let config = "libc = 'gnu'\nbase = 'scratch'\nplatforms = ['linux/amd64', 'linux/arm64']\n\
        [platform.'linux/amd64']\nlinker = 'host'\n[platform.'linux/arm64']\nlinker = 'zig'\n";
    // glibc binaries cannot run on scratch. With `--allow`, the program reports this only after compiling everything.
    let finished = build(&Project::with_config(config), &["--allow", "MA020"]).fails(8).finish();
    let finished = finished.stderr_has(&["Compiled app for linux/amd64 (", "Compiled app for linux/arm64 ("]);
    assert_eq!(finished.stderr.matches("Running `CARGO_TARGET_").count(), 1, "{finished}");
    finished.stderr_has(&[" --target aarch64-unknown-linux-gnu --target x86_64-unknown-linux-gnu "]);
}

#[test]
#[ignore = "run by scripts/test"]
fn cargo_output_of_several_processes_has_prefixes() {
    let config = "platforms = ['linux/amd64', 'linux/arm64']\n[platform.'linux/arm64']\nbuild-env = { X = '1' }\n";
    let run = build(&Project::with_config(config), &[]);
    assert_compiles(run, &["linux/amd64", "linux/arm64"])
        .stderr_has(&["   Compiling [arm64] app v1.2.3", "   Compiling [amd64] app v1.2.3"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn rustflags_from_every_source_are_kept() {
    // riscv64 with musl needs an additional flag, which must not replace the configured flags.
    const TRIPLE: &str = "riscv64gc-unknown-linux-musl";
    let main = "fn main() { set(); }\n#[cfg(mine)]\nfn set() {}\n";
    let project = || Project::app().file("src/main.rs", main);
    let args = ["--platform", "linux/riscv64"];
    for table in [TRIPLE, "'cfg(target_os = \"linux\")'"] {
        let config = format!("[build]\nrustflags = ['--cfg=other']\n[target.{table}]\nrustflags = ['--cfg=mine']\n");
        let project = project().file(".cargo/config.toml", &config);
        assert_compiles(build(&project, &args), &["linux/riscv64"]).stderr_has(&[", static)"]);
    }
    for (name, value) in [
        ("CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "--cfg=mine"),
        ("CARGO_BUILD_RUSTFLAGS", "--cfg=mine"),
        ("CARGO_ENCODED_RUSTFLAGS", "--cfg=mine\x1f--cfg=two"),
    ] {
        assert_compiles(build(&project(), &args).env(name, value), &["linux/riscv64"]).stderr_has(&[", static)"]);
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn cargo_config_is_respected() {
    let config = "[build]\ntarget = 's390x-unknown-linux-gnu'\ntarget-dir = 'out'\n[profile.release]\nopt-level = 0\n";
    let project = Project::app().file(".cargo/config.toml", config);
    assert_compiles(build(&project, &["--platform", "linux/amd64,linux/arm64"]), &["linux/amd64", "linux/arm64"]);
    assert!(project.path().join("out/multiarch/app/linux/arm64/app").is_file());
    assert_compiles(build(&Project::app(), &["--platform", "linux/amd64", "--profile", "dev"]), &["linux/amd64"]);

    let wrapper = docker().program("wrapper", "echo x >> \"$0.log\"; exec \"$@\"");
    let run = build(&Project::app(), &["--platform", "linux/amd64"]).path_first(&wrapper);
    assert_compiles(run.env("RUSTC_WORKSPACE_WRAPPER", wrapper.path().join("wrapper")), &["linux/amd64"]);
    assert!(!wrapper.log("wrapper").is_empty());
}

#[test]
#[ignore = "run by scripts/test"]
fn cargo_errors_are_shown() {
    let bin = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n[features]\nextra = []\n\
        [[bin]]\nname = \"app\"\npath = \"src/main.rs\"\nrequired-features = [\"extra\"]\n";
    for (project, args, error) in [
        (Project::app(), &["-F", "app/nope"][..], "the package 'app' does not contain this feature: app/nope"),
        (Project::app().file("Cargo.toml", bin), &[], "requires the features: `extra`"),
    ] {
        let run = project.run(&[&["build", "-q", "--platform", "linux/amd64"], args].concat()).path_first(&docker());
        run.fails(5).finish().stderr_has(&[error]);
    }
    let project = Project::app().file("Cargo.toml", bin);
    assert_compiles(build(&project, &["--platform", "linux/amd64", "--all-features"]), &["linux/amd64"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn dependency_that_does_not_compile_is_reported() {
    let manifest = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n[dependencies]\ndep = { path = \"dep\" }\n";
    let lock = "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.3\"\ndependencies = [\n \"dep\",\n]\n\n\
        [[package]]\nname = \"dep\"\nversion = \"0.1.0\"\n";
    let project = Project::app()
        .file("Cargo.toml", manifest)
        .file("Cargo.lock", lock)
        .file("dep/Cargo.toml", "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
        .file("dep/src/lib.rs", "#[cfg(target_pointer_width = \"64\")]\ncompile_error!(\"not here\");\n");
    let finished = build(&project, &["--platform", "linux/amd64,linux/arm64"]).fails(5).finish();
    finished.stderr_has(&["not here", "x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "`dep`"]);
}
