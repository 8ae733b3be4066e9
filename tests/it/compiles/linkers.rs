//! Checks what linked binaries contain: symbols and debug information as the profile requests, position-independent
//! code, and symbol versions of glibc.

use std::path::PathBuf;
use std::process::Command;

use object::{Object, ObjectKind, ObjectSection};

use crate::support::{Project, embedded};

/// Creates a program that panics in `reaches_the_panic`, with profiles that differ in what they strip.
fn project_that_panics() -> Project {
    let profiles = "[profile.stripped]\ninherits = \"release\"\nstrip = true\n\
        [profile.with-debug-info]\ninherits = \"release\"\ndebug = 1\n";
    let main = "#[inline(never)]\nfn reaches_the_panic(count: usize) -> usize {\n    \
        if count > 5 { return count }\n    panic!(\"on purpose\")\n}\n\
        fn main() { println!(\"{}\", reaches_the_panic(std::env::args().count())); }\n";
    let manifest = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n";
    Project::app().file("Cargo.toml", &format!("{manifest}{profiles}")).file("src/main.rs", main)
}

/// A platform's binary, and how to run it.
struct Expected {
    platform: &'static str,
    is_pie: bool,
    /// The emulator and its arguments. Empty for programs that run on this machine.
    emulator: &'static [&'static str],
}

const AMD64: Expected = Expected { platform: "linux/amd64", is_pie: true, emulator: &[] };
const ARM64: Expected = Expected { platform: "linux/arm64", is_pie: false, emulator: &["qemu-aarch64-static"] };
const ARM_V7: Expected = Expected { platform: "linux/arm/v7", is_pie: false, emulator: &["qemu-arm-static"] };
const RISCV64: Expected = Expected { platform: "linux/riscv64", is_pie: false, emulator: &["qemu-riscv64-static"] };
const ARM64_GLIBC: Expected = Expected {
    platform: "linux/arm64",
    is_pie: true,
    emulator: &["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"],
};

/// Compiles the program with a profile and returns the path of its binary.
fn compile(project: &Project, platform: &str, profile: &str, args: &[&str]) -> PathBuf {
    let fixed = ["compile", "--out", profile, "--profile", profile, "--platform", platform];
    project.run(&[&fixed[..], args].concat()).finish();
    let entries = std::fs::read_dir(project.path().join(profile)).unwrap();
    let mut binaries = entries.map(|entry| entry.unwrap().path().join("app")).filter(|path| path.is_file());
    binaries.next().unwrap()
}

/// Checks the binaries that a linker creates with each profile.
fn check_linker(args: &[&str], platforms: &[Expected]) {
    let (project, elsewhere) = (project_that_panics(), project_that_panics());
    for Expected { platform, is_pie, emulator } in platforms {
        for (profile, has_symbols, has_debug_info) in
            [("release", true, false), ("stripped", false, false), ("with-debug-info", true, true)]
        {
            let case = format!("{platform} {args:?} {profile}");
            let path = compile(&project, platform, profile, args);
            let bytes = std::fs::read(&path).unwrap();
            let file = object::File::parse(&*bytes).unwrap();
            let is_dynamic = file.kind() == ObjectKind::Dynamic;
            assert_eq!(is_dynamic, *is_pie, "{case}");
            assert_eq!(file.section_by_name(".symtab").is_some(), has_symbols, "{case}");
            let debug_info = file.sections().any(|section| section.name().unwrap().starts_with(".debug_"));
            assert_eq!(debug_info, has_debug_info, "{case}");
            let line = [*emulator, &[path.to_str().unwrap()]].concat();
            let output = Command::new(line[0]).args(&line[1..]).env("RUST_BACKTRACE", "1").output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(stderr.contains("on purpose"), "{case}: {stderr}");
            assert_eq!(stderr.contains("app::reaches_the_panic"), has_symbols, "{case}: {stderr}");
            assert_eq!(bytes, std::fs::read(compile(&elsewhere, platform, profile, args)).unwrap(), "{case}");
        }
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn rust_lld_creates_what_the_profile_requests() {
    check_linker(&["--linker", "rust-lld"], &[AMD64, ARM64]);
}

#[test]
#[ignore = "run by scripts/test"]
fn zig_creates_what_the_profile_requests() {
    check_linker(&["--linker", "zig"], &[AMD64, ARM64, ARM_V7, RISCV64]);
    check_linker(&["--linker", "zig", "--libc", "gnu", "--base", "x"], &[AMD64, ARM64_GLIBC]);
}

#[test]
#[ignore = "run by scripts/test"]
fn plan_and_report_show_how_binaries_are_linked() {
    const PLATFORMS: [&str; 2] = ["--platform", "linux/amd64,linux/arm64"];
    let project = project_that_panics();
    let plan = |profile| project.run(&[&["plan", "--profile", profile][..], &PLATFORMS].concat()).finish().stdout;
    assert!(plan("release").contains("static-pie, symbols (profile release)"));
    assert!(plan("stripped").contains("static-pie, stripped: no function names in backtraces (profile stripped)"));
    assert!(plan("with-debug-info").contains("static-pie, debug information (profile with-debug-info)"));

    let args = ["build", "-v", "--message-format", "json", "--profile"];
    for (profile, symbols) in [("release", "symbols"), ("stripped", "stripped"), ("with-debug-info", "debug-info")] {
        let built = embedded(&project, &[&args[..], &[profile], &PLATFORMS].concat()).finish();
        let report: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
        for (index, executable) in ["static-pie", "not-pie"].into_iter().enumerate() {
            let binary = &report["images"][0]["platforms"][index]["binaries"][0];
            assert_eq!((&binary["executable"], &binary["symbols"]), (&executable.into(), &symbols.into()), "{binary}");
            assert_eq!(binary["symbols_size"] != 0, symbols != "stripped", "{binary}");
            assert_eq!(binary["debug_info_size"] != 0, symbols == "debug-info", "{binary}");
        }
        let shown = symbols.replace('-', " ");
        built.stderr_has(&[&format!("Linked app for linux/amd64: static-pie, {shown}")]);
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn gcc_creates_what_the_profile_requests() {
    check_linker(&["--linker", "gcc", "--libc", "gnu", "--base", "x"], &[ARM64_GLIBC]);
    check_linker(&["--linker", "host", "--libc", "gnu", "--base", "x"], &[AMD64]);
}
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
