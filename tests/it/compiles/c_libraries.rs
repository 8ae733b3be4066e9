//! Cross-compiles C code in real crates that use cmake, bindgen, jemalloc, and cc. `scripts/setup native` installs the
//! required programs.

use std::collections::BTreeSet;

use crate::support::{Fakes, HEALTHY_DOCKER, Project, Run};

const MANIFEST: &str = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n";

fn app(dependencies: &str) -> Project {
    Project::empty().file("Cargo.toml", &format!("{MANIFEST}{dependencies}\n")).file(
        "multiarch.toml",
        "locked = false\nplatforms = ['linux/arm64']\n[platform.'linux/arm64']\nbase = 'scratch'\n",
    )
}

/// Prepares a `build` with a fake Docker that cannot build images. It compiles everything, then fails with exit code 6.
fn build(project: &Project, target: &str, args: &[&str]) -> Run {
    let run = project.run(&[&["build", "-v"], args].concat());
    with_crates(run.path_first(&Fakes::new().program("docker", HEALTHY_DOCKER)), target)
}

/// Prepares a run that fetches crates and compiles C code, in a target directory that later runs reuse. Tests that
/// share a target directory wait for each other.
fn with_crates(run: Run, target: &str) -> Run {
    let cache =
        std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap()));
    let site = format!("{cache}/cargo-multiarch/native/lib");
    let python = std::fs::read_dir(&site).expect("run `scripts/setup native` first").next().unwrap().unwrap();
    // Tests trust a single CA by default, but cargo needs all of the system's CAs to fetch crates.
    let certificates =
        std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| "/etc/ssl/certs/ca-certificates.crt".to_owned());
    run.env("SSL_CERT_FILE", certificates)
        .env("CARGO_TARGET_DIR", target_dir(target))
        .env("LIBCLANG_PATH", python.path().join("site-packages/clang/native"))
}

fn target_dir(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/c_libraries").join(name)
}

/// Returns the names of the target's environment variables in the cargo command that `-v` prints.
fn variables(stderr: &str) -> BTreeSet<&str> {
    let (before, _) = stderr.split_once(" build --manifest-path ").expect("`-v` prints the cargo command");
    let (_, command) = before.rsplit_once("Running").unwrap();
    let names = command.split([' ', '`', '\'']).filter_map(|word| Some(word.split_once('=')?.0));
    names.filter(|name| name.ends_with("_aarch64_unknown_linux_musl")).collect()
}

/// Creates a project with a C and C++ library that is built with cmake.
fn cmake() -> Project {
    app("[build-dependencies]\ncmake = \"0.1\"")
        .file(
            "build.rs",
            "fn main() {\n let out = cmake::build(\"c\");\n println!(\"cargo:rustc-link-search=native={}/lib\", out.display());\n\
             println!(\"cargo:rustc-link-lib=static=answer\");\n\
             if std::env::var(\"CARGO_CFG_TARGET_ENV\").unwrap() == \"musl\" { println!(\"cargo:rustc-link-lib=c++\"); }\n\
             else { println!(\"cargo:rustc-link-lib=stdc++\"); } }",
        )
        .file(
            "c/CMakeLists.txt",
            "cmake_minimum_required(VERSION 3.10)\nproject(answer C CXX)\nadd_library(answer STATIC a.c b.cc)\n\
             message(STATUS \"for ${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR}\")\n\
             if(NOT CMAKE_SYSTEM_PROCESSOR STREQUAL \"aarch64\")\n  message(FATAL_ERROR \"unexpected processor\")\nendif()\n\
             install(TARGETS answer DESTINATION lib)\n",
        )
        .file("c/a.c", "#include <string.h>\nint size(const char *text) { return strlen(text); }\n")
        .file(
            "c/b.cc",
            "#include <string>\nextern \"C\" int size(const char *);\nextern \"C\" int answer() {\n\
             try { throw std::string(\"42 characters\"); } catch (std::string &text) { return size(text.c_str()); } }\n",
        )
        .file("src/main.rs", "extern \"C\" { fn answer() -> i32; }\nfn main() { println!(\"{}\", unsafe { answer() }) }\n")
}

/// Creates a program that compiles only if bindgen uses arm64's `struct stat`, which is 128 bytes long, compared to 144
/// bytes on x86-64.
fn bindgen() -> Project {
    app("[build-dependencies]\nbindgen = { version = \"0.72\", features = [\"runtime\"] }")
        .file(
            "build.rs",
            "fn main() {\n let out = std::env::var(\"OUT_DIR\").unwrap() + \"/stat.rs\";\n\
             let builder = bindgen::Builder::default().header_contents(\"a.h\", \"#include <stdio.h>\\n#include <sys/stat.h>\");\n\
             builder.allowlist_type(\"stat\").generate().unwrap().write_to_file(out).unwrap(); }",
        )
        .file(
            "src/main.rs",
            "#![allow(warnings)]\nmod c { include!(concat!(env!(\"OUT_DIR\"), \"/stat.rs\")); }\n\
             const _: () = assert!(std::mem::size_of::<c::stat>() == 128);\nfn main() {}\n",
        )
}

#[test]
#[ignore = "run by scripts/test"]
fn cmake_and_bindgen_work_with_zig_for_musl() {
    for (project, variable) in [(cmake(), "CMAKE_TOOLCHAIN_FILE"), (bindgen(), "BINDGEN_EXTRA_CLANG_ARGS")] {
        let finished = build(&project, "c++", &["--linker", "zig"]).fails(6).finish();
        let finished = finished.stderr_has(&[", static)", &format!("{variable}_aarch64_unknown_linux_musl=")]);
        let planned = with_crates(project.run(&["plan", "-v", "--linker", "zig"]), "c++").finish();
        assert_eq!(variables(&planned.stderr), variables(&finished.stderr));
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn bindgen_works_with_gcc_for_glibc() {
    // glibc binaries cannot run on scratch. With `--allow`, the program reports this only after compiling.
    let args = ["--linker", "gcc", "--libc", "gnu", "--allow", "MA020"];
    let finished = build(&bindgen(), "c++", &args).fails(8).finish();
    finished.stderr_has(&["BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="]);
}

#[test]
#[ignore = "run by scripts/test"]
fn jemalloc_supports_the_page_sizes_of_arm64() {
    let main = "#[global_allocator]\nstatic ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;\nfn main() {}\n";
    let project = app("[dependencies]\ntikv-jemallocator = \"0.6\"").file("src/main.rs", main);
    build(&project, "jemalloc", &["--linker", "zig"])
        .fails(6)
        .finish()
        .stderr_has(&["AARCH64_UNKNOWN_LINUX_MUSL_JEMALLOC_SYS_WITH_LG_PAGE=16"]);
    let builds = target_dir("jemalloc").join("aarch64-unknown-linux-musl/release/build");
    let defines = "out/build/include/jemalloc/internal/jemalloc_internal_defs.h";
    let texts = std::fs::read_dir(builds).unwrap().flatten().map(|entry| entry.path().join(defines));
    let texts: Vec<String> = texts.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    assert!(!texts.is_empty() && texts.iter().all(|text| text.contains("#define LG_PAGE 16")));
}

#[test]
#[ignore = "run by scripts/test"]
fn crate_that_does_not_support_the_target_is_reported() {
    let project = app("[dependencies]\nring = \"=0.16.20\"").file("src/main.rs", "fn main() {}\n");
    let finished = build(&project, "ring", &["--platform", "linux/arm64,linux/riscv64"]).fails(5).finish();
    finished
        .stderr_lacks("Compiling")
        .stderr_has(&["error: ring 0.16.20 does not compile for linux/riscv64", "ring 0.17"]);
}

/// Builds for ARMv6, for which no precompiled standard library is installed. zig provides the startup files.
#[test]
#[ignore = "run by scripts/test"]
fn build_std_compiles_the_standard_library() {
    let main =
        "fn main() { println!(\"{} on {}\", std::thread::spawn(|| 42).join().unwrap(), std::env::consts::ARCH) }\n";
    let config = "locked = false\nplatforms = ['linux/arm/v6']\nbase = 'scratch'\nlinker = 'zig'\nbuild-std = true\n";
    let project = Project::empty()
        .file("Cargo.toml", &format!("{MANIFEST}[profile.release]\npanic = \"abort\"\nlto = true\n"))
        .file("multiarch.toml", config)
        .file("src/main.rs", main);
    let bundle = project.path().join("dist");
    let finished = with_crates(project.run(&["compile", "-v", "--out", bundle.to_str().unwrap()]), "build-std")
        .env("RUSTC_BOOTSTRAP", "1")
        .finish();
    finished.stderr_has(&["-Zbuild-std=std,panic_abort", ", static)"]);
    let manifest = std::fs::read_to_string(bundle.join("multiarch-bundle.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let binary = bundle.join(manifest["builds"][0]["binaries"][0]["file"].as_str().unwrap());
    let output = std::process::Command::new("qemu-arm-static").args(["-cpu", "arm1176"]).arg(binary).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "42 on arm\n", "{output:?}");
}

/// Compiles a program whose C code embeds its source path, in a new project directory, and returns the binary.
fn compile_in_new_directory(args: &[&str]) -> Vec<u8> {
    let build = "let file = std::path::Path::new(&std::env::var(\"CARGO_MANIFEST_DIR\").unwrap()).join(\"c/a.c\");\n\
        cc::Build::new().file(file).compile(\"a\");";
    let project = app("[build-dependencies]\ncc = \"1\"")
        .file("build.rs", &format!("fn main() {{ {build} }}"))
        .file("c/a.c", "const char *place(void) { return __FILE__; }\n")
        .file(
            "src/main.rs",
            "extern \"C\" { fn place() -> *const std::ffi::c_char; }\n\
             fn main() { println!(\"{:?}\", unsafe { std::ffi::CStr::from_ptr(place()) }) }\n",
        );
    let finished = project.run(&[&["compile", "--out", "dist", "--base", "x"], args].concat()).finish();
    std::fs::read(project.path().join(finished.stdout.trim())).unwrap()
}

#[test]
#[ignore = "run by scripts/test"]
fn c_code_does_not_contain_the_project_directory() {
    for args in [
        ["--linker", "zig", "--libc", "musl", "--platform", "linux/arm64"],
        ["--linker", "gcc", "--libc", "gnu", "--platform", "linux/arm64"],
        ["--linker", "host", "--libc", "gnu", "--platform", "linux/amd64"],
    ] {
        let binary = compile_in_new_directory(&args);
        let has_remapped_path = binary.windows(16).any(|bytes| bytes == b"/workspace/c/a.c");
        assert!(has_remapped_path && binary == compile_in_new_directory(&args), "{args:?}");
    }
}
