//! Checks that one cargo process builds all targets, respects the user's rustflags and wrappers, and stops on Ctrl-C.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::compile_errors::{build, docker};
use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn cargo_keeps_the_rustflags_of_the_user() {
    let main = "fn main() { compile_error_unless_set(); }\n#[cfg(mine)]\nfn compile_error_unless_set() {}\n";
    let project =
        Project::app().file("src/main.rs", main).file(".cargo/config.toml", "[build]\nrustflags = ['--cfg=mine']\n");
    // riscv64 with musl needs an additional flag, which must not replace the user's flags.
    for platform in ["linux/amd64", "linux/riscv64"] {
        build(&project, &docker(), platform)
            .fails(6)
            .finish()
            .stderr_has(&[&format!("Compiled app for {platform}"), ", static)"]);
    }
    let project = Project::app().file("src/main.rs", main);
    let run = build(&project, &docker(), "linux/amd64,linux/riscv64").env("RUSTFLAGS", "--cfg=mine").fails(6);
    run.finish().stderr_has(&["Compiled app for linux/amd64", "Compiled app for linux/riscv64", ", static)"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn cargo_uses_the_rustc_wrapper() {
    let wrapper = docker().program("wrapper", "echo x >> \"$0.log\"; exec \"$@\"");
    let run = build(&Project::app(), &wrapper, "linux/amd64").env("RUSTC_WRAPPER", wrapper.path().join("wrapper"));
    run.fails(6).finish();
    assert!(wrapper.path().join("wrapper.log").exists());
}

#[test]
#[ignore = "run by scripts/test"]
fn cargo_runs_once_for_all_targets() {
    let cargo = docker().program(
        "cargo",
        &format!("echo \"$@\" >> \"$0.log\"; exec {} \"$@\"", crate::support::find("cargo").unwrap().display()),
    );
    let run = build(&Project::app(), &cargo, "linux/amd64,linux/arm64,linux/riscv64");
    run.env("CARGO", cargo.path().join("cargo")).fails(6).finish().stderr_has(&["this fake docker cannot build"]);
    let log = std::fs::read_to_string(cargo.path().join("cargo.log")).unwrap();
    let builds: Vec<&str> = log.lines().filter(|line| line.starts_with("build ")).collect();
    assert_eq!(builds.len(), 1, "{log}");
    assert_eq!(builds[0].matches("--target").count(), 3, "{log}");
}

#[test]
#[ignore = "run by scripts/test"]
fn ctrl_c_stops_cargo_and_its_children() {
    // The build script records its own PID and cargo's. It renames the file once it is complete, because the test reads
    // the file as soon as it exists.
    let script = "fn main() {\n\
        let pids = format!(\"{} {}\", std::process::id(), std::os::unix::process::parent_id());\n\
        std::fs::write(\"new\", pids).unwrap();\nstd::fs::rename(\"new\", \"pids\").unwrap();\n\
        std::thread::sleep(std::time::Duration::from_secs(60));\n}";
    let project = Project::app().file("build.rs", script);
    let (mut command, _dirs) = build(&project, &docker(), "linux/amd64").into_command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    let pids = wait_for(|| std::fs::read_to_string(project.path().join("pids")).ok());
    let start = Instant::now();
    // Send the signal only to the program, as a CI runner does. A terminal would also send it to the program's
    // children.
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: interrupted"));
    assert!(output.stdout.is_empty());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let is_running = |pid: &str| std::path::Path::new("/proc").join(pid).exists();
    wait_for(|| (!pids.split(' ').any(is_running)).then_some(()));
}

/// Calls `poll` until it returns a value. Panics after 30 seconds.
fn wait_for<T>(poll: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "timed out");
        std::thread::sleep(Duration::from_millis(50));
    }
}
