//! An OCI image layout on disk (image-spec, image-layout.md), read back: the index and what it lists.

use std::io::Read;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use sha2::{Digest, Sha256};

use crate::compile::artifact::hex;
use crate::error::{Class, Failure};

/// A layout that holds one image index.
#[derive(Debug, Clone)]
pub struct Layout {
    pub dir: Utf8PathBuf,
    /// Of the index.
    pub descriptor: Descriptor,
    pub index: ImageIndex,
}

impl Layout {
    /// Reads `index.json` and the index that it names.
    pub fn open(dir: &Utf8Path) -> Result<Layout> {
        let top = fs_err::read(dir.join("index.json"))?;
        let top: ImageIndex =
            serde_json::from_slice(&top).with_context(|| format!("{dir}/index.json is not an index"))?;
        let [descriptor] = &top.manifests()[..] else {
            return Err(broken(dir, &format!("lists {} images, wanted 1", top.manifests().len())).into());
        };
        if *descriptor.media_type() != MediaType::ImageIndex {
            return Err(broken(dir, &format!("holds a {}, wanted an image index", descriptor.media_type())).into());
        }
        let bytes = read_blob(dir, descriptor)?;
        let index = serde_json::from_slice(&bytes)?;
        Ok(Layout { dir: dir.to_owned(), descriptor: descriptor.clone(), index })
    }

    /// The bytes of a manifest or config, which must be those of its digest.
    pub fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        read_blob(&self.dir, descriptor)
    }

    /// The manifest of an entry, and the config that it names.
    pub fn manifest(&self, entry: &Descriptor) -> Result<(ImageManifest, ImageConfiguration)> {
        let manifest: ImageManifest = serde_json::from_slice(&read_blob(&self.dir, entry)?)?;
        let config = serde_json::from_slice(&read_blob(&self.dir, manifest.config())?)?;
        Ok((manifest, config))
    }

    /// The bytes of a blob as they are stored, to be streamed.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<fs_err::File> {
        Ok(fs_err::File::open(blob_path(&self.dir, descriptor))?)
    }
}

/// An entry that is an attestation and not an image (BuildKit, attestation-storage.md).
pub fn is_attestation(entry: &Descriptor) -> bool {
    let annotations = entry.annotations().as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key("vnd.docker.reference.type"))
}

fn blob_path(dir: &Utf8Path, descriptor: &Descriptor) -> Utf8PathBuf {
    let digest = descriptor.digest();
    dir.join("blobs").join(digest.algorithm().to_string()).join(digest.digest())
}

/// Reads a small blob and checks its size and digest.
fn read_blob(dir: &Utf8Path, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(blob_path(dir, descriptor))?.take(descriptor.size() + 1).read_to_end(&mut bytes)?;
    let digest = sha256(&bytes);
    if bytes.len() as u64 != descriptor.size() || digest != descriptor.digest().to_string() {
        return Err(broken(dir, &format!("blob {} has other bytes", descriptor.digest())).into());
    }
    Ok(bytes)
}

/// `sha256:<hex>` of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn broken(dir: &Utf8Path, what: &str) -> Failure {
    Failure::new(Class::Verify, format!("the OCI layout in {dir} {what}"))
        .hint(format!("remove it and build again: `rm -r {dir}`"))
}
