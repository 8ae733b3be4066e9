//! Crates that are known not to compile for some targets, so that they are reported before anything is compiled. Every
//! entry was read in the crate's build script, or tried.

use cargo_metadata::{Node, Package};

/// A dependency of a build that is known not to compile for its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnsupportedCrate {
    /// The package's name and version.
    pub package: String,
    /// The problem: the rest of a sentence that begins with the package.
    pub why: &'static str,
    pub fix: &'static str,
    /// Only zig's compiler rejects it.
    pub by_zig: bool,
}

struct KnownIssue {
    package: &'static str,
    /// cargo's requirement.
    versions: &'static str,
    /// The architectures that it does compile for, as triples begin.
    supported: &'static [&'static str],
    /// Does the issue affect a package with these features?
    affects: fn(&[&str]) -> bool,
    by_zig: bool,
    why: &'static str,
    fix: &'static str,
}

const ALL_BUT_ARMV7: &[&str] =
    &["x86_64", "i686", "i586", "aarch64", "arm", "armv5te", "riscv64gc", "s390x", "powerpc64le", "loongarch64"];
const NEON: &str = "compiles NEON code with -mfpu=neon, which zig does not take";
const NO_NEON: &str = "take gcc there, and glibc: linker = \"gcc\", libc = \"gnu\"; or zlib in place of zlib-ng";

const KNOWN: [KnownIssue; 4] = [
    KnownIssue {
        package: "ring",
        versions: "<0.17",
        supported: &["x86_64", "i686", "i586", "aarch64", "arm", "armv5te", "armv7"],
        affects: |_| true,
        by_zig: false,
        why: "has code for x86 and Arm alone",
        fix: "take ring 0.17, by newer versions of what depends on it: `cargo tree --target all --invert ring@0.16` says",
    },
    KnownIssue {
        package: "cranelift-codegen",
        versions: "<0.117",
        supported: &["x86_64", "i686", "i586", "aarch64", "s390x", "riscv64gc"],
        // Its build script looks for the target's own instruction set if it is asked to, and if no other one is enabled.
        affects: |features| {
            let has = |names: &[&str]| names.iter().any(|name| features.contains(name));
            let has_others = has(&["x86", "arm64", "s390x", "riscv64", "pulley"]);
            !has(&["all-arch", "all-native-arch"]) && (has(&["host-arch"]) || !has_others)
        },
        by_zig: false,
        why: "has no code generator for this architecture",
        fix: "take a newer version, which interprets there (wasmtime 30 and later, with its feature \"pulley\")",
    },
    KnownIssue {
        package: "libz-ng-sys",
        versions: "*",
        supported: ALL_BUT_ARMV7,
        affects: |_| true,
        by_zig: true,
        why: NEON,
        fix: NO_NEON,
    },
    KnownIssue {
        package: "libz-sys",
        versions: "*",
        supported: ALL_BUT_ARMV7,
        affects: |features| features.contains(&"zlib-ng"),
        by_zig: true,
        why: NEON,
        fix: NO_NEON,
    },
];

/// The known issue of a resolved package for a target. A package that is not from crates.io may have been fixed.
pub(crate) fn unsupported(package: &Package, node: &Node, triple: &str) -> Option<UnsupportedCrate> {
    package.source.as_ref().filter(|source| source.is_crates_io())?;
    let architecture = triple.split('-').next().unwrap_or_default();
    let features: Vec<&str> = node.features.iter().map(|feature| feature.as_str()).collect();
    let is_affected =
        |versions: &str| versions.parse::<semver::VersionReq>().is_ok_and(|req| req.matches(&package.version));
    let known = KNOWN.iter().find(|known| {
        known.package == package.name.as_str()
            && is_affected(known.versions)
            && (known.affects)(&features)
            && !known.supported.contains(&architecture)
    })?;
    let package = format!("{} {}", package.name, package.version);
    Some(UnsupportedCrate { package, why: known.why, fix: known.fix, by_zig: known.by_zig })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn found(
        name: &str,
        version: &str,
        features: &[&str],
        source: Option<&str>,
        triple: &str,
    ) -> Option<UnsupportedCrate> {
        let package = json!({ "name": name, "version": version, "id": name, "dependencies": [], "targets": [],
            "features": {}, "manifest_path": "/Cargo.toml", "source": source });
        let node = json!({ "id": name, "deps": [], "dependencies": [], "features": features });
        unsupported(&serde_json::from_value(package).unwrap(), &serde_json::from_value(node).unwrap(), triple)
    }

    #[test]
    fn what_does_not_compile_upstream() {
        const RISCV64: &str = "riscv64gc-unknown-linux-musl";
        const ARMV7: &str = "armv7-unknown-linux-musleabihf";
        const HOST: &[&str] = &["host-arch", "std"];
        for (name, version, features, source, triple, expected) in [
            ("ring", "0.16.20", &[][..], Some(CRATES_IO), RISCV64, Some("ring 0.16.20")),
            ("ring", "0.16.20", &[], Some(CRATES_IO), "s390x-unknown-linux-gnu", Some("ring 0.16.20")),
            ("ring", "0.16.20", &[], Some(CRATES_IO), ARMV7, None),
            ("ring", "0.17.0", &[], Some(CRATES_IO), RISCV64, None),
            ("ring", "0.16.20", &[], None, RISCV64, None),
            ("ring", "0.16.20", &[], Some("git+https://example.com/ring#1234567"), RISCV64, None),
            ("cranelift-codegen", "0.115.1", HOST, Some(CRATES_IO), ARMV7, Some("cranelift-codegen 0.115.1")),
            ("cranelift-codegen", "0.115.1", HOST, Some(CRATES_IO), RISCV64, None),
            ("cranelift-codegen", "0.115.1", &["host-arch", "all-arch"], Some(CRATES_IO), ARMV7, None),
            ("cranelift-codegen", "0.89.1", &[], Some(CRATES_IO), ARMV7, Some("cranelift-codegen 0.89.1")),
            ("cranelift-codegen", "0.116.0", &["pulley"], Some(CRATES_IO), ARMV7, None),
            ("libz-sys", "1.1.31", &["zlib-ng"], Some(CRATES_IO), ARMV7, Some("libz-sys 1.1.31")),
            ("libz-sys", "1.1.31", &["libc"], Some(CRATES_IO), ARMV7, None),
            ("cranelift-codegen", "0.118.0", HOST, Some(CRATES_IO), ARMV7, None),
            ("libz-ng-sys", "1.1.32", &[], Some(CRATES_IO), ARMV7, Some("libz-ng-sys 1.1.32")),
            ("libz-ng-sys", "1.1.32", &[], Some(CRATES_IO), RISCV64, None),
        ] {
            let found = found(name, version, features, source, triple);
            assert_eq!(found.map(|found| found.package).as_deref(), expected, "{name} {version} {source:?} {triple}");
        }
    }

    #[test]
    fn requirements_are_cargos_and_the_page_has_all() {
        for known in &KNOWN {
            let page = include_str!("../../docs/toolchains.md");
            assert!(page.contains(&format!("| `{}` ", known.package)), "{}", known.package);
            assert!(known.versions.parse::<semver::VersionReq>().is_ok(), "{}", known.versions);
        }
    }
}
