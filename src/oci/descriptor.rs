//! Descriptors, and blobs in memory (image-spec, descriptor.md).

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use oci_spec::image::{Descriptor, MediaType};
use serde_json::Value;

use super::digest::sha256;

/// A blob on disk that one of a run's images consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageBlob {
    /// The position of the image among the run's images.
    pub image: usize,
    pub descriptor: Descriptor,
    /// The file with its content.
    pub path: Utf8PathBuf,
}

/// A blob in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Serializes a JSON document.
    pub(crate) fn json(media_type: &MediaType, value: &Value) -> Result<Blob> {
        let bytes = serde_json::to_vec(value)?;
        let descriptor = descriptor(media_type.as_ref(), &sha256(&bytes), bytes.len() as u64)?;
        Ok(Blob { descriptor, bytes })
    }
}

/// Returns a descriptor with a media type, digest and size.
pub(crate) fn descriptor(media_type: &str, digest: &str, size: u64) -> Result<Descriptor> {
    let digest: oci_spec::image::Digest = digest.parse().with_context(|| format!("'{digest}' is no digest"))?;
    Ok(Descriptor::new(MediaType::from(media_type), size, digest))
}
