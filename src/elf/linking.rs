//! Determines how an executable was linked: whether it is position-independent, and whether it contains symbols and
//! debug information.

use anyhow::{Result, bail};
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, FileKind, ReadRef};
use serde::Serialize;

/// How an executable was linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Linking {
    /// Whether the executable is position-independent, so that the kernel can load it at a random address.
    pub executable: ExecutableKind,
    /// Which symbols the executable contains.
    pub symbols: SymbolKind,
    /// Size in bytes of the symbol table and its names.
    pub symbols_size: u64,
    /// Size in bytes of the debug information.
    pub debug_info_size: u64,
}

/// Whether an executable is position-independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum ExecutableKind {
    /// Position-independent, without a dynamic loader.
    StaticPie,
    /// Position-independent, started by a dynamic loader.
    Pie,
    /// Loaded at a fixed address.
    NotPie,
}

/// The symbols in an executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum SymbolKind {
    /// No symbols: backtraces contain no function names.
    Stripped,
    /// Symbols without debug information: backtraces contain function names.
    Symbols,
    /// Debug information: backtraces contain function names, files and lines.
    DebugInfo,
}

impl Linking {
    /// Reads the headers of an ELF file.
    pub(crate) fn read<'data>(bytes: impl ReadRef<'data>) -> Result<Linking> {
        match FileKind::parse(bytes)? {
            FileKind::Elf32 => read::<FileHeader32<Endianness>, _>(bytes),
            FileKind::Elf64 => read::<FileHeader64<Endianness>, _>(bytes),
            other => bail!("unsupported file format {other:?}"),
        }
    }
}

impl std::fmt::Display for ExecutableKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ExecutableKind::StaticPie => "static-pie",
            ExecutableKind::Pie => "pie",
            ExecutableKind::NotPie => "not pie",
        })
    }
}

/// Reports whether a section with this name and these flags contains debug information.
pub(super) fn is_debug_section(name: &[u8], flags: elf::SectionFlags) -> bool {
    !flags.contains(elf::SHF_ALLOC) && (name.starts_with(b".debug_") || name.starts_with(b".zdebug_"))
}

fn read<'data, Header: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(bytes: R) -> Result<Linking> {
    let header = Header::parse(bytes)?;
    let endian = header.endian()?;
    let has_loader =
        header.program_headers(endian, bytes)?.iter().any(|segment| segment.p_type(endian) == elf::PT_INTERP);
    // Section headers are optional, and not needed to run the file.
    let sections = header.sections(endian, bytes).unwrap_or_default();
    let is_debug = |section: &Header::SectionHeader| {
        let name = sections.section_name(endian, section);
        name.is_ok_and(|name| is_debug_section(name, section.sh_flags(endian)))
    };
    let size = |section: &Header::SectionHeader| -> u64 { section.sh_size(endian).into() };
    let (mut symbols_size, mut debug_info_size) = (0_u64, 0_u64);
    for section in sections.iter() {
        if section.sh_type(endian) == elf::SHT_SYMTAB {
            let names = sections.section(object::SectionIndex(section.sh_link(endian) as usize));
            symbols_size = symbols_size.saturating_add(size(section)).saturating_add(names.map_or(0, size));
        } else if is_debug(section) {
            debug_info_size = debug_info_size.saturating_add(size(section));
        }
    }
    Ok(Linking {
        executable: match (header.e_type(endian) == elf::ET_DYN, has_loader) {
            (true, false) => ExecutableKind::StaticPie,
            (true, true) => ExecutableKind::Pie,
            (false, _) => ExecutableKind::NotPie,
        },
        symbols: match (symbols_size, debug_info_size) {
            (0, 0) => SymbolKind::Stripped,
            (_, 0) => SymbolKind::Symbols,
            _ => SymbolKind::DebugInfo,
        },
        symbols_size,
        debug_info_size,
    })
}
