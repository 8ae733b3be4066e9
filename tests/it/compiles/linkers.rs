//! Checks which glibc version linked binaries require.

use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn binary_that_needs_a_newer_glibc_is_rejected() {
    // Links against this machine's libc before zig's, so that the binary requires symbols newer than glibc 2.17.
    let host_libc = std::process::Command::new("cc").arg("-print-file-name=libc.so.6").output().unwrap();
    let host_libc = String::from_utf8(host_libc.stdout).unwrap();
    let config = format!(
        "rustflags = ['-Clink-arg={}', '-Clink-arg=-Wl,--allow-shlib-undefined']\nlibc = 'gnu'\nbase = 'x'\n",
        host_libc.trim()
    );
    let args = ["compile", "--out", "dist", "--linker", "zig", "--glibc", "2.17", "--platform", "linux/amd64"];
    Project::app().run(&[&args[..], &["--libc", "gnu", "--base", "x"]].concat()).finish();
    Project::with_config(&config).run(&args).fails(8).finish().stderr_has(&[
        "GLIBC_2.",
        "glibc = \"2.17\"",
        "`objdump -T /",
    ]);
}
