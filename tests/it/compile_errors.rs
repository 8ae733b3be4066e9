//! Explanations of failed builds, and errors for missing linkers and targets.

use crate::support::snapshot::snapshot;
use crate::support::{Fakes, Finished, HEALTHY_DOCKER, Project, Run};

pub fn docker() -> Fakes {
    Fakes::new().program("docker", HEALTHY_DOCKER)
}

/// Prepares a `build` with a fake Docker that cannot build images. If everything compiles, the exit code is 6.
pub fn build(project: &Project, docker: &Fakes, platforms: &str) -> Run {
    project.run(&["build", "--platform", platforms, "-v"]).path_first(docker)
}

/// Creates a fake cargo whose builds fail with output recorded in `tests/fixtures/failures`. Other commands run the
/// real cargo.
fn failing_cargo(name: &str) -> Fakes {
    let recorded = format!("{}/tests/fixtures/failures/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let real = crate::support::find("cargo").unwrap();
    docker().program(
        "cargo",
        &format!("[ \"$1\" = build ] || exec {} \"$@\"\ncat {recorded} >&2; exit 101", real.display()),
    )
}

#[test]
fn build_failure_is_explained() {
    let seen = ["openssl-headers", "perl", "library-ld", "killed"].map(|name| {
        let cargo = failing_cargo(name);
        let project = Project::with_config("auditable = false");
        let run = build(&project, &cargo, "linux/amd64").env("CARGO", cargo.path().join("cargo")).fails(5);
        after_cargo(&run.finish())
    });
    snapshot!(seen);
}

/// Returns the error that the program prints after cargo's own output.
fn after_cargo(finished: &Finished) -> String {
    let start = finished.stderr.rfind("error: ").unwrap();
    finished.stderr[start..].to_owned()
}

#[test]
fn build_failure_names_the_builds_that_failed() {
    let output = "error: failed to run custom build command for `a v1`\n  TARGET = x86_64-unknown-linux-musl\n  \
        Command 'perl' not found";
    let real = crate::support::find("cargo").unwrap();
    let script =
        format!("[ \"$1\" = build ] || exec {} \"$@\"\ncat >&2 <<'END'\n{output}\nEND\nkill -9 $$", real.display());
    let cargo = docker().program("cargo", &script);
    let project = Project::with_config("auditable = false");
    let run = build(&project, &cargo, "linux/amd64/v3,linux/arm64").env("CARGO", cargo.path().join("cargo"));
    snapshot!(after_cargo(&run.fails(5).finish()));
}

#[test]
fn missing_linker_is_reported() {
    let tools = docker().real("cargo").real("rustc").real("git");
    let run =
        Project::with_config("libc = 'gnu'\nbase = 'x'").run(&["plan", "--platform", "linux/s390x"]).path_only(&tools);
    snapshot!(run.fails(4).finish());
}

#[test]
fn missing_target_is_installed_or_reported() {
    let without_rustup = docker().real("cargo").real("rustc").real("git").real("sh");
    let run = Project::app().run(&["build", "--platform", "linux/ppc64le"]).path_only(&without_rustup);
    let no_rustup = run.fails(4).finish();

    let failing = docker().program("rustup", "echo \"$@\" >> \"$0.log\"; echo 'error: no such server' >&2; exit 1");
    let fails = build(&Project::app(), &failing, "linux/ppc64le").fails(4).finish();
    let log = std::fs::read_to_string(failing.path().join("rustup.log")).unwrap();
    assert_eq!(log, "target add powerpc64le-unknown-linux-musl\n");

    let unsupported = "echo \"error: toolchain 'old' does not support target '$3'\" >&2; exit 1";
    let unknown = build(&Project::app(), &docker().program("rustup", unsupported), "linux/ppc64le").fails(4).finish();

    let nowhere = ["plan", "build"].map(|command| {
        Project::app().run(&[command, "--platform", "linux/s390x"]).path_first(&failing).fails(4).finish()
    });

    let run = Project::app().run(&["build", "--offline", "--platform", "linux/ppc64le"]).path_first(&failing).fails(4);
    snapshot!(no_rustup, fails, unknown, nowhere, run.finish());
}

#[test]
fn cargo_output_does_not_show_that_cargo_is_verbose() {
    let real = crate::support::find("cargo").unwrap();
    let script = format!(
        r#"[ "$1" = build ] || exec {} "$@"
echo "$@" >> "$0.log"
cat >&2 <<'END'
       Fresh serde v1.0.0
   Compiling app v1.2.3
     Running `rustc --crate-name app --out-dir /t --target x86_64-unknown-linux-musl`
error: cannot find function `x`
error: could not compile `app` (bin "app") due to 1 previous error

Caused by:
  process didn't exit successfully: `rustc --crate-name app --target x86_64-unknown-linux-musl` (exit status: 1)
END
exit 101"#,
        real.display()
    );
    let cargo = docker().program("cargo", &script);
    let run = |config: &str| {
        let project = Project::with_config("auditable = false").file(".cargo/config.toml", config);
        let run = build(&project, &cargo, "linux/amd64").env("CARGO", cargo.path().join("cargo")).fails(5);
        run.finish().stderr
    };
    let shown = run("");
    for hidden in ["Fresh", "Running `rustc", "Caused by", "exit status"] {
        assert!(!shown.contains(hidden), "'{hidden}' in {shown}");
    }
    let output = "   Compiling app v1.2.3\nerror: cannot find function `x`\nerror: could not compile `app` (bin \"app\") due \
        to 1 previous error\nerror: ";
    assert!(shown.contains(output), "{shown}");
    // Users who have set the verbosity get what they have requested.
    assert!(run("[term]\nverbose = true").contains("     Running `rustc"));
    let calls = cargo.log("cargo");
    let verbose: Vec<bool> = calls.lines().map(|call| call.contains(" --verbose")).collect();
    assert_eq!(verbose, [true, false], "{calls}");
}
