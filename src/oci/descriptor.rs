//! Blob descriptors and in-memory blobs (image-spec, descriptor.md).

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use oci_spec::image::{Descriptor, MediaType};
use serde_json::Value;

use super::digest::sha256;

/// A blob on disk that belongs to one of the run's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageBlob {
    /// The index of the image in the run's list of images.
    pub image: usize,
    pub descriptor: Descriptor,
    /// The file that contains the blob.
    pub path: Utf8PathBuf,
}

/// A blob in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Serializes a JSON document into a blob.
    pub(crate) fn json(media_type: &MediaType, value: &Value) -> Result<Blob> {
        let bytes = serde_json::to_vec(value)?;
        let descriptor = descriptor(media_type.as_ref(), &sha256(&bytes), bytes.len() as u64)?;
        Ok(Blob { descriptor, bytes })
    }
}

/// Creates a descriptor. Fails if `digest` is not valid.
pub(crate) fn descriptor(media_type: &str, digest: &str, size: u64) -> Result<Descriptor> {
    let digest: oci_spec::image::Digest =
        digest.parse().with_context(|| format!("'{digest}' is not a valid digest"))?;
    Ok(Descriptor::new(MediaType::from(media_type), size, digest))
}
