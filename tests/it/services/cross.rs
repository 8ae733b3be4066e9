//! Builds one image with `cross` and two other linkers.

use super::{docker_run, open_registry, reference, run};
use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn cross_and_two_other_linkers_build_one_image() {
    let cache =
        std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap()));
    let variable = "ENV CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc";
    let image = "multiarch-test/cross:1";
    run("docker", &["import", "--change", variable, &format!("{cache}/cargo-multiarch/cross-image.tar"), image]);
    let config = "
        platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']
        base = 'scratch'
        build-env = { GREETING = 'hi' }
        [platform.'linux/amd64']
        libc = 'gnu'
        linker = 'host'
        rustflags = ['-Ctarget-feature=+crt-static']
        [platform.'linux/arm64']
        libc = 'gnu'
        linker = 'cross'
        rustflags = ['-Ctarget-feature=+crt-static']
        [platform.'linux/riscv64']
        linker = 'zig'";
    let program = "#[inline(never)]\nfn inner_function() -> String {\n    \
        std::backtrace::Backtrace::force_capture().to_string()\n}\n\
        fn main() {\n    if std::env::args().count() > 1 { return println!(\"{}\", inner_function()); }\n    \
        println!(\"{} from {}\", env!(\"GREETING\"), std::env::consts::ARCH)\n}\n";
    let cross = format!("[target.aarch64-unknown-linux-gnu]\nimage = '{image}'\n");
    let project = Project::with_config(config).file("src/main.rs", program).file("Cross.toml", &cross);
    let toolchain = run("rustc", &["--version"]);
    let registry = format!("{}/cross", open_registry());
    let finished = project.run(&["publish", "--registry", &registry]).finish();
    let published = reference(&finished.stdout);
    for (platform, machine) in [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64"), ("linux/riscv64", "riscv64")] {
        assert_eq!(docker_run(platform, &published, &[]), format!("hi from {machine}"));
        // Every linker keeps the symbols that backtraces need.
        let backtrace = docker_run(platform, &published, &["backtrace"]);
        assert!(backtrace.contains("inner_function"), "{platform}: {backtrace}");
    }
    assert_eq!(
        run("rustc", &["--version"]),
        toolchain,
        "cross must not update the toolchain, as cross 0.2.5 does by default"
    );
    // Compile errors inside the container are reported like any others.
    let broken = project.file("src/main.rs", "fn main() { nothing() }\n");
    let finished = broken.run(&["publish", "--registry", &registry, "--platform", "linux/arm64"]).fails(5).finish();
    finished.stderr_has(&["cannot find function `nothing`", "linux/arm64"]);
}
