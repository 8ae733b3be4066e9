//! What an ELF file asks of the system that starts or loads it, and what it offers to others. Read as a loader reads
//! it: by its program headers and its dynamic section, never by section names, except for what only sections have
//! (ELF gABI; symbol versions: LSB Core, "Symbol Versioning").

pub mod processor;

use anyhow::{Context, Result, bail};
use object::elf::{self, FileHeader32, FileHeader64, Vernaux, Verneed};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadRef, StringTable};
use serde::{Deserialize, Serialize};

use self::processor::{Attributes, float_abi, level};
use crate::platform::ElfIdentity;

/// Bytes of a loader that are looked through for its folders; none has as many.
const LARGEST_LOADER: u64 = 8 << 20;

/// The facts of an ELF file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elf {
    pub identity: ElfIdentity,
    /// `e_type` is ET_EXEC or ET_DYN, it has an entry point, and there is something to load.
    pub executable: bool,
    /// All that its segments name is in the file.
    pub whole: bool,
    /// The number of the lowest variant that runs it, where the file says so: 7 for ARMv7, 3 for x86-64-v3.
    pub level: Option<u8>,
    /// PT_INTERP, the dynamic loader; none in a static binary.
    pub interpreter: Option<String>,
    /// DT_SONAME.
    pub soname: Option<String>,
    /// DT_NEEDED.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// DT_RPATH and DT_RUNPATH, as they are written: folders with a colon between them.
    pub rpath: Option<String>,
    pub runpath: Option<String>,
    /// The versions that its symbols want of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wants: Vec<Want>,
    /// The versions that it defines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<String>,
    /// Of glibc's loader: the folders that it looks into when nothing else names one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
}

/// A version that symbols of a file want of a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    pub library: String,
    pub version: String,
    /// The loader goes on without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
}

/// What a report says of an executable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Asks {
    /// PT_INTERP, the dynamic linker; none in a static binary.
    interpreter: Option<String>,
    /// DT_NEEDED.
    needed: Vec<String>,
    /// The highest `GLIBC_x.y` that a symbol asks for.
    glibc: Option<String>,
}

/// glibc's loader has these versions, others do not.
const GLIBC: &str = "GLIBC_";
/// A longer table of names is none.
const MOST_STRINGS: u64 = 64 << 20;
/// More than any file has, and a bound to what a broken one makes of it.
const MOST_VERSIONS: usize = 10_000;

impl Elf {
    /// Reads what the headers lead to, and nothing else of the file.
    pub fn parse<'data>(bytes: impl ReadRef<'data>) -> Result<Elf> {
        match FileKind::parse(bytes)? {
            FileKind::Elf32 => parse::<FileHeader32<Endianness>, _>(bytes, 32),
            FileKind::Elf64 => parse::<FileHeader64<Endianness>, _>(bytes, 64),
            other => bail!("it is {other:?}"),
        }
    }

    /// A file of which nothing but its kind is known.
    pub fn of(identity: ElfIdentity) -> Elf {
        Elf {
            identity,
            executable: false,
            whole: true,
            level: None,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            wants: Vec::new(),
            offers: Vec::new(),
            folders: Vec::new(),
        }
    }

    pub fn asks(&self) -> Asks {
        Asks { interpreter: self.interpreter.clone(), needed: self.needed.clone(), glibc: self.glibc() }
    }

    /// The highest `GLIBC_x.y` that a symbol wants: `2.34`.
    pub fn glibc(&self) -> Option<String> {
        highest(self.wants.iter().map(|want| want.version.as_str()))
    }

    /// The highest `GLIBC_x.y` that it defines, as glibc does.
    pub fn glibc_offered(&self) -> Option<String> {
        highest(self.offers.iter().map(String::as_str))
    }

    /// `static`, or what it needs: `glibc 2.34`, `dynamic`.
    pub fn linkage(&self) -> String {
        match (&self.interpreter, self.glibc()) {
            (None, _) => "static".to_owned(),
            (Some(_), Some(version)) => format!("glibc {version}"),
            (Some(_), None) => "dynamic".to_owned(),
        }
    }
}

fn highest<'a>(versions: impl Iterator<Item = &'a str>) -> Option<String> {
    let numbers = versions.filter_map(|version| version.strip_prefix(GLIBC).and_then(numbers)).max()?;
    Some(numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("."))
}

/// The numbers of a version; none where there is something else in it.
pub fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

fn parse<'data, Header: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(bytes: R, class: u8) -> Result<Elf> {
    let header = Header::parse(bytes)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, bytes)?;
    let kind = header.e_type(endian);
    let loads = segments.iter().any(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let length = bytes.len().unwrap_or(0);
    let within = |segment: &Header::ProgramHeader| {
        let end = segment.p_offset(endian).into().checked_add(segment.p_filesz(endian).into());
        segment.p_type(endian) != elf::PT_LOAD || end.is_some_and(|end| end <= length)
    };
    let attributes = Attributes::of(header, endian, bytes);
    let machine = header.e_machine(endian);
    let identity = ElfIdentity {
        machine: machine.0,
        class,
        big_endian: header.is_big_endian(),
        float_abi: float_abi(machine, header.e_flags(endian), &attributes),
    };
    let mut facts = Elf {
        executable: (kind == elf::ET_EXEC || kind == elf::ET_DYN) && loads && header.e_entry(endian).into() != 0,
        whole: segments.iter().all(within),
        level: level(machine, &attributes, segments, endian, bytes),
        ..Elf::of(identity)
    };
    if !facts.whole {
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
    if facts.soname.as_ref().is_some_and(|name| name.starts_with("ld")) && facts.glibc_offered().is_some() {
        let all = bytes.read_bytes_at(0, length.min(LARGEST_LOADER)).unwrap_or_default();
        facts.folders = folders(all);
    }
    Ok(facts)
}

/// The dynamic section of a file, with what is needed to follow its addresses.
struct Dynamic<'data, Header: FileHeader, R> {
    bytes: R,
    endian: Endianness,
    segments: &'data [Header::ProgramHeader],
    entries: &'data [Header::Dyn],
}

impl<'data, Header: FileHeader<Endian = Endianness>, R: ReadRef<'data>> Dynamic<'data, Header, R> {
    fn read(&self, facts: &mut Elf) -> Result<()> {
        let Some(start) = self.value(elf::DT_STRTAB).and_then(|address| self.offset(address)) else {
            // A static-pie without a name.
            return Ok(());
        };
        let size = self.value(elf::DT_STRSZ).unwrap_or(0);
        if size > MOST_STRINGS {
            bail!("its table of names has {size} bytes");
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
            facts.wants = self.wants(at, &strings)?;
        }
        if let Some(at) = self.value(elf::DT_VERDEF).and_then(|address| self.offset(address)) {
            facts.offers = self.offers(at, &strings)?;
        }
        Ok(())
    }

    fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        let mut entries = self.entries.iter().take_while(|entry| entry.d_tag(self.endian) != elf::DT_NULL);
        entries.find(|entry| entry.d_tag(self.endian) == tag).map(|entry| entry.d_val(self.endian).into())
    }

    /// Where the file has what will be at an address.
    fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().filter(|segment| segment.p_type(self.endian) == elf::PT_LOAD).find_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr(self.endian).into())?;
            (within < segment.p_filesz(self.endian).into())
                .then(|| segment.p_offset(self.endian).into().checked_add(within))?
        })
    }

    fn at<T: object::Pod>(&self, offset: u64) -> Result<&'data T> {
        self.bytes.read_at(offset).map_err(|()| anyhow::anyhow!("a table of versions ends early"))
    }

    fn wants(&self, mut at: u64, strings: &StringTable<'data, R>) -> Result<Vec<Want>> {
        let mut wants = Vec::new();
        loop {
            let library: &Verneed<Endianness> = self.at(at)?;
            let name = text(strings, library.vn_file.get(self.endian).into())?;
            let mut of_library = at + u64::from(library.vn_aux.get(self.endian));
            for _ in 0..library.vn_cnt.get(self.endian) {
                let version: &Vernaux<Endianness> = self.at(of_library)?;
                wants.push(Want {
                    library: name.clone(),
                    version: text(strings, version.vna_name.get(self.endian).into())?,
                    weak: version.vna_flags.get(self.endian).contains(elf::VER_FLG_WEAK),
                });
                of_library += u64::from(version.vna_next.get(self.endian));
            }
            match library.vn_next.get(self.endian) {
                0 => return Ok(wants),
                _ if wants.len() > MOST_VERSIONS => bail!("its table of versions has no end"),
                next => at += u64::from(next),
            }
        }
    }

    fn offers(&self, mut at: u64, strings: &StringTable<'data, R>) -> Result<Vec<String>> {
        let mut offers = Vec::new();
        loop {
            let defined: &elf::Verdef<Endianness> = self.at(at)?;
            let name: &elf::Verdaux<Endianness> = self.at(at + u64::from(defined.vd_aux.get(self.endian)))?;
            // The first is the file's own name.
            if !defined.vd_flags.get(self.endian).contains(elf::VER_FLG_BASE) {
                offers.push(text(strings, name.vda_name.get(self.endian).into())?);
            }
            match defined.vd_next.get(self.endian) {
                0 => return Ok(offers),
                _ if offers.len() > MOST_VERSIONS => bail!("its table of versions has no end"),
                next => at += u64::from(next),
            }
        }
    }
}

fn text<'a, R: ReadRef<'a>>(strings: &StringTable<'a, R>, offset: u64) -> Result<String> {
    let bytes = u32::try_from(offset).ok().and_then(|offset| strings.get(offset).ok());
    let bytes = bytes.context("a name lies outside of the table of names")?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The folders that were compiled into glibc's loader: they stand side by side, each with a slash at its end.
fn folders(loader: &[u8]) -> Vec<String> {
    let is_folder =
        |text: &&[u8]| text.starts_with(b"/") && text.ends_with(b"/") && text.windows(3).any(|w| w == b"lib");
    let mut best: Vec<&[u8]> = Vec::new();
    let mut run: Vec<&[u8]> = Vec::new();
    for text in loader.split(|byte| *byte == 0) {
        match is_folder(&text) {
            true => run.push(text),
            false => run.clear(),
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
    fn the_loaders_folders_stand_side_by_side() {
        let loader = b"x\0/lib64/\0y\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\0/etc/\0";
        assert_eq!(folders(loader), ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"]);
        assert!(folders(b"no folder").is_empty());
    }

    #[test]
    fn the_test_itself_is_read_as_its_loader_does() {
        let program = Elf::parse(&*fs_err::read(std::env::current_exe().unwrap()).unwrap()).unwrap();
        assert!(program.executable && program.whole && program.soname.is_none());
        assert!(
            program.wants.iter().any(|want| want.library.starts_with("libc.so") && want.version.starts_with("GLIBC_2"))
        );
        let loader = Elf::parse(&*fs_err::read(program.interpreter.unwrap()).unwrap()).unwrap();
        assert!(loader.offers.iter().any(|version| version.starts_with("GLIBC_2")), "{loader:?}");
        assert!(loader.folders.iter().any(|folder| folder == "/lib"), "{loader:?}");
        assert!(loader.soname.unwrap().starts_with("ld"));
    }

    #[test]
    fn what_ends_early_is_known() {
        let whole = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        assert!(!Elf::parse(&whole[..4096]).unwrap().whole);
        for length in [0, 5, 30, 63] {
            assert!(Elf::parse(&whole[..length]).is_err(), "{length}");
        }
    }
}
