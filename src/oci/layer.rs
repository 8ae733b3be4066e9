//! Writes layers as reproducible tar archives, and decompresses layer blobs (image-spec, layer.md).

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use flate2::read::MultiGzDecoder;
use oci_spec::image::Descriptor;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::capabilities::{self, FileCapabilities};
use super::digest::hex;
use super::rootfs::FileAttributes;
use crate::error::{Class, Failure};
use crate::process::check_interrupt;
use crate::ui::Bar;

/// The entries of a layer, keyed by path relative to the root, without a leading slash. Directories sort before their
/// contents.
pub(crate) type LayerEntries = BTreeMap<String, LayerEntry>;

/// A directory or regular file in a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LayerEntry {
    #[serde(flatten)]
    pub attributes: FileAttributes,
    /// The content of a regular file, or `None` for a directory.
    pub file: Option<LayerFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<FileCapabilities>,
}

/// The content of a regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LayerFile {
    #[serde(skip)]
    pub path: Utf8PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 hash in hexadecimal.
    pub sha256: String,
}

/// A layer stored as a blob on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar archive.
    pub diff_id: String,
    /// The file that contains the blob.
    pub path: Utf8PathBuf,
}

/// A reader that hashes a file and advances a progress bar. Stops early if the run is interrupted.
struct ProgressReader<'a, R> {
    from: R,
    hash: Sha256,
    bar: &'a Bar,
}

impl<R: Read> Read for ProgressReader<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = if check_interrupt().is_ok() { self.from.read(into)? } else { 0 };
        self.hash.update(&into[..read]);
        self.bar.advance(read);
        Ok(read)
    }
}

/// Writes a layer's entries to `to` as a tar archive, and returns `to`. Fails if a file has changed since it was
/// hashed.
pub(crate) fn write_tar<W: Write>(entries: &LayerEntries, bar: &Bar, to: W) -> Result<W> {
    let mut tar = tar::Builder::new(to);
    for (path, LayerEntry { attributes, file, capabilities }) in entries {
        if let Some(capabilities) = capabilities {
            tar.append_pax_extensions([(capabilities::PAX_RECORD, capabilities.to_attribute().as_slice())])?;
        }
        let mut header = tar::Header::new_gnu();
        header.set_mode(attributes.mode);
        header.set_uid(attributes.uid);
        header.set_gid(attributes.gid);
        header.set_mtime(attributes.mtime);
        header.set_size(file.as_ref().map_or(0, |file| file.size));
        match file {
            None => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            Some(file) => {
                header.set_entry_type(tar::EntryType::Regular);
                let mut content =
                    ProgressReader { from: fs_err::File::open(&file.path)?.take(file.size), hash: Sha256::new(), bar };
                tar.append_data(&mut header, path, &mut content)?;
                check_interrupt()?;
                if hex(&content.hash.finalize()) != file.sha256 {
                    return Err(Failure::new(Class::Other, format!("{} changed while it was being packed", file.path))
                        .hint("make sure that no other program writes to it, and try again")
                        .into());
                }
            }
        }
    }
    tar.into_inner().context("cannot finish writing the layer")
}

/// Returns the compression of a layer media type: `gzip`, `zstd`, or `tar` if uncompressed. Returns `None` if the media
/// type is not a layer type.
pub(crate) fn layer_compression(media_type: &str) -> Option<&'static str> {
    let is_layer = media_type.contains("layer") || media_type.contains("rootfs.diff");
    let last = media_type.rsplit(['+', '.']).next().filter(|_| is_layer);
    ["gzip", "zstd", "tar"].into_iter().find(|known| last == Some(known))
}

/// Returns a reader for the uncompressed content of a layer blob, or `None` if the media type is not a layer type.
pub(crate) fn decompress<'a>(blob: impl Read + 'a, media_type: &str) -> io::Result<Option<Box<dyn Read + 'a>>> {
    let blob = io::BufReader::with_capacity(64 * 1024, blob);
    Ok(match layer_compression(media_type) {
        Some("gzip") => Some(Box::new(MultiGzDecoder::new(blob))),
        Some("zstd") => Some(Box::new(zstd::Decoder::with_buffer(blob)?)),
        Some(_) => Some(Box::new(blob)),
        None => None,
    })
}
