//! Compiled binaries, and checks that they match the platforms that they were compiled for.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use object::ReadCache;
use serde::Serialize;

use crate::elf::linking::{Linking, SymbolKind};
use crate::elf::{Elf, parse_version};
use crate::error::{Class, Failure};
use crate::oci::digest::{StreamHash, hash_reader};
use crate::plan::{Binary, BuildSettings};
use crate::platform::Platform;
use crate::ui::size::format_bytes;

/// All requested binaries, keyed by build settings and binary.
pub(crate) type Artifacts = BTreeMap<(BuildSettings, Binary), Artifact>;

/// A binary that was just linked by cargo or read from a bundle.
#[derive(Debug, Clone)]
pub(crate) struct CompiledBinary {
    pub build: BuildSettings,
    pub binary: Binary,
    pub artifact: Artifact,
}

/// A compiled binary, copied to the work directory so that later cargo runs do not overwrite it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Artifact {
    #[serde(skip)]
    pub path: Utf8PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Hexadecimal SHA-256 digest.
    pub sha256: String,
    #[serde(flatten, serialize_with = "serialize_requirements")]
    #[cfg_attr(test, schemars(with = "crate::elf::RuntimeRequirements"))]
    pub elf: Elf,
    #[serde(flatten)]
    pub linking: Linking,
}

fn serialize_requirements<S: serde::Serializer>(elf: &Elf, serializer: S) -> Result<S::Ok, S::Error> {
    elf.runtime_requirements().serialize(serializer)
}

impl Artifact {
    /// Reads and hashes a binary.
    pub(crate) fn read(path: &Utf8Path) -> Result<Artifact> {
        let mut file = fs_err::File::open(path)?;
        let StreamHash { sha256, size } = hash_reader(&mut file)?;
        let contents = ReadCache::new(file);
        let invalid = || format!("{path} is not an ELF executable");
        let elf = Elf::parse(&contents).with_context(invalid)?;
        let linking = Linking::read(&contents).with_context(invalid)?;
        Ok(Artifact { path: path.to_owned(), size, sha256, elf, linking })
    }

    /// Copies a binary into `dir`, makes the copy executable, and reads and hashes it.
    pub(crate) fn copy(from: &Utf8Path, dir: &Utf8Path, binary: &Binary) -> Result<Artifact> {
        fs_err::create_dir_all(dir)?;
        let path = dir.join(&binary.name);
        if path.exists() {
            fs_err::remove_file(&path)?;
        }
        fs_err::copy(from, &path)?;
        fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Artifact::read(&path)
    }

    /// Describes how the binary was linked, such as `static-pie, symbols (125.3 kB)`.
    pub(crate) fn describe_linking(&self) -> String {
        let Linking { executable, symbols, symbols_size, debug_info_size } = &self.linking;
        match symbols {
            SymbolKind::Stripped => format!("{executable}, stripped"),
            SymbolKind::Symbols => format!("{executable}, symbols ({})", format_bytes(*symbols_size)),
            SymbolKind::DebugInfo => format!("{executable}, debug info ({})", format_bytes(*debug_info_size)),
        }
    }

    /// Checks that a binary does not require a glibc newer than `floor`. The linker targets that version, but the
    /// linked objects may have been compiled against a newer one. `platforms` names the binary's platforms in the error
    /// message.
    pub(crate) fn check_floor(&self, name: &str, platforms: &str, floor: Option<&str>) -> Result<(), Failure> {
        match (self.elf.needed_glibc(), floor) {
            (Some(required), Some(floor)) if parse_version(&required) > parse_version(floor) => {
                let message =
                    format!("'{name}' for {platforms} requires GLIBC_{required}, but glibc = \"{floor}\" is set");
                Err(Failure::new(Class::Verify, message)
                    .hint(format!(
                        "find the symbols that require it: `objdump -T {} | grep GLIBC_{required}`",
                        self.path
                    ))
                    .hint(format!(
                        "compile the code that uses these symbols against glibc {floor} or older, or set \
                         glibc = \"{required}\""
                    )))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that a binary is an executable for the given platform.
pub(crate) fn check_platform(elf: &Elf, platform: Platform, name: &str) -> Result<(), Failure> {
    let wrong = |problem: String| {
        Err(Failure::new(Class::Verify, format!("'{name}' for {platform} {problem}"))
            .hint(format!("run again with `-v`, and check that the linker targets {platform}")))
    };
    let expected = platform.elf_identity();
    let found = elf.identity;
    if !elf.executable {
        return wrong("is not an executable".to_owned());
    }
    if !found.same_machine(&expected) {
        return wrong(format!("was built for {found}, expected {expected}"));
    }
    match (expected.float_abi, found.float_abi) {
        (Some(expected), Some(found)) if expected != found => {
            wrong(format!("uses the {found}-float ABI, expected {expected}-float"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::NeededVersion;
    use crate::elf::linking::ExecutableKind;
    use crate::platform::{ElfIdentity, FloatAbi};

    const STRIPPED: Linking = Linking {
        executable: ExecutableKind::StaticPie,
        symbols: SymbolKind::Stripped,
        symbols_size: 0,
        debug_info_size: 0,
    };

    fn facts(machine: u16, class: u8, big_endian: bool, float_abi: Option<FloatAbi>) -> Elf {
        Elf { executable: true, ..Elf::with_identity(ElfIdentity { machine, class, big_endian, float_abi }) }
    }

    #[test]
    fn accepts_the_test_executable_for_the_host() {
        let path = Utf8PathBuf::from_path_buf(std::env::current_exe().unwrap()).unwrap();
        let artifact = Artifact::read(&path).unwrap();
        let native = Platform::all()
            .find(|p| p.architecture() == if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" })
            .unwrap();
        check_platform(&artifact.elf, native, "test").unwrap();
        assert!(artifact.elf.interpreter.is_some());
        assert!(artifact.elf.needed.iter().any(|library| library.starts_with("libc.so")), "{:?}", artifact.elf);
        assert!(artifact.elf.linkage().starts_with("glibc 2."), "{}", artifact.elf.linkage());
        assert_eq!(artifact.sha256.len(), 64);
        assert!(artifact.describe_linking().starts_with("pie, debug info ("), "{}", artifact.describe_linking());
    }

    #[test]
    fn rejects_binaries_that_require_a_newer_glibc() {
        let artifact = |glibc: Option<&str>| Artifact {
            path: "/t/app".into(),
            size: 0,
            sha256: String::new(),
            elf: Elf {
                needed_versions: glibc
                    .map(|glibc| NeededVersion {
                        library: "libc.so.6".to_owned(),
                        version: format!("GLIBC_{glibc}"),
                        weak: false,
                    })
                    .into_iter()
                    .collect(),
                ..facts(62, 64, false, None)
            },
            linking: STRIPPED,
        };
        for (required, floor, expected) in [
            (Some("2.34"), Some("2.28"), false),
            (Some("2.2.5"), Some("2.28"), true),
            (Some("2.28"), Some("2.28"), true),
            (Some("2.9"), Some("2.17"), true),
            (Some("2.34"), None, true),
            (None, Some("2.17"), true),
        ] {
            let found = artifact(required).check_floor("app", "linux/amd64", floor);
            assert_eq!(found.is_ok(), expected, "{required:?} {floor:?}");
        }
        let failure = artifact(Some("2.34")).check_floor("app", "linux/amd64/v3", Some("2.28")).unwrap_err();
        let expected = "'app' for linux/amd64/v3 requires GLIBC_2.34, but glibc = \"2.28\" is set";
        assert_eq!(failure.to_string(), expected);
        assert_eq!(failure.hints()[0], "find the symbols that require it: `objdump -T /t/app | grep GLIBC_2.34`");
    }

    #[test]
    fn reports_platform_mismatches() {
        let check =
            |elf: Elf, platform: &str| check_platform(&elf, platform.parse().unwrap(), "app").unwrap_err().to_string();
        for (facts, platform, message) in [
            (
                facts(62, 64, false, None),
                "linux/arm64",
                "'app' for linux/arm64 was built for x86_64 (64-bit, little-endian), expected aarch64 (64-bit, \
                 little-endian)",
            ),
            (
                facts(21, 64, true, None),
                "linux/ppc64le",
                "'app' for linux/ppc64le was built for ppc64le (64-bit, big-endian), expected ppc64le (64-bit, \
                 little-endian)",
            ),
            (
                facts(40, 32, false, Some(FloatAbi::Soft)),
                "linux/arm/v7",
                "'app' for linux/arm/v7 uses the soft-float ABI, expected hard-float",
            ),
            (
                Elf { executable: false, ..facts(183, 64, false, None) },
                "linux/arm64",
                "'app' for linux/arm64 is not an executable",
            ),
        ] {
            assert_eq!(check(facts, platform), message);
        }
    }

    #[test]
    fn rejects_files_that_are_not_elf_executables() {
        assert!(Elf::parse(&b"#!/bin/sh\nexit 0\n"[..]).is_err());
        assert!(Elf::parse(&b""[..]).is_err());
        assert!(Elf::parse(&b"\x7fELF\x02\x01\x01"[..]).is_err());
    }
}
