//! Installs zig as `doctor --fix` does, from the package index, and compiles C code with it.

use std::process::Command;

use crate::support::{Fakes, Project};

#[test]
#[ignore = "downloads zig"]
fn doctor_installs_a_zig_that_compiles() {
    let config = "libc = 'gnu'\nbase = 'debian:x'\nlinker = 'zig'\nplatforms = ['linux/arm64']\n";
    let project = Project::with_config(config).file("a.c", "int main(void) { return 0; }\n");
    let tools = Fakes::new().real("cargo").real("rustc").real("rustup").real("git").real("cc").real("sh");
    // A zig of the test's Python would be found before the installed one is needed.
    let tools = tools.program("python3", "case $1 in -c) exit 1 ;; *) exec /usr/bin/python3 \"$@\" ;; esac");
    let args = ["doctor", "--fix", "--engine", "embedded", "--registry", "localhost:1"];
    let (mut doctor, _dirs) = project.run(&args).path_only(&tools).into_command();
    let output = doctor.env("XDG_CACHE_HOME", project.path().join("cache")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stderr.contains("Fixed with `python3 -m pip install --target "), "{stderr}\n{stdout}");
    assert!(stdout.contains("linux/arm64: zig: explicitly requested"), "{stderr}\n{stdout}");

    let zig = project.path().join("cache/cargo-multiarch/ziglang-0.17.1/ziglang/zig");
    let object = project.path().join("a.o");
    let compiled = Command::new(zig)
        .args(["cc", "-target", "aarch64-linux-musl", "-c", "a.c", "-o", "a.o"])
        .env("ZIG_GLOBAL_CACHE_DIR", project.path().join("zig-cache"))
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    // e_machine of AArch64 (ELF for the Arm 64-bit Architecture)
    assert_eq!(std::fs::read(object).unwrap()[18..20], [183, 0]);
}
