//! Scans a layer's tar stream for the changes that it makes to the file system, and for the file contents that
//! determine how programs start. Does not unpack anything, and does not hold large files in memory.

use std::fmt;
use std::io::{self, Cursor, Read, Seek};
use std::sync::Arc;

use camino::Utf8Path;
use object::ReadCache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::capabilities::{self, FileCapabilities};
use super::digest::{HashingReader, hex};
use super::layer::decompress;
use super::pax::{self, HeaderReader};
use super::rootfs::{
    ElfFile, FileAttributes, FileContent, FsNode, LayerChange, LayerChanges, RegularFile, ScriptFile, file_name, join,
    normalize, parent,
};
use crate::elf::Elf;
use crate::process::check_interrupt;
use crate::shell;

/// Maximum size in bytes of a configuration file to read.
const MAX_TEXT_SIZE: u64 = 1 << 20;
/// Maximum number of bytes to read from a script.
const MAX_SCRIPT_SIZE: u64 = 256 << 10;
/// Maximum size in bytes of a program to hold in memory. Larger programs are copied to a temporary file.
const MAX_SIZE_IN_MEMORY: usize = 4 << 20;
/// Maximum number of bytes that the kernel reads after a script's `#!` (`BINPRM_BUF_SIZE`, binfmts.h).
const MAX_SHEBANG_LENGTH: usize = 254;
/// Maximum length of a path in bytes (`PATH_MAX`, limits.h).
const MAX_PATH_LENGTH: usize = 4096;

const ELF_MAGIC: &[u8] = b"\x7fELF";
const SHELLS: &[&str] = &["sh", "ash", "bash", "dash", "ksh", "mksh", "zsh", "busybox"];
const LOADER_CACHE_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// The scanned content of a layer blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScannedLayer {
    /// The digest of the uncompressed tar archive.
    pub diff_id: String,
    pub changes: LayerChanges,
}

/// Scans a layer blob. Copies programs that are too large for memory to temporary files in `temp_dir`.
pub(crate) fn scan(blob: impl Read, media_type: &str, temp_dir: &Utf8Path) -> io::Result<ScannedLayer> {
    let tar = decompress(blob, media_type)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, format!("unsupported media type {media_type}")))?;
    let mut tar = HashingReader::new(tar);
    let changes = read_changes(&mut tar, temp_dir)?;
    // Read the padding after the end of the archive, because it is part of the digest.
    io::copy(&mut tar, &mut io::sink())?;
    Ok(ScannedLayer { diff_id: tar.digest(), changes })
}

/// Reads the changes from an uncompressed layer, up to the end of the archive.
fn read_changes(tar: impl Read, temp_dir: &Utf8Path) -> io::Result<LayerChanges> {
    let mut changes = LayerChanges::new();
    let (tar, headers) = HeaderReader::new(tar);
    for entry in tar::Archive::new(tar).entries()? {
        check_interrupt().map_err(io::Error::other)?;
        let mut entry = entry?;
        let pax_records = headers.pax_records(&entry);
        let change = match TarEntry::classify(&entry) {
            TarEntry::Metadata => continue,
            TarEntry::Whiteout(path, _) | TarEntry::File(path) if path.len() > MAX_PATH_LENGTH => {
                let reason = format!("path is too long: {} bytes", path.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            TarEntry::Whiteout(path, change) => (path, change),
            TarEntry::File(path) => {
                let change = read_file_entry(&path, &mut entry, &pax_records, temp_dir)?;
                (path, change)
            }
        };
        changes.push(change);
    }
    Ok(changes)
}

/// A kind of tar entry in a layer. Every entry except `Metadata` has a [`LayerChange`], in the same order.
pub(crate) enum TarEntry {
    Whiteout(String, LayerChange),
    /// A file of any type, including directories and links, with its path.
    File(String),
    /// Metadata that describes the archive rather than a file.
    Metadata,
}

impl TarEntry {
    pub(crate) fn classify(entry: &tar::Entry<'_, impl Read>) -> TarEntry {
        let path = normalize(&String::from_utf8_lossy(&entry.path_bytes()));
        let (dir, name) = (parent(&path), file_name(&path));
        match name.strip_prefix(".wh.") {
            Some(".wh..opq") => TarEntry::Whiteout(dir.to_owned(), LayerChange::OpaqueWhiteout),
            // Other names that start with `.wh..wh.` are internal metadata of AUFS.
            Some(hidden) if hidden.starts_with(".wh.") => TarEntry::Metadata,
            Some(hidden) => TarEntry::Whiteout(join(dir, hidden), LayerChange::Whiteout),
            None if entry.header().entry_type() == tar::EntryType::XGlobalHeader => TarEntry::Metadata,
            None => TarEntry::File(path),
        }
    }
}

/// Reads an entry that is not a whiteout.
fn read_file_entry(
    path: &str,
    entry: &mut tar::Entry<'_, impl Read>,
    pax_records: &[u8],
    temp_dir: &Utf8Path,
) -> io::Result<LayerChange> {
    let header = entry.header();
    // Treat empty fields as zero, like Go's archive/tar.
    let attributes = FileAttributes {
        mode: header.mode().unwrap_or(0o755) & 0o7777,
        uid: header.uid().unwrap_or(0),
        gid: header.gid().unwrap_or(0),
        mtime: header.mtime().unwrap_or(0),
    };
    Ok(match header.entry_type() {
        tar::EntryType::Directory => LayerChange::Put(FsNode::Dir(attributes)),
        tar::EntryType::Symlink => LayerChange::Put(FsNode::Link(link_target(entry))),
        tar::EntryType::Link => LayerChange::HardLink(normalize(&link_target(entry))),
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            let size = entry.size();
            let attribute = pax::find_record(pax_records, capabilities::PAX_RECORD)?;
            let capabilities = attribute.and_then(FileCapabilities::from_attribute);
            let content = read_content(path, size, entry, temp_dir)?;
            LayerChange::Put(FsNode::File(RegularFile { attributes, size, content, capabilities }))
        }
        _ => LayerChange::Put(FsNode::Other),
    })
}

fn link_target(entry: &tar::Entry<'_, impl Read>) -> String {
    String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned()
}

/// Reads the parts of a file's content that checks need. `path` is the file's path in the image. Large ELF files are
/// copied to `temp_dir`.
pub(crate) fn read_content(path: &str, size: u64, mut file: impl Read, temp_dir: &Utf8Path) -> io::Result<FileContent> {
    if let Some(text) = read_config_text(path, size, &mut file)? {
        return Ok(FileContent::Text(text));
    }
    let mut magic = Vec::new();
    (&mut file).take(ELF_MAGIC.len() as u64).read_to_end(&mut magic)?;
    let whole = Cursor::new(magic.clone()).chain(file);
    Ok(match magic.as_slice() {
        ELF_MAGIC => FileContent::Program(Arc::new(read_elf(whole, temp_dir)?)),
        [b'#', b'!', ..] => FileContent::Script(Arc::new(read_script(whole)?)),
        _ if path == "etc/ld.so.cache" && size <= MAX_TEXT_SIZE => FileContent::LoaderCache(read_loader_cache(whole)?),
        _ => FileContent::Other,
    })
}

/// Reads a file that lists users or groups, identifies the distribution, or configures the dynamic loader. Returns
/// `None` for any other file, without reading it.
fn read_config_text(path: &str, size: u64, mut file: impl Read) -> io::Result<Option<String>> {
    let name = file_name(path);
    let is_config = match parent(path) {
        "etc" => {
            matches!(name, "passwd" | "group" | "ld.so.conf" | "os-release")
                || (name.starts_with("ld-musl-") && name.ends_with(".path"))
        }
        "etc/ld.so.conf.d" => true,
        "usr/lib" => name == "os-release",
        // `/etc` may be a symbolic link, so accept the files in any directory named `etc`.
        _ => path.ends_with("/etc/passwd") || path.ends_with("/etc/group"),
    };
    if !is_config || size > MAX_TEXT_SIZE {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Hashes and parses an ELF file. Makes a copy for random access, because ELF files have headers at both ends.
fn read_elf(mut file: impl Read, temp_dir: &Utf8Path) -> io::Result<ElfFile> {
    let mut copy = tempfile::SpooledTempFile::new_in(MAX_SIZE_IN_MEMORY, temp_dir);
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        sha256.update(&buffer[..read]);
        io::Write::write_all(&mut copy, &buffer[..read]).map_err(|error| io::Error::other(LocalError(error)))?;
    }
    copy.rewind()?;
    Ok(ElfFile { sha256: hex(&sha256.finalize()), elf: Elf::parse(&ReadCache::new(copy)).ok() })
}

/// An error caused by this machine rather than by the layer, such as a full disk.
#[derive(Debug)]
struct LocalError(io::Error);

impl std::error::Error for LocalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot write a temporary copy of a program from the layer")
    }
}

/// Reports whether an error from [`scan`] was caused by this machine rather than by the layer.
pub(crate) fn is_local_error(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + std::marker::Send + std::marker::Sync + 'static>::is::<LocalError>)
}

fn read_script(file: impl Read) -> io::Result<ScriptFile> {
    let mut bytes = Vec::new();
    file.take(MAX_SCRIPT_SIZE).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // Keep a carriage return at the end of the line, as the kernel does.
    let first_line = text.split('\n').next().unwrap_or_default();
    let shebang: String = first_line.chars().skip(2).take(MAX_SHEBANG_LENGTH).collect();
    let is_shell = shebang.split_whitespace().any(|word| SHELLS.contains(&file_name(word)));
    let commands = if is_shell { shell::final_commands(&text) } else { Vec::new() };
    Ok(ScriptFile { shebang, commands })
}

/// Parses glibc's library cache, and returns the paths that it lists (`cache_file_new` in glibc's
/// sysdeps/generic/dl-cache.h). Detects the byte order by checking whether the number of entries is plausible.
fn read_loader_cache(mut file: impl Read) -> io::Result<Vec<String>> {
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // A table in the old format may precede the one in the new format.
    let magic_at = |window: &[u8]| window == LOADER_CACHE_MAGIC;
    let Some(start) = bytes.windows(LOADER_CACHE_MAGIC.len()).position(magic_at) else { return Ok(Vec::new()) };
    let cache = &bytes[start..];
    let word = |offset: usize, is_big_endian: bool| -> Option<usize> {
        let word: [u8; 4] = cache.get(offset..offset + 4)?.try_into().ok()?;
        usize::try_from(if is_big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }).ok()
    };
    let is_plausible =
        |is_big_endian: &bool| word(20, *is_big_endian).is_some_and(|entries| entries < cache.len() / ENTRY);
    let Some(is_big_endian) = [false, true].into_iter().find(is_plausible) else { return Ok(Vec::new()) };
    let path = |entry: usize| {
        let offset = word(HEADER + entry * ENTRY + 8, is_big_endian)?;
        let text = cache.get(offset..)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    Ok((0..word(20, is_big_endian).unwrap_or(0)).filter_map(path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_loader_caches_in_either_byte_order() {
        for big in [false, true] {
            let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
            let mut cache = [LOADER_CACHE_MAGIC, &word(1)[..], &word(30)[..]].concat();
            cache.resize(48, 0);
            cache.extend([word(1), word(72), word(82), word(0), word(0), word(0)].concat());
            cache.extend(b"libx.so.1\0/opt/x/libx.so.1\0");
            assert_eq!(read_loader_cache(&cache[..]).unwrap(), ["/opt/x/libx.so.1"], "{big}");
        }
        assert_eq!(read_loader_cache(&b"not a cache"[..]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn detects_files_by_path_and_first_bytes() {
        let content =
            |path: &str, bytes: &[u8]| read_content(path, bytes.len() as u64, bytes, Utf8Path::new("/none")).unwrap();
        assert_eq!(content("etc/passwd", b"root:x:0:0"), FileContent::Text("root:x:0:0".to_owned()));
        assert_eq!(content("srv/passwd", b"root:x:0:0"), FileContent::Other);
        let FileContent::Program(broken) = content("app", b"\x7fELF truncated") else { panic!() };
        assert_eq!(broken.elf, None);
        let FileContent::Script(script) = content("run", b"#! /bin/sh -e\r\nexec \"$@\"\n") else { panic!() };
        assert_eq!(script.shebang, " /bin/sh -e\r");
        assert_eq!(script.commands[0].words, ["$@"]);
        let FileContent::Script(script) = content("run", b"#!/usr/bin/python3\nexec(x)\n") else { panic!() };
        assert!(script.commands.is_empty());
        assert_eq!(content("x", b""), FileContent::Other);
    }

    /// A tar archive with a file for each list of PAX records.
    fn tar_with_records(files: &[&[(&str, &[u8])]]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (index, records) in files.iter().enumerate() {
            builder.append_pax_extensions(records.iter().copied()).unwrap();
            let mut header = tar::Header::new_ustar();
            header.set_size(600);
            header.set_cksum();
            builder.append_data(&mut header, format!("file{index}"), &[0; 600][..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// The capabilities of the first file contain a line break.
    #[test]
    fn reads_capabilities_of_all_files() {
        let sets = [&["dac_override", "fowner"][..], &["net_raw"], &["net_admin", "bpf"]];
        let sets = sets.map(|names| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            FileCapabilities::from_names(&names).unwrap()
        });
        let values = sets.map(FileCapabilities::to_attribute);
        assert!(values[0].contains(&b'\n'));
        let files = values.each_ref().map(|value| [("comment", &b"1"[..]), (capabilities::PAX_RECORD, &value[..])]);
        let tar = tar_with_records(&files.each_ref().map(|records| &records[..]));
        let changes = read_changes(tar.as_slice(), Utf8Path::new("/none")).unwrap();
        let found: Vec<_> = changes
            .iter()
            .map(|(_, change)| match change {
                LayerChange::Put(FsNode::File(file)) => file.capabilities.unwrap(),
                _ => panic!(),
            })
            .collect();
        assert_eq!(found, sets);
    }

    #[test]
    fn rejects_malformed_pax_records() {
        let mut tar = tar_with_records(&[&[("comment", b"1")]]);
        let record = tar.windows(13).position(|window| window == b"13 comment=1\n").unwrap();
        tar[record] = b'2';
        let error = read_changes(tar.as_slice(), Utf8Path::new("/none")).unwrap_err();
        assert_eq!(error.to_string(), "malformed PAX record");
    }

    #[test]
    fn distinguishes_local_errors_from_broken_layers() {
        let program = [ELF_MAGIC, &vec![0; MAX_SIZE_IN_MEMORY]].concat();
        let error = read_content("app", program.len() as u64, program.as_slice(), Utf8Path::new("/none")).unwrap_err();
        assert!(is_local_error(&error), "{error}");
        let cut = scan(&b"\x1f\x8b"[..], "application/vnd.oci.image.layer.v1.tar+gzip", Utf8Path::new("/none"));
        assert!(!is_local_error(&cut.unwrap_err()));
    }
}
