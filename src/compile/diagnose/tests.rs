//! Tests explanations of real failures. `scripts/record-build-failures` recorded cargo's output for them in
//! `tests/fixtures/failures`.

use std::collections::BTreeMap;

use super::*;
use crate::compile::linker::types::Linker;

const ARM64: &str = "aarch64-unknown-linux-gnu";
const ARM64_MUSL: &str = "aarch64-unknown-linux-musl";
const ARMV5: &str = "armv5te-unknown-linux-musleabi";
const AMD64: &str = "x86_64-unknown-linux-gnu";

/// Returns the explanations of a recorded failure, as if it had occurred in a run for `triples`.
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
        ("openssl-cross", "openssl-sys uses pkg-config to find openssl, but pkg-config is not configured for cross-compilation", ARM64,
            &["openssl = { version = \"0.10\", features = [\"vendored\"] }", "sysroot-packages = [\"libssl-dev\"]",
              "platform.\"linux/arm64\" = { build-env = { PKG_CONFIG_ALLOW_CROSS = \"1\", PKG_CONFIG_LIBDIR = \"/usr/lib/aarch64-linux-gnu/pkgconfig\" } }"]),
        ("openssl-headers", "openssl-sys cannot find openssl for the target", ARM64, &["features = [\"vendored\"]", "[\"libssl-dev\"]"]),
        ("openssl-opensslv", "openssl-sys cannot find OpenSSL for the target", ARM64, &["features = [\"vendored\"]", "[\"libssl-dev\"]"]),
        ("pkg-config", "libdbus-sys requires pkg-config, which is not installed", ARM64, &["`apt-get install pkg-config`"]),
        ("pkg-config-cross", "alsa-sys uses pkg-config to find alsa, but pkg-config is not configured for cross-compilation", ARM64,
            &["add the Debian package for the target: sysroot-packages = [\"libasound2-dev\"]", "PKG_CONFIG_ALLOW_CROSS"]),
        ("pkg-config-library", "alsa-sys cannot find alsa for the target", ARM64, &["[\"libasound2-dev\"]"]),
        ("libclang", "app uses bindgen, which cannot find libclang", AMD64, &["`apt-get install libclang-dev`"]),
        ("bindgen-headers", "app uses bindgen, which cannot find stddef.h for the target", ARM64_MUSL, &["`--linker zig`"]),
        ("cmake", "app requires cmake, which is not installed", AMD64, &["`apt-get install cmake`"]),
        ("cc", "app compiles C code, but aarch64-linux-musl-gcc is not installed", ARM64_MUSL, &["`--linker zig` (to install zig, run `cargo multiarch doctor --fix --linker zig`)"]),
        ("cxx", "app compiles C++ code, but aarch64-linux-musl-g++ is not installed", ARM64_MUSL, &["`--linker zig` (to install zig, run `cargo multiarch doctor --fix --linker zig`)"]),
        ("header", "app cannot find libpq-fe.h for the target", ARM64, &["pq-sys = { version = \"…\", features = [\"bundled\"] }", "[\"libpq-dev\"]"]),
        ("c-code", "app contains C code that does not compile: a.c: initializer element is not constant", ARM64, &["`--linker zig`"]),
        ("perl", "openssl-sys requires perl, which is not installed", AMD64, &["`apt-get install perl`"]),
        ("make", "openssl-sys requires make, which is not installed", AMD64, &["`apt-get install make`"]),
        ("protoc", "app requires protoc, which is not installed", AMD64, &["`apt-get install protobuf-compiler`"]),
        ("nasm", "app requires nasm, which is not installed", AMD64, &["`apt-get install nasm`"]),
        ("go", "aws-lc-fips-sys requires go, which is not installed", AMD64, &["`apt-get install golang-go`"]),
        ("library-ld", "app links against sqlite3, which is not available for the target", ARM64, &["features = [\"bundled\"]", "[\"libsqlite3-dev\"]"]),
        ("library-lld", "app links against sqlite3, which is not available for the target", ARM64_MUSL, &["features = [\"bundled\"]", "libc = \"gnu\""]),
        ("library-zig", "app links against sqlite3, which is not available for the target", ARM64, &["features = [\"bundled\"]", "[\"libsqlite3-dev\"]"]),
        ("libstdcxx", "app links C++ code, but the linker cannot find a C++ standard library for the target", ARM64_MUSL, &["`--linker zig`"]),
        ("cxx-link", "app links C++ code, but the linker cannot find a C++ standard library for the target", AMD64, &["`--linker zig`", "`.cpp(true)`"]),
        ("atomic-64", "indicatif uses 64-bit atomics, which the target does not support", ARMV5, &["`portable-atomic`"]),
        ("atomic", "app calls __atomic_fetch_add_16 because the target has no native instruction for this operation", ARM64, &["rustc-link-lib=atomic", "`--linker zig`"]),
        ("glibc-floor", "app calls gettid, which requires glibc 2.30 or later, but glibc = \"2.17\" is set", ARM64, &["glibc = \"2.30\""]),
        ("undefined", "app calls nowhere_to_be_found, which is not defined in any linked library", ARM64, &["rustc-link-lib=NAME"]),
        ("linker", "app is linked with aarch64-unknown-linux-gnu-gcc, which is not installed", ARM64,
            &["`--linker zig`", "`apt-get install gcc-aarch64-linux-gnu`"]),
        ("architecture-ld", "app links against /workspace/lib/libsqlite3.so, which was built for another architecture", ARM64, &["`-L` flag"]),
        ("architecture-lld", "app links against /workspace/a.o, which was built for another architecture", ARM64_MUSL, &["`-L` flag"]),
        ("architecture-object", "app links against /workspace/a.o, which was built for another architecture", ARM64, &["`-L` flag"]),
        ("killed", "app was killed while compiling, most likely because the machine ran out of memory", AMD64, &["`--jobs 1`"]),
        ("killed-linker", "app was killed while compiling, most likely because the machine ran out of memory", ARM64, &["`--jobs 1`"]),
        ("std", "app cannot find the standard library for powerpc64le-unknown-linux-musl", ARM64, &["`rustup target add powerpc64le-unknown-linux-musl`"]),
        ("no-space", "app ran out of disk space", AMD64, &["`df -h`"]),
        ("no-space-script", "app ran out of disk space", AMD64, &["`df -h`"]),
    ];
    for (name, expected, triple, hints) in cases {
        let other = if *triple == AMD64 { ARM64 } else { AMD64 };
        let found = reasons(name, &[triple, other], Some("2.17"));
        assert_eq!(found.len(), 1, "{name}: {found:#?}");
        assert_eq!(format!("{} {}", found[0].name, found[0].explanation.reason), *expected, "{name}");
        // The triples may be empty, because not every build script prints its target.
        assert!(found[0].triples.is_empty() || found[0].triples == [*triple], "{name}: {:?}", found[0].triples);
        let hints_found = found[0].explanation.hints.join("\n");
        for hint in *hints {
            assert!(hints_found.contains(hint), "{name}: '{hint}' is missing from\n{hints_found}");
        }
    }
}

#[test]
fn every_recorded_failure_has_a_case() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/failures");
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(reasons(name, &[ARM64, ARMV5], None).len(), 1, "{name}");
        assert!(include_str!("tests.rs").contains(&format!("(\"{name}\", ")), "{name}");
    }
}

#[test]
fn suggests_zig_unless_it_is_used_or_overridden() {
    let configured = Linker::Configured("my-ld".to_owned());
    for (linker, expected) in [
        (None, Some("use zig")),
        (Some(&Linker::RustLld), Some("use zig")),
        (Some(&Linker::Zig), None),
        (
            Some(&configured),
            Some("to use zig or gcc, remove the linker my-ld from cargo's configuration, which overrides `--linker`"),
        ),
    ] {
        let linkers = linker.into_iter().map(|linker| (ARM64, linker)).collect();
        let context = FailureContext { triples: &[ARM64], host: AMD64, glibc: None, linkers: &linkers };
        assert_eq!(context.zig_hint("use zig").as_deref(), expected, "{linker:?}");
    }
}

#[test]
fn only_compiler_errors_with_a_location_are_explained() {
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
        assert_eq!(
            reason,
            expected.map(|reason| format!("contains C code that does not compile: {reason}")),
            "{lines}"
        );
    }
}

#[test]
fn the_host_uses_installed_debian_packages() {
    let hints = |host| {
        let context = FailureContext { triples: &[AMD64], host, glibc: None, linkers: &BTreeMap::new() };
        library_hints::hints(crate::compile::debian_packages::for_library("alsa"), "alsa", &context).join("\n")
    };
    assert_eq!(hints(AMD64), "install the Debian package: `apt-get install libasound2-dev`");
    assert_eq!(hints(ARM64), "add the Debian package for the target: sysroot-packages = [\"libasound2-dev\"]");
}

#[test]
fn merges_the_same_reason_for_several_platforms() {
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
fn does_not_explain_unknown_errors() {
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
