//! Lists crates that are known not to compile for some targets, so that they can be reported before compiling starts.
//! Every entry is based on the crate's build script or on a failed build.

use cargo_metadata::{Node, Package};

/// A dependency that is known not to compile for a build's target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnsupportedCrate {
    /// The package's name and version.
    pub package: String,
    /// The reason, phrased to follow "it", as in "it supports only x86 and Arm".
    pub why: &'static str,
    pub fix: &'static str,
    /// Whether only zig's compiler rejects the crate.
    pub by_zig: bool,
}

struct KnownIssue {
    package: &'static str,
    /// The affected versions, as a semver requirement.
    versions: &'static str,
    /// The architectures that the package compiles for, named as in target triples.
    supported: &'static [&'static str],
    /// Whether a package with the given features is affected.
    affects: fn(&[&str]) -> bool,
    by_zig: bool,
    why: &'static str,
    fix: &'static str,
}

const ALL_BUT_ARMV7: &[&str] =
    &["x86_64", "i686", "i586", "aarch64", "arm", "armv5te", "riscv64gc", "s390x", "powerpc64le", "loongarch64"];
const NEON: &str = "compiles NEON code with -mfpu=neon, which zig does not support";
const NO_NEON: &str =
    "use gcc and glibc for this platform (linker = \"gcc\", libc = \"gnu\"), or use zlib instead of zlib-ng";

const KNOWN: [KnownIssue; 4] = [
    KnownIssue {
        package: "ring",
        versions: "<0.17",
        supported: &["x86_64", "i686", "i586", "aarch64", "arm", "armv5te", "armv7"],
        affects: |_| true,
        by_zig: false,
        why: "supports only x86 and Arm",
        fix: "upgrade to ring 0.17: update the crates that depend on ring 0.16 (list them with \
              `cargo tree --target all --invert ring@0.16`)",
    },
    KnownIssue {
        package: "cranelift-codegen",
        versions: "<0.117",
        supported: &["x86_64", "i686", "i586", "aarch64", "s390x", "riscv64gc"],
        // The build script requires a code generator for the target if the `host-arch` feature is enabled, or if no
        // other code generator is selected.
        affects: |features| {
            let has = |names: &[&str]| names.iter().any(|name| features.contains(name));
            let has_others = has(&["x86", "arm64", "s390x", "riscv64", "pulley"]);
            !has(&["all-arch", "all-native-arch"]) && (has(&["host-arch"]) || !has_others)
        },
        by_zig: false,
        why: "has no code generator for this architecture",
        fix: "upgrade to wasmtime 30 or later with the \"pulley\" feature, which uses an interpreter on this \
              architecture",
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

/// Returns the known issue that affects a resolved package on a target. Packages from sources other than crates.io are
/// skipped, because they may contain a fix.
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
    use std::collections::BTreeSet;

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
    fn finds_known_issues_by_version_features_source_and_target() {
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
    fn version_requirements_are_valid() {
        for known in &KNOWN {
            assert!(known.versions.parse::<semver::VersionReq>().is_ok(), "{}", known.versions);
        }
    }

    #[test]
    fn documentation_lists_every_known_issue() {
        const PAGE: &str = include_str!("../../docs/c-dependencies.md");
        let section = PAGE.split("\n## ").find(|section| section.starts_with("Known not to compile")).unwrap();
        // Each row of the table has the crate's name in backticks in the first column.
        let documented: BTreeSet<&str> =
            section.lines().filter_map(|row| row.strip_prefix('|')?.split('|').next()?.split('`').nth(1)).collect();
        let known: BTreeSet<&str> = KNOWN.iter().map(|known| known.package).collect();
        assert_eq!(documented, known);
    }
}
