//! An OCI image layout on disk (image-spec, image-layout.md), read back: the index and what it lists.

use std::io::Read;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};

use super::descriptor::{Blob, descriptor};
use super::digest::sha256;
use super::layer::Layer;
use crate::error::{Class, Failure};
use crate::fs::{hard_link_or_copy, write_atomically};
use crate::platform::Platform;

/// `oci-layout`.
pub(crate) const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// A layout that holds one image index.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub dir: Utf8PathBuf,
    /// Of the index.
    pub descriptor: Descriptor,
    pub index: ImageIndex,
}

impl Layout {
    /// Reads `index.json` and the index that it names.
    pub(crate) fn open(dir: &Utf8Path) -> Result<Layout> {
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

    /// The entry of a platform's image.
    pub(crate) fn entry(&self, platform: Platform) -> Option<&Descriptor> {
        let is_it = |entry: &&Descriptor| {
            entry.platform().as_ref().and_then(descriptor_platform).as_deref() == Some(platform.name())
        };
        self.index.manifests().iter().filter(|entry| !is_attestation(entry)).find(is_it)
    }

    /// The bytes of a manifest or config, which must be those of its digest.
    pub(crate) fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        read_blob(&self.dir, descriptor)
    }

    /// The manifest of an entry, and the config that it names.
    pub(crate) fn manifest(&self, entry: &Descriptor) -> Result<(ImageManifest, ImageConfiguration)> {
        let manifest: ImageManifest = serde_json::from_slice(&read_blob(&self.dir, entry)?)?;
        let config = serde_json::from_slice(&read_blob(&self.dir, manifest.config())?)?;
        Ok((manifest, config))
    }

    /// The bytes of a blob as they are stored, to be streamed.
    pub(crate) fn open_blob(&self, descriptor: &Descriptor) -> Result<fs_err::File> {
        Ok(fs_err::File::open(blob_path(&self.dir, descriptor))?)
    }
}

/// Writes a layout with one image: documents from memory, layers by a link to where they are.
pub(crate) fn write(dir: &Utf8Path, blobs: &[Blob], layers: &[Layer], index: &Descriptor) -> Result<()> {
    if dir.exists() {
        fs_err::remove_dir_all(dir)?;
    }
    fs_err::create_dir_all(dir.join("blobs/sha256"))?;
    for layer in layers {
        hard_link_or_copy(&layer.path, &blob_path(dir, &layer.descriptor))?;
    }
    for blob in blobs {
        fs_err::write(blob_path(dir, &blob.descriptor), &blob.bytes)?;
    }
    write_index(dir, &[serde_json::to_value(index)?])
}

/// Puts layouts together that have one image for other platforms each: their blobs, and an index over all of theirs.
pub(crate) fn merge(dir: &Utf8Path, parts: &[Layout]) -> Result<()> {
    let blobs = dir.join("blobs/sha256");
    fs_err::create_dir_all(&blobs)?;
    let (mut index, mut manifests) = (None, Vec::new());
    for part in parts {
        let document: serde_json::Value = serde_json::from_slice(&part.read(&part.descriptor)?)?;
        manifests.extend(document["manifests"].as_array().into_iter().flatten().cloned());
        index = index.or(Some(document));
        for blob in part.dir.join("blobs/sha256").read_dir_utf8()? {
            let blob = blob?;
            if blob.file_name() != part.descriptor.digest().digest() {
                hard_link_or_copy(blob.path(), &blobs.join(blob.file_name()))?;
            }
        }
    }
    let mut index = index.context("there is no layout to put together")?;
    index["manifests"] = manifests.into();
    // In BuildKit's own form: the bytes, and so the digest, are those that one node writes.
    let bytes = serde_json::to_vec_pretty(&index)?;
    let descriptor = descriptor(MediaType::ImageIndex.as_ref(), &sha256(&bytes), bytes.len() as u64)?;
    fs_err::write(blob_path(dir, &descriptor), &bytes)?;
    write_index(dir, &[serde_json::to_value(&descriptor)?])
}

/// Writes what makes a folder a layout: its version, and the images in it (image-layout.md).
pub(crate) fn write_index(dir: &Utf8Path, images: &[serde_json::Value]) -> Result<()> {
    let version = dir.join("oci-layout");
    if fs_err::read(&version).ok().as_deref() != Some(VERSION.as_bytes()) {
        // In its place: the file may be locked.
        fs_err::write(version, VERSION)?;
    }
    write_atomically(&dir.join("index.json"), &index_json(images)?)
}

/// `index.json` over some images.
pub(crate) fn index_json(images: &[serde_json::Value]) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageIndex.as_ref(),
        "manifests": images,
    }))?)
}

/// An entry that is an attestation and not an image (BuildKit, attestation-storage.md).
pub(crate) fn is_attestation(entry: &Descriptor) -> bool {
    let annotations = entry.annotations().as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key("vnd.docker.reference.type"))
}

/// `os/architecture[/variant]` in the platform table's spelling; none for an attestation's `unknown/unknown`.
pub(crate) fn descriptor_platform(platform: &oci_spec::image::Platform) -> Option<String> {
    let (os, architecture) = (platform.os().to_string(), platform.architecture().to_string());
    (os != "unknown").then(|| format_platform(&os, &architecture, platform.variant().as_deref()))
}

/// The same from an image's config.
pub(crate) fn format_platform(os: &str, architecture: &str, variant: Option<&str>) -> String {
    let written = match variant.filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    };
    written.parse::<Platform>().map_or(written, |platform| platform.name().to_owned())
}

/// Where a layout has a blob.
pub(crate) fn blob_path(dir: &Utf8Path, descriptor: &Descriptor) -> Utf8PathBuf {
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

fn broken(dir: &Utf8Path, problem: &str) -> Failure {
    Failure::new(Class::Verify, format!("the OCI layout in {dir} {problem}"))
        .hint(format!("remove it and build again: `rm -r {dir}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::manifest;

    #[test]
    fn what_nodes_have_built_is_one_image() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let platform = |name: &str| name.parse::<Platform>().unwrap();
        let annotations = [("title".to_owned(), "app".to_owned())].into();
        let blob = |text: &str| {
            let bytes = text.as_bytes().to_vec();
            let kind = MediaType::ImageManifest;
            Blob { descriptor: descriptor(kind.as_ref(), &sha256(&bytes), bytes.len() as u64).unwrap(), bytes }
        };
        let part = |name: &str, text: &str| {
            let manifest = blob(text);
            let listed = [(platform(name), manifest.descriptor.clone())];
            let index = manifest::index(&listed, &annotations).unwrap();
            let part = dir.join(name);
            write(&part, &[manifest, blob("shared"), index.clone()], &[], &index.descriptor).unwrap();
            Layout::open(&part).unwrap()
        };
        let parts = [part("linux/arm64", "one"), part("linux/amd64", "two")];
        let both = dir.join("both");
        merge(&both, &parts).unwrap();
        let merged = Layout::open(&both).unwrap();
        for (name, text) in [("linux/arm64", "one"), ("linux/amd64", "two")] {
            assert_eq!(merged.read(merged.entry(platform(name)).unwrap()).unwrap(), text.as_bytes());
        }
        assert_eq!(merged.index.manifests().len(), 2);
        assert_eq!(merged.index.annotations().as_ref().unwrap()["title"], "app");
        let blobs = both.join("blobs/sha256").read_dir_utf8().unwrap().count();
        assert_eq!(blobs, 4, "two manifests, what they share, and one index");
    }
}
