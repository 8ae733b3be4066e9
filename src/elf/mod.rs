//! Parses ELF files to determine what they need at load time and which symbol versions they provide. Like a dynamic
//! loader, this module reads the program headers and the dynamic section. It reads section headers only to find ARM
//! build attributes, which program headers do not cover (ELF gABI; symbol versions: LSB Core, "Symbol Versioning").

pub(crate) mod linking;
pub(crate) mod processor;
pub(crate) mod strip;

use anyhow::{Context, Result, bail};
use object::elf::{self, FileHeader32, FileHeader64, Vernaux, Verneed};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadRef, StringTable};
use serde::{Deserialize, Serialize};

use self::processor::{ArmAttributes, cpu_level, float_abi};
use crate::platform::ElfIdentity;

/// Maximum number of bytes to search in a dynamic loader for its built-in library directories.
const MAX_LOADER_SIZE: u64 = 8 << 20;

/// The properties of an ELF file that determine whether it can be run or loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elf {
    pub identity: ElfIdentity,
    /// Whether the file can be executed: its type is ET_EXEC or ET_DYN, and it has an entry point and loadable
    /// segments.
    pub executable: bool,
    /// Whether the file contains the bytes of all its segments. Otherwise, it is truncated.
    #[serde(rename = "whole")]
    pub is_complete: bool,
    /// Instruction set level that the file requires, if it specifies one, such as 7 for ARMv7 or 3 for x86-64-v3.
    #[serde(rename = "level")]
    pub cpu_level: Option<u8>,
    /// Path of the dynamic loader (PT_INTERP). `None` for static binaries.
    pub interpreter: Option<String>,
    /// Name by which other files refer to this shared library (DT_SONAME).
    pub soname: Option<String>,
    /// Libraries that the file is linked against (DT_NEEDED).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// The unmodified DT_RPATH: library directories separated by colons.
    pub rpath: Option<String>,
    /// The unmodified DT_RUNPATH: library directories separated by colons.
    pub runpath: Option<String>,
    /// Symbol versions that the file requires from libraries.
    #[serde(rename = "wants", default, skip_serializing_if = "Vec::is_empty")]
    pub needed_versions: Vec<NeededVersion>,
    /// Symbol versions that the file defines.
    #[serde(rename = "offers", default, skip_serializing_if = "Vec::is_empty")]
    pub defined_versions: Vec<String>,
    /// Library directories that are built into glibc's dynamic loader. Empty for other files.
    #[serde(rename = "folders", default, skip_serializing_if = "Vec::is_empty")]
    pub default_library_dirs: Vec<String>,
}

/// A symbol version that a file requires from a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NeededVersion {
    pub library: String,
    pub version: String,
    /// Whether the loader accepts a library that does not define the version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
}

/// The loader and libraries that an executable requires, as listed in reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Asks"))]
pub(crate) struct RuntimeRequirements {
    /// Path of the dynamic loader (PT_INTERP). Null for static binaries.
    interpreter: Option<String>,
    /// Libraries that the executable is linked against (DT_NEEDED).
    needed: Vec<String>,
    /// Minimum glibc version, from the highest `GLIBC_x.y` symbol version that is required.
    glibc: Option<String>,
}

/// Prefix of glibc's symbol version names.
const GLIBC_PREFIX: &str = "GLIBC_";
/// Maximum size of a string table in bytes. Files with a larger one are rejected as corrupt.
const MAX_STRING_TABLE_SIZE: u64 = 64 << 20;
/// Maximum number of symbol versions, so that parsing a corrupt file terminates quickly.
const MAX_VERSIONS: usize = 10_000;

impl Elf {
    /// Parses an ELF file. Reads only the headers and the parts of the file that they refer to.
    pub(crate) fn parse<'data>(bytes: impl ReadRef<'data>) -> Result<Elf> {
        match FileKind::parse(bytes)? {
            FileKind::Elf32 => parse::<FileHeader32<Endianness>, _>(bytes, 32),
            FileKind::Elf64 => parse::<FileHeader64<Endianness>, _>(bytes, 64),
            other => bail!("unsupported file format {other:?}"),
        }
    }

    /// Returns an `Elf` with the given identity and no other properties.
    pub(crate) fn with_identity(identity: ElfIdentity) -> Elf {
        Elf {
            identity,
            executable: false,
            is_complete: true,
            cpu_level: None,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            needed_versions: Vec::new(),
            defined_versions: Vec::new(),
            default_library_dirs: Vec::new(),
        }
    }

    pub(crate) fn runtime_requirements(&self) -> RuntimeRequirements {
        RuntimeRequirements {
            interpreter: self.interpreter.clone(),
            needed: self.needed.clone(),
            glibc: self.needed_glibc(),
        }
    }

    /// Returns the minimum glibc version, such as `2.34`: the highest `GLIBC_x.y` symbol version that the file
    /// requires.
    pub(crate) fn needed_glibc(&self) -> Option<String> {
        highest_glibc(self.needed_versions.iter().map(|needed| needed.version.as_str()))
    }

    /// Returns the glibc version that the file provides, if it is part of glibc.
    pub(crate) fn defined_glibc(&self) -> Option<String> {
        highest_glibc(self.defined_versions.iter().map(String::as_str))
    }

    /// Describes how the file is linked: `static`, `glibc 2.34`, or `dynamic` if it requires no glibc version.
    pub(crate) fn linkage(&self) -> String {
        match (&self.interpreter, self.needed_glibc()) {
            (None, _) => "static".to_owned(),
            (Some(_), Some(version)) => format!("glibc {version}"),
            (Some(_), None) => "dynamic".to_owned(),
        }
    }
}

fn highest_glibc<'a>(versions: impl Iterator<Item = &'a str>) -> Option<String> {
    let numbers = versions.filter_map(|version| parse_version(version.strip_prefix(GLIBC_PREFIX)?)).max()?;
    Some(numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("."))
}

/// Splits a version such as `2.34` into its numbers. Returns `None` if a component is not a number.
pub(crate) fn parse_version(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

fn parse<'data, Header: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(bytes: R, class: u8) -> Result<Elf> {
    let header = Header::parse(bytes)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, bytes)?;
    let kind = header.e_type(endian);
    let is_loadable = segments.iter().any(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let length = bytes.len().unwrap_or(0);
    let is_in_file = |segment: &Header::ProgramHeader| {
        let end = segment.p_offset(endian).into().checked_add(segment.p_filesz(endian).into());
        segment.p_type(endian) != elf::PT_LOAD || end.is_some_and(|end| end <= length)
    };
    let attributes = ArmAttributes::find(header, endian, bytes);
    let machine = header.e_machine(endian);
    let identity = ElfIdentity {
        machine: machine.0,
        class,
        big_endian: header.is_big_endian(),
        float_abi: float_abi(machine, header.e_flags(endian), &attributes),
    };
    let mut facts = Elf {
        executable: (kind == elf::ET_EXEC || kind == elf::ET_DYN) && is_loadable && header.e_entry(endian).into() != 0,
        is_complete: segments.iter().all(is_in_file),
        cpu_level: cpu_level(machine, &attributes, segments, endian, bytes),
        ..Elf::with_identity(identity)
    };
    if !facts.is_complete {
        return Ok(facts);
    }
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            facts.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let dynamic = segments.iter().find_map(|segment| segment.dynamic(endian, bytes).transpose());
    if let Some(dynamic) = dynamic.transpose()? {
        Dynamic::<Header, R> { bytes, endian, segments, entries: dynamic }.read(&mut facts)?;
    }
    if facts.soname.as_ref().is_some_and(|name| name.starts_with("ld")) && facts.defined_glibc().is_some() {
        let contents = bytes.read_bytes_at(0, length.min(MAX_LOADER_SIZE)).unwrap_or_default();
        facts.default_library_dirs = library_dirs_in_loader(contents);
    }
    Ok(facts)
}

/// The dynamic section of a file, with the segments that map its addresses to file offsets.
struct Dynamic<'data, Header: FileHeader, R> {
    bytes: R,
    endian: Endianness,
    segments: &'data [Header::ProgramHeader],
    entries: &'data [Header::Dyn],
}

impl<'data, Header: FileHeader<Endian = Endianness>, R: ReadRef<'data>> Dynamic<'data, Header, R> {
    fn read(&self, facts: &mut Elf) -> Result<()> {
        let Some(start) = self.value(elf::DT_STRTAB).and_then(|address| self.offset(address)) else {
            // Static position-independent executables may have no string table.
            return Ok(());
        };
        let size = self.value(elf::DT_STRSZ).unwrap_or(0);
        if size > MAX_STRING_TABLE_SIZE {
            bail!("string table is too large ({size} bytes)");
        }
        let strings = StringTable::new(self.bytes, start, start.saturating_add(size));
        for entry in self.entries.iter().take_while(|entry| entry.d_tag(self.endian) != elf::DT_NULL) {
            let name = || text(&strings, entry.d_val(self.endian).into());
            match entry.d_tag(self.endian) {
                elf::DT_NEEDED => facts.needed.push(name()?),
                elf::DT_SONAME => facts.soname = Some(name()?),
                elf::DT_RPATH => facts.rpath = Some(name()?),
                elf::DT_RUNPATH => facts.runpath = Some(name()?),
                _ => {}
            }
        }
        if let Some(at) = self.value(elf::DT_VERNEED).and_then(|address| self.offset(address)) {
            facts.needed_versions = self.needed_versions(at, &strings)?;
        }
        if let Some(at) = self.value(elf::DT_VERDEF).and_then(|address| self.offset(address)) {
            facts.defined_versions = self.defined_versions(at, &strings)?;
        }
        Ok(())
    }

    fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        let mut entries = self.entries.iter().take_while(|entry| entry.d_tag(self.endian) != elf::DT_NULL);
        entries.find(|entry| entry.d_tag(self.endian) == tag).map(|entry| entry.d_val(self.endian).into())
    }

    /// Returns the file offset of a virtual address.
    fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().filter(|segment| segment.p_type(self.endian) == elf::PT_LOAD).find_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr(self.endian).into())?;
            (within < segment.p_filesz(self.endian).into())
                .then(|| segment.p_offset(self.endian).into().checked_add(within))?
        })
    }

    fn at<T: object::Pod>(&self, offset: u64) -> Result<&'data T> {
        self.bytes.read_at(offset).map_err(|()| anyhow::anyhow!("symbol version table is truncated"))
    }

    fn needed_versions(&self, mut at: u64, strings: &StringTable<'data, R>) -> Result<Vec<NeededVersion>> {
        let mut needed = Vec::new();
        loop {
            let library: &Verneed<Endianness> = self.at(at)?;
            let name = text(strings, library.vn_file.get(self.endian).into())?;
            let mut version_at = at + u64::from(library.vn_aux.get(self.endian));
            for _ in 0..library.vn_cnt.get(self.endian) {
                let version: &Vernaux<Endianness> = self.at(version_at)?;
                needed.push(NeededVersion {
                    library: name.clone(),
                    version: text(strings, version.vna_name.get(self.endian).into())?,
                    weak: version.vna_flags.get(self.endian).contains(elf::VER_FLG_WEAK),
                });
                version_at += u64::from(version.vna_next.get(self.endian));
            }
            match library.vn_next.get(self.endian) {
                0 => return Ok(needed),
                _ if needed.len() > MAX_VERSIONS => bail!("too many symbol versions"),
                next => at += u64::from(next),
            }
        }
    }

    fn defined_versions(&self, mut at: u64, strings: &StringTable<'data, R>) -> Result<Vec<String>> {
        let mut names = Vec::new();
        loop {
            let defined: &elf::Verdef<Endianness> = self.at(at)?;
            let name: &elf::Verdaux<Endianness> = self.at(at + u64::from(defined.vd_aux.get(self.endian)))?;
            // Skip the base version, which is the file's own name rather than a symbol version.
            if !defined.vd_flags.get(self.endian).contains(elf::VER_FLG_BASE) {
                names.push(text(strings, name.vda_name.get(self.endian).into())?);
            }
            match defined.vd_next.get(self.endian) {
                0 => return Ok(names),
                _ if names.len() > MAX_VERSIONS => bail!("too many symbol versions"),
                next => at += u64::from(next),
            }
        }
    }
}

fn text<'a, R: ReadRef<'a>>(strings: &StringTable<'a, R>, offset: u64) -> Result<String> {
    let bytes = u32::try_from(offset).ok().and_then(|offset| strings.get(offset).ok());
    let bytes = bytes.context("name is outside the string table")?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Finds the library directories that are built into glibc's loader: the longest run of adjacent strings that are
/// absolute paths, contain "lib" and end with a slash.
fn library_dirs_in_loader(loader: &[u8]) -> Vec<String> {
    let is_library_dir =
        |text: &&[u8]| text.starts_with(b"/") && text.ends_with(b"/") && text.windows(3).any(|w| w == b"lib");
    let mut best: Vec<&[u8]> = Vec::new();
    let mut run: Vec<&[u8]> = Vec::new();
    for text in loader.split(|byte| *byte == 0) {
        if is_library_dir(&text) {
            run.push(text);
        } else {
            run.clear();
        }
        if run.len() > best.len() {
            best.clone_from(&run);
        }
    }
    let name = |text: &[u8]| String::from_utf8_lossy(text).trim_end_matches('/').to_owned();
    best.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_built_in_directories_of_a_loader() {
        let loader = b"x\0/lib64/\0y\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\0/etc/\0";
        assert_eq!(
            library_dirs_in_loader(loader),
            ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]
        );
        assert!(library_dirs_in_loader(b"no path").is_empty());
    }

    #[test]
    fn parses_the_running_program_and_its_loader() {
        let program = Elf::parse(&*fs_err::read(std::env::current_exe().unwrap()).unwrap()).unwrap();
        assert!(program.executable && program.is_complete && program.soname.is_none());
        assert!(
            program
                .needed_versions
                .iter()
                .any(|needed| needed.library.starts_with("libc.so") && needed.version.starts_with("GLIBC_2"))
        );
        let loader = Elf::parse(&*fs_err::read(program.interpreter.unwrap()).unwrap()).unwrap();
        assert!(loader.defined_versions.iter().any(|version| version.starts_with("GLIBC_2")), "{loader:?}");
        assert!(loader.default_library_dirs.iter().any(|dir| dir == "/lib"), "{loader:?}");
        assert!(loader.soname.unwrap().starts_with("ld"));
    }

    #[test]
    fn truncated_files_are_detected() {
        let complete = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        assert!(!Elf::parse(&complete[..4096]).unwrap().is_complete);
        for length in [0, 5, 30, 63] {
            assert!(Elf::parse(&complete[..length]).is_err(), "{length}");
        }
    }
}
