//! A layer: entries in, a compressed tar out, streamed from disk to disk (image-spec, layer.md). The same entries give
//! the same bytes. What was made once is found again by what it is made of.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use flate2::read::MultiGzDecoder;
use oci_spec::image::Descriptor;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::digest::hex;
use super::rootfs::FileAttributes;
use crate::error::{Class, Failure};
use crate::process::check_interrupt;
use crate::ui::Bar;

/// By path from the root, without a leading slash: folders come before what they hold.
pub(crate) type LayerEntries = BTreeMap<String, LayerEntry>;

/// A folder or a regular file of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LayerEntry {
    #[serde(flatten)]
    pub attributes: FileAttributes,
    /// None for a folder.
    pub file: Option<LayerFile>,
}

/// The content of a regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LayerFile {
    #[serde(skip)]
    pub path: Utf8PathBuf,
    /// Bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

/// A layer as a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: String,
    /// Where the blob is.
    pub path: Utf8PathBuf,
}

/// Hashes what is read of a file, and ends when the user has asked to stop.
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

pub(crate) fn write_tar<W: Write>(entries: &LayerEntries, bar: &Bar, to: W) -> Result<W> {
    let mut tar = tar::Builder::new(to);
    for (path, LayerEntry { attributes, file }) in entries {
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
                    return Err(Failure::new(Class::Other, format!("{} changed while it was packed", file.path))
                        .hint("let nothing else write it, and run again")
                        .into());
                }
            }
        }
    }
    tar.into_inner().context("cannot finish a layer")
}

/// How a layer's blob of a media type is compressed, `tar` where it is not; none for what is not a layer's.
pub(crate) fn compression_of(media_type: &str) -> Option<&'static str> {
    let is_layer = media_type.contains("layer") || media_type.contains("rootfs.diff");
    let last = media_type.rsplit(['+', '.']).next().filter(|_| is_layer);
    ["gzip", "zstd", "tar"].into_iter().find(|known| last == Some(known))
}

/// The uncompressed stream of a layer's blob; none for a media type that is not a layer's.
pub(crate) fn decompress<'a>(blob: impl Read + 'a, media_type: &str) -> io::Result<Option<Box<dyn Read + 'a>>> {
    let blob = io::BufReader::with_capacity(64 * 1024, blob);
    Ok(match compression_of(media_type) {
        Some("gzip") => Some(Box::new(MultiGzDecoder::new(blob))),
        Some("zstd") => Some(Box::new(zstd::Decoder::with_buffer(blob)?)),
        Some(_) => Some(Box::new(blob)),
        None => None,
    })
}
