//! Removes debug information from linked ELF files, as `strip --strip-debug` does, but keeps symbols.

use anyhow::{Context, Result};
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, FileKind};

use super::linking::is_debug_section;

/// Returns an executable or shared library without its debug sections, or `None` if it has none. Everything that is
/// loaded at run time keeps its place in the file. Returns `None` for all other files, such as object files.
pub(crate) fn without_debug_sections(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf32) => strip::<FileHeader32<Endianness>>(bytes, FIELDS_32),
        Ok(FileKind::Elf64) => strip::<FileHeader64<Endianness>>(bytes, FIELDS_64),
        _ => Ok(None),
    }
}

/// The fields that contain file offsets: the position of each in its header, and their size, all in bytes (ELF gABI,
/// "ELF Header" and "Section Header Table").
#[derive(Clone, Copy)]
struct OffsetFields {
    e_shoff: usize,
    sh_offset: usize,
    size: usize,
}

const FIELDS_32: OffsetFields = OffsetFields { e_shoff: 0x20, sh_offset: 0x10, size: 4 };
const FIELDS_64: OffsetFields = OffsetFields { e_shoff: 0x28, sh_offset: 0x18, size: 8 };

/// Copies the loaded part of the file, then the remaining sections without the gaps between them, then the section
/// headers. The headers of removed sections are marked as unused (`SHT_NULL`) rather than deleted, because symbols and
/// other sections refer to sections by number.
fn strip<Header: FileHeader<Endian = Endianness>>(bytes: &[u8], fields: OffsetFields) -> Result<Option<Vec<u8>>> {
    let header = Header::parse(bytes)?;
    let endian = header.endian()?;
    if ![elf::ET_EXEC, elf::ET_DYN].contains(&header.e_type(endian)) {
        return Ok(None);
    }
    let sections = header.sections(endian, bytes)?;
    let is_debug = |section: &Header::SectionHeader| {
        Ok::<_, object::Error>(is_debug_section(sections.section_name(endian, section)?, section.sh_flags(endian)))
    };
    let loaded_end = loaded_end(header, endian, bytes)?;
    let mut stripped = bytes.get(..loaded_end).context("file is truncated")?.to_vec();
    let mut table = object::bytes_of_slice(sections.iter().as_slice()).to_vec();
    let mut by_offset: Vec<(usize, &Header::SectionHeader)> = sections.iter().enumerate().skip(1).collect();
    by_offset.sort_by_key(|(index, section)| (section.sh_offset(endian).into(), *index));
    let mut has_debug = false;
    for (index, section) in by_offset {
        let entry = index * size_of::<Header::SectionHeader>();
        if is_debug(section)? {
            has_debug = true;
            table[entry..entry + size_of::<Header::SectionHeader>()].fill(0);
        } else if !is_loaded(section, endian) && section.sh_offset(endian).into() >= loaded_end as u64 {
            pad(&mut stripped, section.sh_addralign(endian).into())?;
            put(&mut table, entry + fields.sh_offset, fields.size, stripped.len(), endian);
            stripped.extend_from_slice(section.data(endian, bytes)?);
        }
    }
    pad(&mut stripped, fields.size as u64)?;
    let table_offset = stripped.len();
    put(&mut stripped, fields.e_shoff, fields.size, table_offset, endian);
    stripped.extend_from_slice(&table);
    Ok(has_debug.then_some(stripped))
}

/// Returns the end of the part of the file that contains the headers, the segments and the sections in them.
fn loaded_end<Header: FileHeader<Endian = Endianness>>(
    header: &Header,
    endian: Endianness,
    bytes: &[u8],
) -> Result<usize> {
    let segments = header.program_headers(endian, bytes)?;
    let table_end = header.e_phoff(endian).into().saturating_add(size_of_val(segments) as u64);
    let segment_end = |segment: &Header::ProgramHeader| {
        segment.p_offset(endian).into().saturating_add(segment.p_filesz(endian).into())
    };
    let sections = header.sections(endian, bytes)?;
    let section_end = |section: &Header::SectionHeader| {
        let (offset, size) = section.file_range(endian).filter(|_| is_loaded(section, endian))?;
        Some(offset.saturating_add(size))
    };
    let ends = segments.iter().map(segment_end).chain(sections.iter().filter_map(section_end));
    Ok(usize::try_from(ends.fold(table_end.max(size_of::<Header>() as u64), u64::max))?)
}

fn is_loaded<Section: SectionHeader>(section: &Section, endian: Section::Endian) -> bool {
    section.sh_flags(endian).contains(elf::SHF_ALLOC)
}

/// Appends zeros until the length is a multiple of `align`.
fn pad(bytes: &mut Vec<u8>, align: u64) -> Result<()> {
    let length = bytes.len().next_multiple_of(usize::try_from(align.max(1))?);
    bytes.resize(length, 0);
    Ok(())
}

/// Writes a number of `size` bytes at `at`.
fn put(bytes: &mut [u8], at: usize, size: usize, value: usize, endian: Endianness) {
    let value = value as u64;
    match endian {
        Endianness::Little => bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]),
        Endianness::Big => bytes[at..at + size].copy_from_slice(&value.to_be_bytes()[8 - size..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Elf;
    use crate::elf::linking::{Linking, SymbolKind};

    #[test]
    fn removes_debug_info_from_the_test_executable_but_keeps_its_symbols() {
        let bytes = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        let stripped = without_debug_sections(&bytes).unwrap().unwrap();
        let (before, after) = (Linking::read(&*bytes).unwrap(), Linking::read(&*stripped).unwrap());
        assert_eq!((before.symbols, after.symbols), (SymbolKind::DebugInfo, SymbolKind::Symbols));
        assert_eq!((before.executable, before.symbols_size), (after.executable, after.symbols_size));
        assert!(stripped.len() < bytes.len());
        assert_eq!(Elf::parse(&*bytes).unwrap(), Elf::parse(&*stripped).unwrap());
        assert_eq!(without_debug_sections(&stripped).unwrap(), None);
    }

    #[test]
    fn leaves_other_files_unchanged() {
        let mut object_file = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        object_file[0x10..0x12].copy_from_slice(&1_u16.to_ne_bytes());
        for bytes in [&object_file[..], b"", b"#!/bin/sh\n"] {
            assert_eq!(without_debug_sections(bytes).unwrap(), None);
        }
    }

    /// Returns a big-endian executable with the sections `.debug_info` and `.comment`.
    fn big_endian_executable() -> Vec<u8> {
        const NAMES: &[u8] = b"\0.debug_info\0.comment\0.shstrtab\0";
        // Each section has a name, a type, an offset and a size. All of them follow the ELF header.
        let content = [b"debug".as_slice(), b"comment", NAMES].concat();
        let sections = [(0, 0, 0, 0), (1, 1, 64, 5), (13, 1, 69, 7), (22, 3, 76, NAMES.len() as u64)];
        let mut bytes = b"\x7fELF\x02\x02\x01".to_vec();
        bytes.resize(16, 0);
        for half in [2_u16, 22] {
            bytes.extend(half.to_be_bytes()); // e_type (ET_EXEC), e_machine (EM_S390)
        }
        bytes.extend(1_u32.to_be_bytes()); // e_version
        for word in [0_u64, 0, 64 + content.len() as u64] {
            bytes.extend(word.to_be_bytes()); // e_entry, e_phoff, e_shoff
        }
        bytes.extend(0_u32.to_be_bytes()); // e_flags
        for half in [64_u16, 56, 0, 64, 4, 3] {
            bytes.extend(half.to_be_bytes()); // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
        }
        bytes.extend(content);
        for (name, kind, offset, size) in sections {
            bytes.extend([name, kind].iter().flat_map(|word: &u32| word.to_be_bytes()));
            bytes.extend([0, 0, offset, size, 0, 1, 0].iter().flat_map(|word: &u64| word.to_be_bytes()));
        }
        bytes
    }

    #[test]
    fn big_endian_executables_are_stripped() {
        let stripped = without_debug_sections(&big_endian_executable()).unwrap().unwrap();
        let header = FileHeader64::<Endianness>::parse(&*stripped).unwrap();
        let endian = header.endian().unwrap();
        let sections = header.sections(endian, &*stripped).unwrap();
        let contents: Vec<(&[u8], &[u8])> = sections
            .iter()
            .map(|section| (sections.section_name(endian, section).unwrap(), section.data(endian, &*stripped).unwrap()))
            .collect();
        assert_eq!(contents[..3], [(&b""[..], &b""[..]), (b"", b""), (b".comment", b"comment")]);
        assert_eq!(contents[3].0, b".shstrtab");
        assert_eq!(without_debug_sections(&stripped).unwrap(), None);
    }

    #[test]
    fn numbers_are_written_in_the_byte_order_of_the_file() {
        let written = |size, endian| {
            let mut bytes = vec![0; 8];
            put(&mut bytes, 0, size, 0x0102_0304, endian);
            bytes
        };
        assert_eq!(written(4, Endianness::Little), [4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(written(4, Endianness::Big), [1, 2, 3, 4, 0, 0, 0, 0]);
        assert_eq!(written(8, Endianness::Big), [0, 0, 0, 0, 1, 2, 3, 4]);
    }
}
