//! The blobs of an image, wherever they are: documents in memory, layers as streams, each compared with what names it.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::{Descriptor, DigestAlgorithm};
use sha2::{Digest, Sha256};

use crate::error::{Class, Failure};
use crate::finding::{Finding, MISSING_BLOB, UNREADABLE, WRONG_DIGEST, WRONG_SIZE};
use crate::oci::cache::Cache;
use crate::oci::digest::{hash_reader, hex, sha256};
use crate::oci::layer_scan::{self, ScannedLayer};
use crate::oci::layout::blob_path;
use crate::oci::rootfs;
use crate::process::check_interrupt;
use crate::registry::Access;
use crate::registry::Registry;

/// Where the blobs of an image are.
pub enum Blobs<'a> {
    Registry { registry: &'a Registry, repository: String, cache: &'a Cache },
    Layout(Utf8PathBuf),
    Archive(Archive),
}

/// A layer, as its manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerBlob {
    Blob(Box<Descriptor>),
    /// A file of a `docker save` archive, which has no digests of its layers.
    File(String),
}

/// Documents are no larger, as registries have it.
const LARGEST_DOCUMENT: u64 = 16 << 20;
/// Links of an archive that lead to each other.
const MOST_LINKS: usize = 8;
const PUSH_AGAIN: &str = "what is stored there is damaged: publish it again";

impl LayerBlob {
    /// What it is known by.
    pub fn name(&self) -> String {
        match self {
            LayerBlob::Blob(descriptor) => descriptor.digest().to_string(),
            LayerBlob::File(path) => path.clone(),
        }
    }

    /// All that is said of it.
    pub fn key(&self) -> String {
        match self {
            LayerBlob::Blob(layer) => format!("{} {} {}", layer.digest(), layer.media_type(), layer.size()),
            LayerBlob::File(path) => path.clone(),
        }
    }
}

impl Blobs<'_> {
    /// A manifest; registries keep these apart from blobs.
    pub fn manifest(&self, descriptor: &Descriptor) -> Result<Result<Vec<u8>, Box<Finding>>> {
        let Blobs::Registry { registry, repository, .. } = self else { return self.document(descriptor) };
        let digest = descriptor.digest();
        let Some(served) = registry.find_manifest(&format!("{repository}@{digest}"))? else {
            return Ok(Err(Box::new(missing(digest.as_ref()))));
        };
        Ok(match differs(descriptor, served.bytes.len() as u64, &served.digest) {
            Some(finding) => Err(Box::new(finding)),
            None => Ok(served.bytes),
        })
    }

    /// A config, or a layout's manifest; what is wrong with its bytes is a finding.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Result<Vec<u8>, Box<Finding>>> {
        let digest = descriptor.digest();
        if descriptor.size() > LARGEST_DOCUMENT {
            return Ok(Err(Box::new(
                UNREADABLE.finding(format!("{digest} is no document: it has {} bytes", descriptor.size()), PUSH_AGAIN),
            )));
        }
        let Some(mut stream) = self.open(descriptor)? else { return Ok(Err(Box::new(missing(digest.as_ref())))) };
        let mut bytes = Vec::new();
        (&mut stream).take(descriptor.size().saturating_add(1)).read_to_end(&mut bytes)?;
        let found = sha256(&bytes);
        Ok(match differs(descriptor, bytes.len() as u64, &found) {
            Some(finding) => Err(Box::new(finding)),
            None => Ok(bytes),
        })
    }

    /// What a layer holds, none where it cannot be read; and what is wrong with its blob.
    pub fn layer(&self, layer: &LayerBlob, cache: &Cache) -> Result<(Option<ScannedLayer>, Vec<Finding>)> {
        match layer {
            LayerBlob::File(path) => {
                let Blobs::Archive(archive) = self else { return Ok((None, vec![missing(path)])) };
                let Some(stream) = archive.open(path)? else { return Ok((None, vec![missing(path)])) };
                let result = layer_scan::scan(stream, media_type_of(archive, path)?, cache.dir()?);
                check_interrupt()?;
                scanned(result, path)
            }
            LayerBlob::Blob(descriptor) => self.blob(descriptor, cache),
        }
    }

    fn blob(&self, descriptor: &Descriptor, cache: &Cache) -> Result<(Option<ScannedLayer>, Vec<Finding>)> {
        let digest = descriptor.digest().to_string();
        let known = cache.known_layer(descriptor);
        if let (Some(known), Blobs::Registry { registry, repository, .. }) = (&known, self) {
            // Its bytes were those of the digest when they were read; is it still there?
            return Ok(match registry.has_blob(repository, &digest, Access::Pull)? {
                true => (Some(known.clone()), Vec::new()),
                false => (None, vec![missing(&digest)]),
            });
        }
        let Some(stream) = self.open(descriptor)? else { return Ok((None, vec![missing(&digest)])) };
        if let Some(known) = known {
            let (hex, size) = hash_reader(stream)?;
            let wrong = differs(descriptor, size, &format!("sha256:{hex}"));
            return Ok((Some(known), wrong.into_iter().collect()));
        }
        let mut stream = Counting { from: stream, sha256: Sha256::new(), size: 0 };
        let result = layer_scan::scan(&mut stream, descriptor.media_type().as_ref(), cache.dir()?);
        check_interrupt()?;
        io::copy(&mut stream, &mut io::sink())?;
        let found = format!("sha256:{}", hex(&stream.sha256.finalize()));
        if let Some(wrong) = differs(descriptor, stream.size, &found) {
            // What else is wrong with it comes of that.
            return Ok((result.ok(), vec![wrong]));
        }
        if let Ok(scanned) = &result {
            cache.layer(descriptor, || Ok(scanned.clone()))?;
        }
        scanned(result, &digest)
    }

    /// The bytes of a blob; none where there is none.
    fn open(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Read>>> {
        match self {
            Blobs::Registry { registry, repository, cache } => {
                if !registry.has_blob(repository, descriptor.digest().as_ref(), Access::Pull)? {
                    return Ok(None);
                }
                let mut file = cache.temporary()?;
                registry.download_blob(repository, descriptor, &mut file)?;
                file.rewind()?;
                Ok(Some(Box::new(file)))
            }
            Blobs::Layout(dir) => match fs_err::File::open(blob_path(dir, descriptor)) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            },
            Blobs::Archive(archive) => {
                let digest = descriptor.digest();
                Ok(match archive.open(&format!("blobs/{}/{}", digest.algorithm(), digest.digest()))? {
                    Some(stream) => Some(Box::new(stream)),
                    None => None,
                })
            }
        }
    }
}

/// A tar file, of which each member can be read where it is.
pub struct Archive {
    file: std::fs::File,
    /// By name: where it begins, and how long it is.
    members: BTreeMap<String, (u64, u64)>,
}

impl Archive {
    /// Reads the list of members; a compressed archive is unpacked into a temporary file first.
    pub fn open_file(path: &Utf8Path, cache: &Cache) -> Result<Archive> {
        let not_tar = || {
            Failure::new(Class::Config, format!("{path} is no tar archive of an image")).hint(
                "`docker save` and `skopeo copy` make such: see what it is with `file`; a folder is read as oci:DIR",
            )
        };
        let unread = |error: io::Error| match path.is_dir() {
            true => not_tar(),
            false => Failure::new(Class::Config, format!("{path} cannot be read: {error}"))
                .hint("name a file that is there: oci-archive:FILE, docker-archive:FILE"),
        };
        let mut file = std::fs::File::from(fs_err::File::open(path).map_err(unread)?);
        let mut start = [0; 4];
        let read = file.read(&mut start).map_err(unread)?;
        file.rewind()?;
        file = match &start[..read] {
            [0x1f, 0x8b, ..] => unpacked(&mut flate2::read::MultiGzDecoder::new(file), cache)?,
            [0x28, 0xb5, 0x2f, 0xfd] => unpacked(&mut zstd::Decoder::new(file)?, cache)?,
            _ => file,
        };
        let (mut members, mut links) = (BTreeMap::new(), BTreeMap::new());
        let mut archive = tar::Archive::new(io::BufReader::new(&file));
        for entry in archive.entries_with_seek()? {
            // What it says of itself may be half of a file.
            let entry = entry.map_err(|_| not_tar())?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            // Older archives of Docker have one layer's file as a link to another's.
            match entry.link_name_bytes() {
                Some(target) if !entry.header().entry_type().is_file() => {
                    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                    let target = rootfs::clean(&format!("{folder}/{}", String::from_utf8_lossy(&target)));
                    links.insert(name, target);
                }
                _ => drop(members.insert(name, (entry.raw_file_position(), entry.size()))),
            }
        }
        // A link may stand before what it leads to.
        for (name, target) in &links {
            let target = (0..MOST_LINKS).fold(target, |target, _| links.get(target).unwrap_or(target));
            if let Some(place) = members.get(target).copied() {
                members.insert(name.clone(), place);
            }
        }
        if members.is_empty() {
            return Err(not_tar().into());
        }
        Ok(Archive { file, members })
    }

    /// A member's bytes.
    pub fn open(&self, name: &str) -> io::Result<Option<impl Read + use<>>> {
        let Some((start, size)) = self.members.get(name).copied() else { return Ok(None) };
        Ok(Some(Member { file: self.file.try_clone()?, at: start, left: size }))
    }

    /// The bytes of a member.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.members.get(name).map(|(_, size)| *size)
    }

    /// A small member's bytes.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(stream) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        stream.take(LARGEST_DOCUMENT).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// A part of a file; others may read another part of it at the same time.
struct Member {
    file: std::fs::File,
    at: u64,
    left: u64,
}

impl Read for Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = std::os::unix::fs::FileExt::read_at(&self.file, &mut buffer[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

fn unpacked(from: &mut dyn Read, cache: &Cache) -> Result<std::fs::File> {
    let mut file = cache.temporary()?;
    io::copy(from, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// By its first bytes: the archive does not say.
fn media_type_of(archive: &Archive, path: &str) -> Result<&'static str> {
    let mut start = Vec::new();
    if let Some(stream) = archive.open(path)? {
        stream.take(4).read_to_end(&mut start)?;
    }
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "application/vnd.docker.image.rootfs.diff.tar.zstd",
        _ => "application/vnd.docker.image.rootfs.diff.tar",
    })
}

fn scanned(result: io::Result<ScannedLayer>, name: &str) -> Result<(Option<ScannedLayer>, Vec<Finding>)> {
    match result {
        Ok(scanned) => Ok((Some(scanned), Vec::new())),
        Err(error) if layer_scan::is_local_error(&error) => Err(error.into()),
        Err(error) => {
            let reason = format!("layer {name} cannot be read: {error}");
            Ok((None, vec![UNREADABLE.finding(reason, "build it again, with gzip or zstd layers")]))
        }
    }
}

fn missing(name: &str) -> Finding {
    MISSING_BLOB.finding(format!("{name} is not there, and the image consists of it"), "publish it again")
}

fn differs(descriptor: &Descriptor, size: u64, found: &str) -> Option<Finding> {
    let digest = descriptor.digest();
    match () {
        () if *digest.algorithm() != DigestAlgorithm::Sha256 => {
            let reason = format!("{digest} is of {}, and only sha256 is read here", digest.algorithm());
            Some(UNREADABLE.finding(reason, "publish it by sha256, as nearly all do"))
        }
        () if size != descriptor.size() => {
            // Of too much nobody reads all.
            let has = if size > descriptor.size() { "more".to_owned() } else { format!("{size} bytes") };
            Some(WRONG_SIZE.finding(format!("{digest} has {has}, and {} are said", descriptor.size()), PUSH_AGAIN))
        }
        () if found != digest.to_string() => {
            Some(WRONG_DIGEST.finding(format!("what is there as {digest} has the digest {found}"), PUSH_AGAIN))
        }
        () => None,
    }
}

/// Hashes and counts what goes through it.
struct Counting<R> {
    from: R,
    sha256: Sha256,
    size: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.sha256.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}
