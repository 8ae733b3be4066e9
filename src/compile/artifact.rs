//! A compiled binary, and what its ELF header says of it.

use std::collections::BTreeMap;
use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, VerneedIterator};
use object::{Endianness, FileKind, ReadCache, ReadRef, StringTable};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Class, Failure};
use crate::plan::{Binary, BuildSettings};
use crate::platform::{ElfIdentity, FloatAbi, Platform, machine_name};

/// Every binary that a plan wants, by how it was built.
pub type Artifacts = BTreeMap<(BuildSettings, Binary), Artifact>;

/// A compiled binary in the tool's own folder, where no later cargo run overwrites it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Artifact {
    #[serde(skip)]
    pub path: Utf8PathBuf,
    /// Bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
    #[serde(flatten)]
    pub facts: ElfFacts,
}

/// What an executable asks of the system that starts it (ELF gABI; symbol versions: LSB Core, "Symbol Versioning").
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ElfFacts {
    #[serde(skip)]
    pub identity: Option<ElfIdentity>,
    /// `e_type` is ET_EXEC or ET_DYN, and there is something to load.
    #[serde(skip)]
    pub executable: bool,
    /// PT_INTERP, the dynamic linker; none in a static binary.
    pub interpreter: Option<String>,
    /// DT_NEEDED.
    pub needed: Vec<String>,
    /// The highest `GLIBC_x.y` that a symbol asks for.
    pub glibc: Option<String>,
}

impl Artifact {
    /// Reads and hashes a binary.
    pub fn read(path: &Utf8Path) -> Result<Artifact> {
        let mut file = fs_err::File::open(path)?;
        let (sha256, size) = hash(&mut file)?;
        let facts =
            ElfFacts::parse(&ReadCache::new(file)).with_context(|| format!("{path} is not an ELF executable"))?;
        Ok(Artifact { path: path.to_owned(), size, sha256, facts })
    }

    /// Checks that a binary asks for no newer glibc than it may: what links is told of the floor, and what is linked in
    /// has not heard of it. `platforms` are those that it is for.
    pub fn check_floor(&self, name: &str, platforms: &str, floor: Option<&str>) -> Result<(), Failure> {
        match (&self.facts.glibc, floor) {
            (Some(asked), Some(floor)) if numbers(asked) > numbers(floor) => {
                let what =
                    format!("'{name}' for {platforms} asks for GLIBC_{asked}, and glibc = \"{floor}\" allows less");
                Err(Failure::new(Class::Verify, what)
                    .hint(format!("see what asks for it: `objdump -T {} | grep GLIBC_{asked}`", self.path))
                    .hint(format!("link that by zig for the floor, or raise it: glibc = \"{asked}\"")))
            }
            _ => Ok(()),
        }
    }
}

/// The numbers of a version; none where there is something else in it.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// Hashes a stream: hexadecimal, and how many bytes it was.
pub fn hash(mut from: impl Read) -> io::Result<(String, u64)> {
    let mut sha256 = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok((hex(&sha256.finalize()), size)),
            read => {
                sha256.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

/// Lower-case hexadecimal, as digests are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ElfFacts {
    /// Reads the headers, the dynamic section and the version requirements of an ELF file.
    pub fn parse<'data>(bytes: impl ReadRef<'data>) -> Result<ElfFacts> {
        match FileKind::parse(bytes)? {
            FileKind::Elf32 => parse::<FileHeader32<Endianness>, _>(bytes, 32),
            FileKind::Elf64 => parse::<FileHeader64<Endianness>, _>(bytes, 64),
            other => bail!("it is {other:?}"),
        }
    }

    /// `static`, or what it needs: `glibc 2.34`, `dynamic`.
    pub fn linkage(&self) -> String {
        match (&self.interpreter, &self.glibc) {
            (None, _) => "static".to_owned(),
            (Some(_), Some(version)) => format!("glibc {version}"),
            (Some(_), None) => "dynamic".to_owned(),
        }
    }

    /// Checks that the binary is an executable for a platform.
    pub fn check(&self, platform: Platform, name: &str) -> Result<(), Failure> {
        let wrong = |what: String| {
            Err(Failure::new(Class::Verify, format!("'{name}' for {platform} {what}"))
                .hint("see what built it with -v; a linker in cargo's configuration may be another platform's"))
        };
        let wanted = platform.elf();
        let Some(found) = self.identity else { return wrong("is not an ELF file".to_owned()) };
        if !self.executable {
            return wrong("is not an executable".to_owned());
        }
        if (found.machine, found.class, found.big_endian) != (wanted.machine, wanted.class, wanted.big_endian) {
            return wrong(format!("is for {}, wanted {}", describe(&found), describe(&wanted)));
        }
        match (wanted.float_abi, found.float_abi) {
            (Some(wanted), Some(found)) if wanted != found => wrong(
                format!("has the {found:?} float ABI, wanted {wanted:?}")
                    .to_lowercase()
                    .replace(&name.to_lowercase(), name),
            ),
            _ => Ok(()),
        }
    }
}

fn describe(identity: &ElfIdentity) -> String {
    let order = if identity.big_endian { "big" } else { "little" };
    format!("{} ({}-bit, {order}-endian)", machine_name(identity.machine), identity.class)
}

fn parse<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(bytes: R, class: u8) -> Result<ElfFacts> {
    let header = Elf::parse(bytes)?;
    let endian = header.endian()?;
    let machine = header.e_machine(endian);
    let flags = header.e_flags(endian);
    // ELF for the Arm Architecture, §5.2: set in executables that conform to one of the two procedure-call standards.
    let float_abi = match flags.0 {
        _ if machine != elf::EM_ARM => None,
        flags if flags & elf::EF_ARM_ABI_FLOAT_HARD != 0 => Some(FloatAbi::Hard),
        flags if flags & elf::EF_ARM_ABI_FLOAT_SOFT != 0 => Some(FloatAbi::Soft),
        _ => None,
    };
    let identity = ElfIdentity { machine: machine.0, class, big_endian: header.is_big_endian(), float_abi };
    let segments = header.program_headers(endian, bytes)?;
    let kind = header.e_type(endian);
    let loads = segments.iter().any(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let mut facts = ElfFacts {
        identity: Some(identity),
        executable: (kind == elf::ET_EXEC || kind == elf::ET_DYN) && loads && header.e_entry(endian).into() != 0,
        interpreter: None,
        needed: Vec::new(),
        glibc: None,
    };
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            facts.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let sections = header.sections(endian, bytes)?;
    if let Some((dynamic, link)) = sections.dynamic(endian, bytes)? {
        let strings = sections.strings(endian, bytes, link)?;
        for entry in dynamic.iter().filter(|entry| entry.d_tag(endian) == elf::DT_NEEDED) {
            facts.needed.push(text(&strings, u32::try_from(entry.d_val(endian).into())?)?);
        }
    }
    if let Some((needs, link)) = sections.gnu_verneed(endian, bytes)? {
        let strings = sections.strings(endian, bytes, link)?;
        facts.glibc = highest_glibc::<Elf, _>(endian, needs, &strings)?;
    }
    Ok(facts)
}

fn highest_glibc<'a, Elf: FileHeader, R: ReadRef<'a>>(
    endian: Elf::Endian,
    mut needs: VerneedIterator<'a, Elf>,
    strings: &StringTable<'a, R>,
) -> Result<Option<String>> {
    let mut highest: Option<Vec<u32>> = None;
    while let Some((_, mut versions)) = needs.next()? {
        while let Some(version) = versions.next()? {
            let name = text(strings, version.vna_name.get(endian))?;
            highest = highest.max(name.strip_prefix("GLIBC_").and_then(numbers));
        }
    }
    Ok(highest.map(|numbers| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")))
}

fn text<'a, R: ReadRef<'a>>(strings: &StringTable<'a, R>, offset: u32) -> Result<String> {
    let bytes = strings.get(offset).map_err(|()| anyhow::anyhow!("a name lies outside of the string table"))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(machine: u16, class: u8, big_endian: bool, float_abi: Option<FloatAbi>) -> ElfFacts {
        ElfFacts {
            identity: Some(ElfIdentity { machine, class, big_endian, float_abi }),
            executable: true,
            interpreter: None,
            needed: vec![],
            glibc: None,
        }
    }

    #[test]
    fn the_test_itself_is_an_executable_for_its_host() {
        let path = Utf8PathBuf::from_path_buf(std::env::current_exe().unwrap()).unwrap();
        let artifact = Artifact::read(&path).unwrap();
        let native = Platform::all()
            .find(|p| p.architecture() == if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" })
            .unwrap();
        artifact.facts.check(native, "test").unwrap();
        assert!(artifact.facts.interpreter.is_some());
        assert!(artifact.facts.needed.iter().any(|library| library.starts_with("libc.so")), "{:?}", artifact.facts);
        assert!(artifact.facts.linkage().starts_with("glibc 2."), "{}", artifact.facts.linkage());
        assert_eq!(artifact.sha256.len(), 64);
    }

    #[test]
    fn a_floor_that_is_not_kept() {
        let artifact = |glibc: Option<&str>| Artifact {
            path: "/t/app".into(),
            size: 0,
            sha256: String::new(),
            facts: ElfFacts { glibc: glibc.map(str::to_owned), ..facts(62, 64, false, None) },
        };
        for (asked, floor, kept) in [
            (Some("2.34"), Some("2.28"), false),
            (Some("2.2.5"), Some("2.28"), true),
            (Some("2.28"), Some("2.28"), true),
            (Some("2.9"), Some("2.17"), true),
            (Some("2.34"), None, true),
            (None, Some("2.17"), true),
        ] {
            let found = artifact(asked).check_floor("app", "linux/amd64", floor);
            assert_eq!(found.is_ok(), kept, "{asked:?} {floor:?}");
        }
        let failure = artifact(Some("2.34")).check_floor("app", "linux/amd64/v3", Some("2.28")).unwrap_err();
        let expected = "'app' for linux/amd64/v3 asks for GLIBC_2.34, and glibc = \"2.28\" allows less";
        assert_eq!(failure.to_string(), expected);
        assert_eq!(failure.hints()[0], "see what asks for it: `objdump -T /t/app | grep GLIBC_2.34`");
    }

    #[test]
    fn what_does_not_match_is_said() {
        let check =
            |facts: ElfFacts, platform: &str| facts.check(platform.parse().unwrap(), "app").unwrap_err().to_string();
        for (facts, platform, message) in [
            (
                facts(62, 64, false, None),
                "linux/arm64",
                "'app' for linux/arm64 is for x86_64 (64-bit, little-endian), wanted aarch64 (64-bit, little-endian)",
            ),
            (
                facts(21, 64, true, None),
                "linux/ppc64le",
                "'app' for linux/ppc64le is for ppc64le (64-bit, big-endian), wanted ppc64le (64-bit, little-endian)",
            ),
            (
                facts(40, 32, false, Some(FloatAbi::Soft)),
                "linux/arm/v7",
                "'app' for linux/arm/v7 has the soft float abi, wanted hard",
            ),
            (
                ElfFacts { executable: false, ..facts(183, 64, false, None) },
                "linux/arm64",
                "'app' for linux/arm64 is not an executable",
            ),
        ] {
            assert_eq!(check(facts, platform), message);
        }
    }

    #[test]
    fn other_files_are_refused() {
        assert!(ElfFacts::parse(&b"#!/bin/sh\nexit 0\n"[..]).is_err());
        assert!(ElfFacts::parse(&b""[..]).is_err());
        assert!(ElfFacts::parse(&b"\x7fELF\x02\x01\x01"[..]).is_err());
    }
}
