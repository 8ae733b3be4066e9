//! Errors from compilers, build scripts, and linkers, as reported by cargo.

use crate::compile_errors::{build, docker};
use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn compile_error_names_its_platform() {
    let project = Project::app()
        .file("src/main.rs", "#[cfg(target_arch = \"riscv64\")]\ncompile_error!(\"not on this one\");\nfn main() {}\n");
    let finished = build(&project, &docker(), "linux/amd64,linux/riscv64").fails(5).finish();
    finished
        .stderr_has(&["not on this one", "for linux/amd64", "--platform linux/riscv64`"])
        .stderr_lacks("buildx build");
}

#[test]
#[ignore = "run by scripts/test"]
fn build_script_failure_names_its_package() {
    let project = Project::app().file("build.rs", "fn main() { eprintln!(\"no luck\"); std::process::exit(1); }");
    build(&project, &docker(), "linux/amd64").fails(5).finish().stderr_has(&["no luck", "linux/amd64", "`app`"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn missing_library_is_explained() {
    let main = "#[link(name = \"sqlite3\")]\nunsafe extern \"C\" { fn sqlite3_open(); }\nfn main() { unsafe { sqlite3_open() } }\n";
    let project = Project::app().file("src/main.rs", main);
    build(&project, &docker(), "linux/arm64").fails(5).finish().stderr_has(&[
        "unable to find library -lsqlite3",
        "aarch64-unknown-linux-musl",
        "features = [\"bundled\"]",
    ]);
}

#[test]
#[ignore = "run by scripts/test"]
fn dynamic_binary_on_scratch_is_rejected() {
    let project = Project::with_config("libc = 'gnu'\nbase = 'scratch'\nplatforms = ['linux/amd64']");
    let run = project.run(&["build"]).path_first(&docker()).fails(8);
    run.finish().stderr_has(&["/lib64/ld-linux-x86-64.so.2", "libc = \"musl\""]);
}
