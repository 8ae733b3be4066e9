//! What goes wrong with compilers, linkers and targets, and what survives of the user's own settings.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::snapshot::snapshot;
use crate::support::{Fakes, Finished, HEALTHY_DOCKER, Project, Run};

fn docker() -> Fakes {
    Fakes::new().program("docker", HEALTHY_DOCKER)
}

/// `build` with a docker that is there and builds nothing: what compiles ends with exit code 6.
fn build(project: &Project, docker: &Fakes, platforms: &str) -> Run {
    project.run(&["build", "--platform", platforms, "-v"]).path_first(docker)
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_compile_error_on_one_platform() {
    let project = Project::app()
        .file("src/main.rs", "#[cfg(target_arch = \"riscv64\")]\ncompile_error!(\"not on this one\");\nfn main() {}\n");
    let finished = build(&project, &docker(), "linux/amd64,linux/riscv64").fails(5).finish();
    finished
        .says(&["not on this one", "for linux/amd64", "--platform linux/riscv64`"])
        .keeps_quiet_about("buildx build");
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_build_script_that_fails() {
    let project = Project::app().file("build.rs", "fn main() { eprintln!(\"no luck\"); std::process::exit(1); }");
    build(&project, &docker(), "linux/amd64").fails(5).finish().says(&["no luck", "linux/amd64", "`app`"]);
}

/// A cargo that fails as a kept failure did; what else it is asked, the real one answers.
fn failing_cargo(name: &str) -> Fakes {
    let kept = format!("{}/tests/fixtures/failures/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let real = crate::support::find("cargo").unwrap();
    docker()
        .program("cargo", &format!("[ \"$1\" = build ] || exec {} \"$@\"\ncat {kept} >&2; exit 101", real.display()))
}

#[test]
fn a_failure_is_explained() {
    let seen = ["openssl-headers", "perl", "library-ld", "killed"].map(|name| {
        let cargo = failing_cargo(name);
        let project = Project::with_config("auditable = false");
        let run = build(&project, &cargo, "linux/amd64").env("CARGO", cargo.path().join("cargo")).fails(5);
        after_cargo(&run.finish())
    });
    snapshot!(seen);
}

/// What is said of a failure below cargo's own words.
fn after_cargo(finished: &Finished) -> String {
    let from = finished.stderr.rfind("error: ").unwrap();
    finished.stderr[from..].to_owned()
}

#[test]
fn a_failure_is_the_builds_and_not_the_triples() {
    let said = "error: failed to run custom build command for `a v1`\n  TARGET = x86_64-unknown-linux-musl\n  \
        Command 'perl' not found";
    let real = crate::support::find("cargo").unwrap();
    let script =
        format!("[ \"$1\" = build ] || exec {} \"$@\"\ncat >&2 <<'END'\n{said}\nEND\nkill -9 $$", real.display());
    let cargo = docker().program("cargo", &script);
    let project = Project::with_config("auditable = false");
    let run = build(&project, &cargo, "linux/amd64/v3,linux/arm64").env("CARGO", cargo.path().join("cargo"));
    snapshot!(after_cargo(&run.fails(5).finish()));
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_library_that_is_not_there() {
    let main = "#[link(name = \"sqlite3\")]\nunsafe extern \"C\" { fn sqlite3_open(); }\nfn main() { unsafe { sqlite3_open() } }\n";
    let project = Project::app().file("src/main.rs", main);
    build(&project, &docker(), "linux/arm64").fails(5).finish().says(&[
        "unable to find library -lsqlite3",
        "aarch64-unknown-linux-musl",
        "features = [\"bundled\"]",
    ]);
}

#[test]
fn no_linker() {
    let tools = docker().real("cargo").real("rustc").real("git");
    let run =
        Project::with_config("libc = 'gnu'\nbase = 'x'").run(&["plan", "--platform", "linux/s390x"]).path_only(&tools);
    snapshot!(run.fails(4).finish());
}

#[test]
fn a_target_that_is_not_installed() {
    let without_rustup = docker().real("cargo").real("rustc").real("git").real("sh");
    let run = Project::app().run(&["build", "--platform", "linux/ppc64le"]).path_only(&without_rustup);
    let no_rustup = run.fails(4).finish();

    let failing = docker().program("rustup", "echo \"$@\" >> \"$0.log\"; echo 'error: no such server' >&2; exit 1");
    let fails = build(&Project::app(), &failing, "linux/ppc64le").fails(4).finish();
    let log = std::fs::read_to_string(failing.path().join("rustup.log")).unwrap();
    assert_eq!(log, "target add powerpc64le-unknown-linux-musl\n");

    let lacking = "echo \"error: toolchain 'old' does not support target '$3'\" >&2; exit 1";
    let unknown = build(&Project::app(), &docker().program("rustup", lacking), "linux/ppc64le").fails(4).finish();

    let nowhere = ["plan", "build"].map(|command| {
        Project::app().run(&[command, "--platform", "linux/s390x"]).path_first(&failing).fails(4).finish()
    });

    let run = Project::app().run(&["build", "--offline", "--platform", "linux/ppc64le"]).path_first(&failing).fails(4);
    snapshot!(no_rustup, fails, unknown, nowhere, run.finish());
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn the_users_rustflags_survive() {
    let main = "fn main() { compile_error_unless_set(); }\n#[cfg(mine)]\nfn compile_error_unless_set() {}\n";
    let project =
        Project::app().file("src/main.rs", main).file(".cargo/config.toml", "[build]\nrustflags = ['--cfg=mine']\n");
    // riscv64's musl needs a flag of ours as well: neither may hide the other.
    for platform in ["linux/amd64", "linux/riscv64"] {
        build(&project, &docker(), platform)
            .fails(6)
            .finish()
            .says(&[&format!("Compiled app for {platform}"), ", static)"]);
    }
    let project = Project::app().file("src/main.rs", main);
    let run = build(&project, &docker(), "linux/amd64,linux/riscv64").env("RUSTFLAGS", "--cfg=mine").fails(6);
    run.finish().says(&["Compiled app for linux/amd64", "Compiled app for linux/riscv64", ", static)"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn the_rustc_wrapper_is_called() {
    let wrapper = docker().program("wrapper", "echo x >> \"$0.log\"; exec \"$@\"");
    let run = build(&Project::app(), &wrapper, "linux/amd64").env("RUSTC_WRAPPER", wrapper.path().join("wrapper"));
    run.fails(6).finish();
    assert!(wrapper.path().join("wrapper.log").exists());
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn one_cargo_process_serves_all_targets() {
    let cargo = docker().program(
        "cargo",
        &format!("echo \"$@\" >> \"$0.log\"; exec {} \"$@\"", crate::support::find("cargo").unwrap().display()),
    );
    let run = build(&Project::app(), &cargo, "linux/amd64,linux/arm64,linux/riscv64");
    run.env("CARGO", cargo.path().join("cargo")).fails(6).finish().says(&["this docker builds nothing"]);
    let log = std::fs::read_to_string(cargo.path().join("cargo.log")).unwrap();
    let builds: Vec<&str> = log.lines().filter(|line| line.starts_with("build ")).collect();
    assert_eq!(builds.len(), 1, "{log}");
    assert_eq!(builds[0].matches("--target").count(), 3, "{log}");
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_dynamic_binary_on_scratch() {
    let project = Project::with_config("libc = 'gnu'\nbase = 'scratch'\nplatforms = ['linux/amd64']");
    let run = project.run(&["build"]).path_first(&docker()).fails(8);
    run.finish().says(&["/lib64/ld-linux-x86-64.so.2", "libc = \"musl\""]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn ctrl_c_while_compiling() {
    // Its own process and cargo's. The whole text at once: it is read as soon as it is there.
    let script = "fn main() {\n\
        let pids = format!(\"{} {}\", std::process::id(), std::os::unix::process::parent_id());\n\
        std::fs::write(\"new\", pids).unwrap();\nstd::fs::rename(\"new\", \"pids\").unwrap();\n\
        std::thread::sleep(std::time::Duration::from_secs(60));\n}";
    let project = Project::app().file("build.rs", script);
    let (mut command, _dirs) = build(&project, &docker(), "linux/amd64").into_command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    let pids = wait_for(|| std::fs::read_to_string(project.path().join("pids")).ok());
    let start = Instant::now();
    // Only to the program, as a CI runner does it; a terminal would also tell the children.
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: interrupted"));
    assert!(output.stdout.is_empty());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let runs = |pid: &str| std::path::Path::new("/proc").join(pid).exists();
    wait_for(|| (!pids.split(' ').any(runs)).then_some(()));
}

/// Asks until there is an answer, at most 30 s.
fn wait_for<T>(ask: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}
