//! Checks the error messages in docs/troubleshooting.md.

use super::check_output;
use crate::support::{FakeRegistry, Fakes, Finished, Project, Run, find};

/// Compares a command and its terminal output with docs/output/NAME.txt.
fn check(name: &str, project: &Project, args: &str, finished: &Finished) {
    let dir = std::fs::canonicalize(project.path()).unwrap().display().to_string();
    let shown = format!("{}{}", finished.stderr, finished.stdout).replace(&dir, "…");
    check_output(name, &format!("$ cargo multiarch {args}\n{shown}"));
}

fn run(project: &Project, args: &str) -> Run {
    project.run(&args.split(' ').collect::<Vec<_>>())
}

fn rust_and_git() -> Fakes {
    Fakes::new().real("cargo").real("rustc").real("git")
}

#[test]
fn output_of_a_missing_linker() {
    let args = "plan -q --platform linux/riscv64 --libc gnu --base debian:trixie-slim";
    let project = Project::app();
    let finished = run(&project, args).path_only(&rust_and_git()).fails(4).finish();
    check("trouble-linker", &project, args, &finished);
}

#[test]
fn output_of_a_missing_lock_file() {
    let project = Project::app().committed();
    std::fs::remove_file(project.path().join("Cargo.lock")).unwrap();
    let finished = run(&project, "plan -q").path_only(&rust_and_git()).fails(3).finish();
    check("trouble-lock", &project, "plan -q", &finished);
}

#[test]
fn output_of_uncommitted_changes() {
    let project = Project::app().committed().file("src/main.rs", "fn main() {}\n");
    let args = "plan --registry ghcr.io/you";
    let finished = run(&project, args).path_only(&rust_and_git()).finish();
    check("trouble-dirty", &project, args, &finished);
}

/// Uses a fake cargo whose builds fail with recorded output.
#[test]
fn output_of_a_missing_c_library() {
    let recorded = format!("{}/tests/fixtures/failures/openssl-headers.txt", env!("CARGO_MANIFEST_DIR"));
    let real = find("cargo").unwrap();
    let script = format!("[ \"$1\" = build ] || exec {} \"$@\"\ncat {recorded} >&2; exit 101", real.display());
    let fakes = Fakes::new().program("cargo", &script).program("docker", "exit 1");
    let project = Project::with_config("auditable = false").committed();
    let args = "build --platform linux/amd64";
    let mut finished =
        run(&project, args).path_first(&fakes).env("CARGO", fakes.path().join("cargo")).fails(5).finish();
    finished.stderr.drain(..finished.stderr.rfind("error: ").unwrap());
    finished.stderr.insert_str(0, "…\n");
    check("trouble-c-library", &project, args, &finished);
}

#[test]
fn output_of_a_rejected_push() {
    for (name, status, code, message) in [
        ("trouble-login", 401, "UNAUTHORIZED", "authentication required"),
        ("trouble-denied", 403, "DENIED", "permission_denied: write_package"),
    ] {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        let registry = FakeRegistry::start(move |request| match request.path.as_str() {
            "/v2/" => (200, Vec::new(), Vec::new()),
            _ => (status, Vec::new(), body.clone().into_bytes()),
        });
        let args = "publish -q --registry ghcr.io/you";
        let project = Project::app().committed();
        let fakes = Fakes::new().program("docker", "exit 1");
        let run = run(&project, &args.replace("ghcr.io", &registry.host)).path_first(&fakes);
        let mut finished = run.fails(7).finish();
        let in_variable = registry.host.replace('.', "_").replace(':', "___");
        finished.stderr = finished.stderr.replace(&registry.host, "ghcr.io").replace(&in_variable, "GHCR_IO");
        check(name, &project, args, &finished);
    }
}
