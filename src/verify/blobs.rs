//! Reads an image's blobs from a registry, a layout or an archive, and checks each against its descriptor. Manifests
//! and configs are read into memory; layers are streamed.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::{Descriptor, DigestAlgorithm};

use crate::error::{Class, Failure};
use crate::finding::{Finding, MISSING_BLOB, UNREADABLE, WRONG_DIGEST, WRONG_SIZE};
use crate::oci::cache::Cache;
use crate::oci::digest::{HashingReader, hash_reader, sha256};
use crate::oci::layer_scan::{self, ScannedLayer};
use crate::oci::layout::blob_path;
use crate::oci::rootfs;
use crate::process::check_interrupt;
use crate::registry::{Access, Registry, StoredContent};

/// A source of an image's blobs.
pub(crate) enum Blobs<'a> {
    Registry { registry: &'a Registry, repository: String, cache: &'a Cache },
    Layout(Utf8PathBuf),
    Archive(Archive),
}

/// A layer listed in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerBlob {
    Blob(Box<Descriptor>),
    /// Path in a `docker save` archive, which does not record layer digests.
    File(String),
}

/// The result of reading a layer.
pub(crate) struct LayerReading {
    /// Contents of the layer. `None` if it cannot be read.
    pub scanned: Option<ScannedLayer>,
    /// Problems with the blob.
    pub findings: Vec<Finding>,
}

/// Why a manifest or config cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The image is damaged.
    Damaged(Vec<Finding>),
    /// Any other error, such as a registry that does not respond.
    Other(anyhow::Error),
}

impl From<Finding> for ReadError {
    fn from(finding: Finding) -> ReadError {
        ReadError::Damaged(vec![finding])
    }
}

impl From<anyhow::Error> for ReadError {
    fn from(error: anyhow::Error) -> ReadError {
        ReadError::Other(error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Other(error.into())
    }
}

impl ReadError {
    /// Returns the findings if the image is damaged. Fails on any other error.
    pub(crate) fn into_findings(self) -> Result<Vec<Finding>> {
        match self {
            ReadError::Damaged(findings) => Ok(findings),
            ReadError::Other(error) => Err(error),
        }
    }
}

/// Maximum size of a manifest or config, in bytes.
const MAX_DOCUMENT_SIZE: u64 = 16 << 20;
/// Maximum number of links to follow within an archive.
const MAX_LINKS: usize = 8;
const DAMAGED_HINT: &str = "the stored data is damaged: publish the image again";

impl LayerBlob {
    /// Returns the digest of the layer, or its path in an archive.
    pub(crate) fn name(&self) -> String {
        match self {
            LayerBlob::Blob(descriptor) => descriptor.digest().to_string(),
            LayerBlob::File(path) => path.clone(),
        }
    }

    /// Returns a unique key: the layer's digest, media type and size, or its path in an archive.
    pub(crate) fn key(&self) -> String {
        match self {
            LayerBlob::Blob(layer) => format!("{} {} {}", layer.digest(), layer.media_type(), layer.size()),
            LayerBlob::File(path) => path.clone(),
        }
    }
}

impl LayerReading {
    fn missing(name: &str) -> LayerReading {
        LayerReading { scanned: None, findings: vec![missing(name)] }
    }

    /// Converts the result of a scan. An unreadable layer becomes a finding, but local I/O errors remain errors.
    fn from_scan(result: io::Result<ScannedLayer>, name: &str) -> Result<LayerReading> {
        match result {
            Ok(scanned) => Ok(LayerReading { scanned: Some(scanned), findings: Vec::new() }),
            Err(error) if layer_scan::is_local_error(&error) => Err(error.into()),
            Err(error) => {
                let reason = format!("layer {name} cannot be read: {error}");
                let finding = UNREADABLE.finding(reason, "build the image again with gzip or zstd layers");
                Ok(LayerReading { scanned: None, findings: vec![finding] })
            }
        }
    }
}

impl Blobs<'_> {
    /// Reads a manifest. Registries serve manifests separately from blobs.
    pub(crate) fn read_manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ReadError> {
        let Blobs::Registry { registry, repository, .. } = self else { return self.read_document(descriptor) };
        let digest = descriptor.digest();
        let served =
            registry.find_manifest(&format!("{repository}@{digest}"))?.ok_or_else(|| missing(digest.as_ref()))?;
        match compare(descriptor, served.bytes.len() as u64, &served.digest) {
            Some(finding) => Err(finding.into()),
            None => Ok(served.bytes),
        }
    }

    /// Reads a config, or a manifest in a layout or archive.
    pub(crate) fn read_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ReadError> {
        let digest = descriptor.digest();
        if descriptor.size() > MAX_DOCUMENT_SIZE {
            let reason = format!("{digest} is too large for a manifest or config: {} bytes", descriptor.size());
            return Err(UNREADABLE.finding(reason, DAMAGED_HINT).into());
        }
        let stream = self.open(descriptor)?.ok_or_else(|| missing(digest.as_ref()))?;
        let mut bytes = Vec::new();
        stream.take(descriptor.size().saturating_add(1)).read_to_end(&mut bytes)?;
        match compare(descriptor, bytes.len() as u64, &sha256(&bytes)) {
            Some(finding) => Err(finding.into()),
            None => Ok(bytes),
        }
    }

    pub(crate) fn read_layer(&self, layer: &LayerBlob, cache: &Cache) -> Result<LayerReading> {
        match layer {
            LayerBlob::File(path) => self.read_layer_file(path, cache),
            LayerBlob::Blob(descriptor) => self.read_layer_blob(descriptor, cache),
        }
    }

    fn read_layer_file(&self, path: &str, cache: &Cache) -> Result<LayerReading> {
        let Blobs::Archive(archive) = self else { return Ok(LayerReading::missing(path)) };
        let Some(stream) = archive.open(path)? else { return Ok(LayerReading::missing(path)) };
        let result = layer_scan::scan(stream, layer_media_type(archive, path)?, cache.dir()?);
        check_interrupt()?;
        LayerReading::from_scan(result, path)
    }

    fn read_layer_blob(&self, descriptor: &Descriptor, cache: &Cache) -> Result<LayerReading> {
        let digest = descriptor.digest().to_string();
        let cached = cache.known_layer(descriptor);
        if let (Some(cached), Blobs::Registry { registry, repository, .. }) = (&cached, self) {
            // The digest was verified when the layer was cached, but the registry must still have the layer.
            match registry.find_blob(repository, &digest, Access::Pull)? {
                StoredContent::Missing => return Ok(LayerReading::missing(&digest)),
                StoredContent::Stored { size: Some(size) } => {
                    let findings = compare(descriptor, size, &digest).into_iter().collect();
                    return Ok(LayerReading { scanned: Some(cached.clone()), findings });
                }
                StoredContent::Stored { size: None } | StoredContent::Unknown => {}
            }
        }
        let Some(stream) = self.open(descriptor)? else { return Ok(LayerReading::missing(&digest)) };
        if let Some(cached) = cached {
            let hash = hash_reader(stream)?;
            let damage = compare(descriptor, hash.size, &format!("sha256:{}", hash.sha256));
            return Ok(LayerReading { scanned: Some(cached), findings: damage.into_iter().collect() });
        }
        let mut stream = HashingReader::new(stream);
        let result = layer_scan::scan(&mut stream, descriptor.media_type().as_ref(), cache.dir()?);
        check_interrupt()?;
        io::copy(&mut stream, &mut io::sink())?;
        if let Some(damage) = compare(descriptor, stream.size, &stream.digest()) {
            // Report only the damage, because any scan error is a consequence of it.
            return Ok(LayerReading { scanned: result.ok(), findings: vec![damage] });
        }
        if let Ok(scanned) = &result {
            cache.layer(descriptor, || Ok(scanned.clone()))?;
        }
        LayerReading::from_scan(result, &digest)
    }

    /// Opens a blob. Returns `None` if it does not exist.
    fn open(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Read>>> {
        match self {
            Blobs::Registry { registry, repository, cache } => {
                let found = registry.find_blob(repository, descriptor.digest().as_ref(), Access::Pull)?;
                if found == StoredContent::Missing {
                    return Ok(None);
                }
                let mut file = cache.temporary()?;
                registry.download_blob(repository, descriptor, &file)?;
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
                match archive.open(&format!("blobs/{}/{}", digest.algorithm(), digest.digest()))? {
                    Some(stream) => Ok(Some(Box::new(stream))),
                    None => Ok(None),
                }
            }
        }
    }
}

/// A tar archive with random access to its members.
pub(crate) struct Archive {
    file: std::fs::File,
    members: BTreeMap<String, MemberRange>,
}

/// The position and size of a member's data in an archive.
#[derive(Clone, Copy)]
struct MemberRange {
    offset: u64,
    size: u64,
}

impl Archive {
    /// Opens an archive and lists its members. A compressed archive is first decompressed into a temporary file.
    pub(crate) fn open_file(path: &Utf8Path, cache: &Cache) -> Result<Archive> {
        let unreadable = |error: io::Error| {
            if path.is_dir() {
                return not_an_archive(path);
            }
            Failure::new(Class::Config, format!("cannot read {path}: {error}"))
                .hint("specify an existing file: oci-archive:FILE or docker-archive:FILE")
        };
        let mut file = std::fs::File::from(fs_err::File::open(path).map_err(unreadable)?);
        let mut magic = [0; 4];
        let read = file.read(&mut magic).map_err(unreadable)?;
        file.rewind()?;
        file = match DetectedCompression::of(&magic[..read]) {
            DetectedCompression::Gzip => decompress(&mut flate2::read::MultiGzDecoder::new(file), cache)?,
            DetectedCompression::Zstd => decompress(&mut zstd::Decoder::new(file)?, cache)?,
            DetectedCompression::None => file,
        };
        let members = list_members(&file, path)?;
        if members.is_empty() {
            return Err(not_an_archive(path).into());
        }
        Ok(Archive { file, members })
    }

    /// Opens a member. Returns `None` if the archive does not contain it.
    pub(crate) fn open(&self, name: &str) -> io::Result<Option<impl Read + use<>>> {
        let Some(MemberRange { offset, size }) = self.members.get(name).copied() else { return Ok(None) };
        Ok(Some(MemberReader { file: self.file.try_clone()?, position: offset, remaining: size }))
    }

    /// Returns the size of a member in bytes.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        self.members.get(name).map(|member| member.size)
    }

    /// Reads a manifest or config into memory. Returns `None` if the archive does not contain it.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(stream) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        stream.take(MAX_DOCUMENT_SIZE).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

fn not_an_archive(path: &Utf8Path) -> Failure {
    Failure::new(Class::Config, format!("{path} is not a tar archive of an image"))
        .hint("create one with `docker save` or `skopeo copy`; for a directory, use oci:DIR")
}

/// Returns the members of an archive by name, including links to them.
fn list_members(file: &std::fs::File, path: &Utf8Path) -> Result<BTreeMap<String, MemberRange>> {
    let (mut members, mut links) = (BTreeMap::new(), BTreeMap::new());
    let mut archive = tar::Archive::new(io::BufReader::new(file));
    for entry in archive.entries_with_seek()? {
        // Replace the tar crate's error, because the file may not be an archive at all.
        let entry = entry.map_err(|_| not_an_archive(path))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        // If two layers have the same contents, older Docker versions write the second one as a link.
        match entry.link_name_bytes() {
            Some(target) if !entry.header().entry_type().is_file() => {
                let dir = name.rsplit_once('/').map_or("", |(dir, _)| dir);
                let target = rootfs::clean(&format!("{dir}/{}", String::from_utf8_lossy(&target)));
                links.insert(name, target);
            }
            _ => {
                members.insert(name, MemberRange { offset: entry.raw_file_position(), size: entry.size() });
            }
        }
    }
    // A link may come before its target in the archive.
    for (name, target) in &links {
        let mut target = target;
        for _ in 0..MAX_LINKS {
            target = links.get(target).unwrap_or(target);
        }
        if let Some(member) = members.get(target).copied() {
            members.insert(name.clone(), member);
        }
    }
    Ok(members)
}

/// A reader for one member that leaves the archive's file position unchanged.
struct MemberReader {
    file: std::fs::File,
    position: u64,
    remaining: u64,
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let read = std::os::unix::fs::FileExt::read_at(&self.file, &mut buffer[..limit], self.position)?;
        self.position += read as u64;
        self.remaining -= read as u64;
        Ok(read)
    }
}

/// Decompresses a stream into a temporary file.
fn decompress(from: &mut dyn Read, cache: &Cache) -> Result<std::fs::File> {
    let mut file = cache.temporary()?;
    io::copy(from, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// The compression of a file, detected from its first bytes.
enum DetectedCompression {
    Gzip,
    Zstd,
    None,
}

impl DetectedCompression {
    fn of(magic: &[u8]) -> DetectedCompression {
        match magic {
            [0x1f, 0x8b, ..] => DetectedCompression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => DetectedCompression::Zstd,
            _ => DetectedCompression::None,
        }
    }
}

/// Detects the media type of a layer in a `docker save` archive, which does not record media types.
fn layer_media_type(archive: &Archive, path: &str) -> Result<&'static str> {
    let mut magic = Vec::new();
    if let Some(stream) = archive.open(path)? {
        stream.take(4).read_to_end(&mut magic)?;
    }
    Ok(match DetectedCompression::of(&magic) {
        DetectedCompression::Gzip => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        DetectedCompression::Zstd => "application/vnd.docker.image.rootfs.diff.tar.zstd",
        DetectedCompression::None => "application/vnd.docker.image.rootfs.diff.tar",
    })
}

fn missing(name: &str) -> Finding {
    MISSING_BLOB.finding(format!("{name} is referenced by the image but was not found"), "publish the image again")
}

/// Compares a blob's size and digest with its descriptor.
fn compare(descriptor: &Descriptor, size: u64, found: &str) -> Option<Finding> {
    let digest = descriptor.digest();
    if *digest.algorithm() != DigestAlgorithm::Sha256 {
        let reason = format!("digest {digest} uses {}, but only sha256 is supported", digest.algorithm());
        return Some(UNREADABLE.finding(reason, "publish the image with sha256 digests"));
    }
    if size != descriptor.size() {
        // Reading stops one byte past the expected size, so the full size of a larger blob is unknown.
        let actual = if size > descriptor.size() { "more".to_owned() } else { size.to_string() };
        let reason = format!("{digest}: expected {} bytes, found {actual}", descriptor.size());
        return Some(WRONG_SIZE.finding(reason, DAMAGED_HINT));
    }
    if found != digest.to_string() {
        return Some(WRONG_DIGEST.finding(format!("the data stored as {digest} has digest {found}"), DAMAGED_HINT));
    }
    None
}
