//! A layer's entries, read from its tar stream: what they do to the file system below, and of files no more than a start
//! depends on. Nothing is unpacked, and memory does not grow with the files' sizes.

use std::fmt;
use std::io::{self, Cursor, Read, Seek};
use std::sync::Arc;

use camino::Utf8Path;
use object::ReadCache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::digest::hex;
use super::layer::decompress;
use super::rootfs::{
    ElfFile, FileAttributes, FileContent, FsNode, LayerChange, LayerChanges, RegularFile, ScriptFile, join, normal,
    parent,
};
use crate::elf::Elf;
use crate::process::check_interrupt;
use crate::shell;

/// Of users, groups and the loader's configuration; what is longer is none.
const LONGEST_TEXT: u64 = 1 << 20;
/// Longer scripts are read up to here.
const LONGEST_SCRIPT: u64 = 256 << 10;
/// Longer programs are read from a temporary file.
const LARGEST_IN_MEMORY: usize = 4 << 20;
/// The kernel reads no more of a script's first line (`BINPRM_BUF_SIZE`, binfmts.h).
const LONGEST_LINE: usize = 254;

const LONGEST_PATH: usize = 4096;

const ELF: &[u8] = b"\x7fELF";
const SHELLS: &[&str] = &["sh", "ash", "bash", "dash", "ksh", "mksh", "zsh", "busybox"];
const CACHE: &[u8] = b"glibc-ld.so.cache1.1";

/// What a layer's blob holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: String,
    pub changes: LayerChanges,
}

/// Reads a blob of a media type to its end; `dir` takes what is too large for memory.
pub fn scan(blob: impl Read, media_type: &str, dir: &Utf8Path) -> io::Result<ScannedLayer> {
    let stream = decompress(blob, media_type)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, format!("its media type is {media_type}")))?;
    let mut stream = HashingReader { from: stream, sha256: Sha256::new() };
    let changes = layer(&mut stream, dir)?;
    // Nothing of the tar is left then, and the rest of it is part of its digest.
    io::copy(&mut stream, &mut io::sink())?;
    Ok(ScannedLayer { diff_id: format!("sha256:{}", hex(&stream.sha256.finalize())), changes })
}

/// Hashes what goes through it.
struct HashingReader<R> {
    from: R,
    sha256: Sha256,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.sha256.update(&buffer[..read]);
        Ok(read)
    }
}

/// Reads an uncompressed layer to the end of the archive.
fn layer(stream: impl Read, dir: &Utf8Path) -> io::Result<LayerChanges> {
    let mut changes = LayerChanges::new();
    for entry in tar::Archive::new(stream).entries()? {
        check_interrupt().map_err(io::Error::other)?;
        let mut entry = entry?;
        let change = match entry_of(&entry) {
            TarEntry::None => continue,
            // No file system has it (limits.h, PATH_MAX).
            TarEntry::Whiteout(path, _) | TarEntry::File(path) if path.len() > LONGEST_PATH => {
                let reason = format!("it has a path of {} bytes", path.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            TarEntry::Whiteout(path, change) => (path, change),
            TarEntry::File(path) => {
                let change = change(&path, &mut entry, dir)?;
                (path, change)
            }
        };
        changes.push(change);
    }
    Ok(changes)
}

/// What an entry of a layer's tar is.
pub enum TarEntry {
    Whiteout(String, LayerChange),
    /// A file of any kind, at its path.
    File(String),
    /// About the archive itself.
    None,
}

/// Reads an entry's name: there is a [`Change`] for each that is not `None`, in the same order.
pub fn entry_of(entry: &tar::Entry<'_, impl Read>) -> TarEntry {
    let path = normal(&String::from_utf8_lossy(&entry.path_bytes()));
    let (folder, name) = (parent(&path), path.rsplit('/').next().unwrap_or_default());
    match name.strip_prefix(".wh.") {
        Some(".wh..opq") => TarEntry::Whiteout(folder.to_owned(), LayerChange::OpaqueWhiteout),
        // What AUFS kept for itself.
        Some(hidden) if hidden.starts_with(".wh.") => TarEntry::None,
        Some(hidden) => TarEntry::Whiteout(join(folder, hidden), LayerChange::Whiteout),
        None if entry.header().entry_type() == tar::EntryType::XGlobalHeader => TarEntry::None,
        None => TarEntry::File(path),
    }
}

/// What an entry leaves at its path.
fn change(path: &str, entry: &mut tar::Entry<'_, impl Read>, dir: &Utf8Path) -> io::Result<LayerChange> {
    let header = entry.header();
    // Fields that are left empty are zero, as Go's archive/tar reads them.
    let attributes = FileAttributes {
        mode: header.mode().unwrap_or(0o755) & 0o7777,
        uid: header.uid().unwrap_or(0),
        gid: header.gid().unwrap_or(0),
        mtime: header.mtime().unwrap_or(0),
    };
    let target =
        |entry: &tar::Entry<'_, _>| String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned();
    Ok(match header.entry_type() {
        tar::EntryType::Directory => LayerChange::Put(FsNode::Dir(attributes)),
        tar::EntryType::Symlink => LayerChange::Put(FsNode::Link(target(entry))),
        tar::EntryType::Link => LayerChange::HardLink(normal(&target(entry))),
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            let size = entry.size();
            LayerChange::Put(FsNode::File(RegularFile { attributes, size, content: content(path, size, entry, dir)? }))
        }
        _ => LayerChange::Put(FsNode::Other),
    })
}

/// What is to be kept of a file that ends up at a path.
fn content(path: &str, size: u64, mut file: impl Read, dir: &Utf8Path) -> io::Result<FileContent> {
    if let Some(text) = text(path, size, &mut file)? {
        return Ok(FileContent::Text(text));
    }
    let mut start = Vec::new();
    (&mut file).take(ELF.len() as u64).read_to_end(&mut start)?;
    let whole = Cursor::new(start.clone()).chain(file);
    Ok(match start.as_slice() {
        ELF => FileContent::Program(Arc::new(program(whole, dir)?)),
        [b'#', b'!', ..] => FileContent::Script(Arc::new(script(whole)?)),
        _ if path == "etc/ld.so.cache" && size <= LONGEST_TEXT => FileContent::LoaderCache(loader_cache(whole)?),
        _ => FileContent::Other,
    })
}

/// The text of a file that says who users are, what the system is, or where libraries are; none of others, of which
/// nothing is read.
pub fn text(path: &str, size: u64, mut file: impl Read) -> io::Result<Option<String>> {
    let (folder, name) = (parent(path), path.rsplit('/').next().unwrap_or_default());
    let wanted = match folder {
        "etc" => {
            matches!(name, "passwd" | "group" | "ld.so.conf" | "os-release")
                || (name.starts_with("ld-musl-") && name.ends_with(".path"))
        }
        "etc/ld.so.conf.d" => true,
        "usr/lib" => name == "os-release",
        // Where `etc` itself is a link.
        _ => path.ends_with("/etc/passwd") || path.ends_with("/etc/group"),
    };
    if !wanted || size > LONGEST_TEXT {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Reads and hashes a program; headers stand at its beginning and at its end.
fn program(mut file: impl Read, dir: &Utf8Path) -> io::Result<ElfFile> {
    let mut kept = tempfile::SpooledTempFile::new_in(LARGEST_IN_MEMORY, dir);
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        sha256.update(&buffer[..read]);
        io::Write::write_all(&mut kept, &buffer[..read]).map_err(|error| io::Error::other(LocalError(error)))?;
    }
    kept.rewind()?;
    Ok(ElfFile { sha256: hex(&sha256.finalize()), elf: Elf::parse(&ReadCache::new(kept)).ok() })
}

/// Nothing of the layer's: a disk that is full, a folder that may not be written.
#[derive(Debug)]
struct LocalError(io::Error);

impl std::error::Error for LocalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a program of a layer cannot be kept while it is read")
    }
}

/// Is an error of [`scan`] this machine's, and not the layer's?
pub fn is_local_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<LocalError>())
}

fn script(file: impl Read) -> io::Result<ScriptFile> {
    let mut bytes = Vec::new();
    file.take(LONGEST_SCRIPT).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // A carriage return at its end is part of it.
    let first: String = text.split('\n').next().unwrap_or_default().chars().skip(2).take(LONGEST_LINE).collect();
    let is_shell = first.split_whitespace().any(|word| SHELLS.contains(&word.rsplit('/').next().unwrap_or_default()));
    Ok(ScriptFile { execs: if is_shell { shell::final_commands(&text) } else { Vec::new() }, line: first })
}

/// The paths in glibc's cache of libraries (glibc, sysdeps/generic/dl-cache.h: `struct cache_file_new`). It is written in
/// the byte order of its machine, and says by its size which that is.
fn loader_cache(mut file: impl Read) -> io::Result<Vec<String>> {
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // An older table may stand before it.
    let Some(start) = bytes.windows(CACHE.len()).position(|window| window == CACHE) else { return Ok(Vec::new()) };
    let cache = &bytes[start..];
    let word = |at: usize, big: bool| -> Option<usize> {
        let word: [u8; 4] = cache.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }).ok()
    };
    let fits = |big: &bool| word(20, *big).is_some_and(|entries| entries < cache.len() / ENTRY);
    let Some(big) = [false, true].into_iter().find(fits) else { return Ok(Vec::new()) };
    let path = |entry: usize| {
        let at = word(HEADER + entry * ENTRY + 8, big)?;
        let text = cache.get(at..)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    Ok((0..word(20, big).unwrap_or(0)).filter_map(path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_read_in_either_byte_order() {
        for big in [false, true] {
            let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
            let mut cache = [CACHE, &word(1)[..], &word(30)[..]].concat();
            cache.resize(48, 0);
            cache.extend([word(1), word(72), word(82), word(0), word(0), word(0)].concat());
            cache.extend(b"libx.so.1\0/opt/x/libx.so.1\0");
            assert_eq!(loader_cache(&cache[..]).unwrap(), ["/opt/x/libx.so.1"], "{big}");
        }
        assert_eq!(loader_cache(&b"something else"[..]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn files_are_known_by_their_beginnings() {
        let content =
            |path: &str, bytes: &[u8]| content(path, bytes.len() as u64, bytes, Utf8Path::new("/none")).unwrap();
        assert_eq!(content("etc/passwd", b"root:x:0:0"), FileContent::Text("root:x:0:0".to_owned()));
        assert_eq!(content("srv/passwd", b"root:x:0:0"), FileContent::Other);
        let FileContent::Program(broken) = content("app", b"\x7fELF and no more") else { panic!() };
        assert_eq!(broken.elf, None);
        let FileContent::Script(script) = content("run", b"#! /bin/sh -e\r\nexec \"$@\"\n") else { panic!() };
        assert_eq!(script.line, " /bin/sh -e\r");
        assert_eq!(script.execs[0].words, ["$@"]);
        let FileContent::Script(script) = content("run", b"#!/usr/bin/python3\nexec(x)\n") else { panic!() };
        assert!(script.execs.is_empty());
        assert_eq!(content("x", b""), FileContent::Other);
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_fault_of_the_layer() {
        let program = [ELF, &vec![0; LARGEST_IN_MEMORY]].concat();
        let error = content("app", program.len() as u64, program.as_slice(), Utf8Path::new("/none")).unwrap_err();
        assert!(is_local_error(&error), "{error}");
        let cut = scan(&b"\x1f\x8b"[..], "application/vnd.oci.image.layer.v1.tar+gzip", Utf8Path::new("/none"));
        assert!(!is_local_error(&cut.unwrap_err()));
    }
}
