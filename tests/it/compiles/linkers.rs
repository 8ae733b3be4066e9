//! Checks of what a linker produced.

use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn glibc_version_that_is_too_new_is_reported() {
    // What is linked before zig's own libc is a newer one.
    let newer = std::process::Command::new("cc").arg("-print-file-name=libc.so.6").output().unwrap();
    let newer = String::from_utf8(newer.stdout).unwrap();
    let config = format!(
        "rustflags = ['-Clink-arg={}', '-Clink-arg=-Wl,--allow-shlib-undefined']\nlibc = 'gnu'\nbase = 'x'\n",
        newer.trim()
    );
    let args = ["compile", "--out", "dist", "--linker", "zig", "--glibc", "2.17", "--platform", "linux/amd64"];
    Project::app().run(&[&args[..], &["--libc", "gnu", "--base", "x"]].concat()).finish();
    Project::with_config(&config).run(&args).fails(8).finish().stderr_has(&[
        "GLIBC_2.",
        "glibc = \"2.17\"",
        "`objdump -T /",
    ]);
}
