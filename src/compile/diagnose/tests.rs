//! Real failures: tests/fixtures/failures has the output of cargo that `scripts/record-build-failures` recorded.

use std::collections::BTreeMap;

use super::*;
use crate::compile::linker::types::Linker;

const ARM64: &str = "aarch64-unknown-linux-gnu";
const ARM64_MUSL: &str = "aarch64-unknown-linux-musl";
const ARMV5: &str = "armv5te-unknown-linux-musleabi";
const AMD64: &str = "x86_64-unknown-linux-gnu";

/// The reasons that are found in a kept failure of a run for `triples`.
fn reasons(name: &str, triples: &[&str], glibc: Option<&str>) -> Vec<FailedCrate> {
    let path = format!("{}/tests/fixtures/failures/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let mut errors = CargoErrors::default();
    fs_err::read_to_string(path).unwrap().lines().for_each(|line| errors.push(line));
    explain(&errors, FailureContext { triples, host: AMD64, glibc, linkers: &BTreeMap::new() })
}

#[test]
fn real_failures_are_explained() {
    #[rustfmt::skip]
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("openssl-cross", "openssl-sys looks for openssl by pkg-config, which knows this machine's libraries and not the target's", ARM64,
            &["openssl = { version = \"0.10\", features = [\"vendored\"] }", "sysroot-packages = [\"libssl-dev\"]",
              "platform.\"linux/arm64\" = { build-env = { PKG_CONFIG_ALLOW_CROSS = \"1\", PKG_CONFIG_LIBDIR = \"/usr/lib/aarch64-linux-gnu/pkgconfig\" } }"]),
        ("openssl-headers", "openssl-sys finds no openssl for the target", ARM64, &["features = [\"vendored\"]", "[\"libssl-dev\"]"]),
        ("openssl-opensslv", "openssl-sys finds no OpenSSL for the target", ARM64, &["features = [\"vendored\"]", "[\"libssl-dev\"]"]),
        ("pkg-config", "libdbus-sys runs pkg-config, which is not installed", ARM64, &["`apt-get install pkg-config`"]),
        ("pkg-config-cross", "alsa-sys looks for alsa by pkg-config, which knows this machine's libraries and not the target's", ARM64,
            &["take Debian's package for the target: sysroot-packages = [\"libasound2-dev\"]", "PKG_CONFIG_ALLOW_CROSS"]),
        ("pkg-config-library", "alsa-sys finds no alsa for the target", ARM64, &["[\"libasound2-dev\"]"]),
        ("libclang", "app runs bindgen, which finds no libclang", AMD64, &["`apt-get install libclang-dev`"]),
        ("bindgen-headers", "app runs bindgen, which finds no stddef.h for the target", ARM64_MUSL, &["`--linker zig`"]),
        ("cmake", "app runs cmake, which is not installed", AMD64, &["`apt-get install cmake`"]),
        ("cc", "app compiles C, and there is no aarch64-linux-musl-gcc", ARM64_MUSL, &["`--linker zig` (`pip install ziglang`)"]),
        ("cxx", "app compiles C++, and there is no aarch64-linux-musl-g++", ARM64_MUSL, &["`--linker zig` (`pip install ziglang`)"]),
        ("header", "app finds no libpq-fe.h for the target", ARM64, &["pq-sys = { version = \"…\", features = [\"bundled\"] }", "[\"libpq-dev\"]"]),
        ("c-code", "app has C code that the compiler refuses: a.c: initializer element is not constant", ARM64, &["`--linker zig`"]),
        ("perl", "openssl-sys runs perl, which is not installed", AMD64, &["`apt-get install perl`"]),
        ("make", "openssl-sys runs make, which is not installed", AMD64, &["`apt-get install make`"]),
        ("protoc", "app runs protoc, which is not installed", AMD64, &["`apt-get install protobuf-compiler`"]),
        ("nasm", "app runs nasm, which is not installed", AMD64, &["`apt-get install nasm`"]),
        ("go", "aws-lc-fips-sys runs go, which is not installed", AMD64, &["`apt-get install golang-go`"]),
        ("library-ld", "app links sqlite3, which the target does not have", ARM64, &["features = [\"bundled\"]", "[\"libsqlite3-dev\"]"]),
        ("library-lld", "app links sqlite3, which the target does not have", ARM64_MUSL, &["features = [\"bundled\"]", "libc = \"gnu\""]),
        ("library-zig", "app links sqlite3, which the target does not have", ARM64, &["features = [\"bundled\"]", "[\"libsqlite3-dev\"]"]),
        ("libstdcxx", "app links C++, and the linker has no C++ library for the target", ARM64_MUSL, &["`--linker zig`"]),
        ("cxx-link", "app links C++, and the linker has no C++ library for the target", AMD64, &["`--linker zig`", "`.cpp(true)`"]),
        ("atomic-64", "indicatif uses atomics of 64 bits, which the target does not have", ARMV5, &["`portable-atomic`"]),
        ("atomic", "app calls __atomic_fetch_add_16, which no instruction of the target does", ARM64, &["rustc-link-lib=atomic", "`--linker zig`"]),
        ("glibc-floor", "app calls gettid, which glibc has since 2.30, and glibc = \"2.17\" is the floor", ARM64, &["glibc = \"2.30\""]),
        ("undefined", "app calls nowhere_to_be_found, which nothing that is linked has", ARM64, &["rustc-link-lib=…"]),
        ("linker", "app is linked by aarch64-unknown-linux-gnu-gcc, which is not installed", ARM64,
            &["`--linker zig`", "`apt-get install gcc-aarch64-linux-gnu`"]),
        ("architecture-ld", "app links /workspace/lib/libsqlite3.so, which is for another architecture", ARM64, &["`file`"]),
        ("architecture-lld", "app links /workspace/a.o, which is for another architecture", ARM64_MUSL, &["`file`"]),
        ("architecture-object", "app links /workspace/a.o, which is for another architecture", ARM64, &["`file`"]),
        ("killed", "app was killed while it compiled, most likely for want of memory", AMD64, &["`--jobs 1`"]),
        ("killed-linker", "app was killed while it compiled, most likely for want of memory", ARM64, &["`--jobs 1`"]),
        ("std", "app finds no standard library for powerpc64le-unknown-linux-musl", ARM64, &["`rustup target add powerpc64le-unknown-linux-musl`"]),
        ("no-space", "app had no room on the disk", AMD64, &["`df -h`"]),
        ("no-space-script", "app had no room on the disk", AMD64, &["`df -h`"]),
    ];
    for (name, expected, triple, hints) in cases {
        let other = if *triple == AMD64 { ARM64 } else { AMD64 };
        let found = reasons(name, &[triple, other], Some("2.17"));
        assert_eq!(found.len(), 1, "{name}: {found:#?}");
        assert_eq!(format!("{} {}", found[0].name, found[0].explanation.reason), *expected, "{name}");
        // Not every build script says whom it runs for.
        assert!(found[0].triples.is_empty() || found[0].triples == [*triple], "{name}: {:?}", found[0].triples);
        let hints_found = found[0].explanation.hints.join("\n");
        for hint in *hints {
            assert!(hints_found.contains(hint), "{name}: '{hint}' is missing in\n{hints_found}");
        }
    }
}

#[test]
fn every_kept_failure_has_a_case() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/failures");
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(reasons(name, &[ARM64, ARMV5], None).len(), 1, "{name}");
        assert!(include_str!("tests.rs").contains(&format!("(\"{name}\", ")), "{name}");
    }
}

#[test]
fn zig_is_advised_where_it_may_help() {
    let configured = Linker::Configured("my-ld".to_owned());
    for (linker, expected) in [
        (None, Some("take zig")),
        (Some(&Linker::RustLld), Some("take zig")),
        (Some(&Linker::Zig), None),
        (
            Some(&configured),
            Some("cargo's configuration names my-ld, which wins over `--linker`: without it zig or gcc is chosen"),
        ),
    ] {
        let linkers = linker.into_iter().map(|linker| (ARM64, linker)).collect();
        let context = FailureContext { triples: &[ARM64], host: AMD64, glibc: None, linkers: &linkers };
        assert_eq!(context.zig_hint("take zig").as_deref(), expected, "{linker:?}");
    }
}

#[test]
fn a_compilers_error_has_a_place() {
    for (lines, expected) in [
        ("  clang: error: no such option\n  src/a.c:3:4: error: no type\n", Some("a.c: no type")),
        ("  make: error: no rule\n", None),
    ] {
        let mut errors = CargoErrors::default();
        let text = format!("error: failed to run custom build command for `a v1`\n{lines}");
        text.lines().for_each(|line| errors.push(line));
        let found =
            explain(&errors, FailureContext { triples: &[ARM64], host: AMD64, glibc: None, linkers: &BTreeMap::new() });
        let reason = found.first().map(|reason| reason.explanation.reason.clone());
        assert_eq!(reason, expected.map(|reason| format!("has C code that the compiler refuses: {reason}")), "{lines}");
    }
}

#[test]
fn this_machines_own_libraries() {
    let hints = |host| {
        let context = FailureContext { triples: &[AMD64], host, glibc: None, linkers: &BTreeMap::new() };
        library_hints::hints(crate::compile::debian_packages::for_library("alsa"), "alsa", &context).join("\n")
    };
    assert_eq!(hints(AMD64), "install Debian's package: `apt-get install libasound2-dev`");
    assert_eq!(hints(ARM64), "take Debian's package for the target: sysroot-packages = [\"libasound2-dev\"]");
}

#[test]
fn one_reason_on_several_platforms() {
    let mut errors = CargoErrors::default();
    for triple in [ARM64, AMD64] {
        errors.push("error: failed to run custom build command for `alsa-sys v0.3.1`");
        errors.push(&format!(
            "  /target/{triple}/release: pkg-config has not been configured to support cross-compilation."
        ));
    }
    let found =
        explain(&errors, FailureContext { triples: &[ARM64, AMD64], host: "", glibc: None, linkers: &BTreeMap::new() });
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].triples, [ARM64, AMD64]);
    let hints = found[0].explanation.hints.join("\n");
    assert_eq!(
        (hints.matches("libasound2-dev").count(), hints.matches("PKG_CONFIG_LIBDIR").count()),
        (1, 2),
        "{hints}"
    );
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let mut errors = CargoErrors::default();
    for line in [
        "error[E0433]: failed to resolve",
        "error: could not compile `a` (bin \"a\")",
        "error: linking with `cc` failed",
    ] {
        errors.push(line);
    }
    assert_eq!(
        explain(&errors, FailureContext { triples: &[ARM64], host: AMD64, glibc: None, linkers: &BTreeMap::new() }),
        []
    );
}
