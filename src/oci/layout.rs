//! Reads, writes, and merges OCI image layouts on disk (image-spec, image-layout.md).

use std::io::Read;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, PlatformBuilder};

use super::descriptor::{Blob, descriptor};
use super::digest::sha256;
use super::layer::Layer;
use crate::error::{Class, Failure};
use crate::fs::{hard_link_or_copy, write_atomically};
use crate::platform::Platform;

/// Content of the `oci-layout` file.
pub(crate) const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// A layout that contains a single image: an index, or a manifest without an index.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub dir: Utf8PathBuf,
    /// The descriptor of the index, or of the manifest if there is no index.
    pub descriptor: Descriptor,
    /// The entries of the index, or the manifest with the platform from its config.
    pub manifests: Vec<Descriptor>,
}

impl Layout {
    /// Opens a layout: reads `index.json` and the image that it refers to.
    pub(crate) fn open(dir: &Utf8Path) -> Result<Layout> {
        let top = fs_err::read(dir.join("index.json"))?;
        let top: ImageIndex =
            serde_json::from_slice(&top).with_context(|| format!("{dir}/index.json is not a valid image index"))?;
        let [descriptor] = &top.manifests()[..] else {
            return Err(broken(dir, &format!("lists {} images instead of one", top.manifests().len())).into());
        };
        let manifests = match descriptor.media_type() {
            MediaType::ImageIndex => {
                serde_json::from_slice::<ImageIndex>(&read_blob(dir, descriptor)?)?.manifests().clone()
            }
            MediaType::ImageManifest => vec![with_config_platform(dir, descriptor)?],
            other => return Err(broken(dir, &format!("contains a {other} instead of an image")).into()),
        };
        Ok(Layout { dir: dir.to_owned(), descriptor: descriptor.clone(), manifests })
    }

    pub(crate) fn has_index(&self) -> bool {
        *self.descriptor.media_type() == MediaType::ImageIndex
    }

    /// Returns the entry for a platform, ignoring attestations.
    pub(crate) fn entry(&self, platform: Platform) -> Option<&Descriptor> {
        let matches = |entry: &&Descriptor| {
            entry.platform().as_ref().and_then(descriptor_platform).as_deref() == Some(platform.name())
        };
        self.manifests.iter().filter(|entry| !is_attestation(entry)).find(matches)
    }

    /// Reads a manifest or config, and verifies its size and digest.
    pub(crate) fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        read_blob(&self.dir, descriptor)
    }

    /// Reads the manifest that an entry refers to, and the config that the manifest refers to.
    pub(crate) fn manifest(&self, entry: &Descriptor) -> Result<(ImageManifest, ImageConfiguration)> {
        read_manifest(&self.dir, entry)
    }

    /// Opens a blob for streaming, without verifying it.
    pub(crate) fn open_blob(&self, descriptor: &Descriptor) -> Result<fs_err::File> {
        Ok(fs_err::File::open(blob_path(&self.dir, descriptor))?)
    }
}

/// Reads a manifest and its config.
fn read_manifest(dir: &Utf8Path, descriptor: &Descriptor) -> Result<(ImageManifest, ImageConfiguration)> {
    let manifest: ImageManifest = serde_json::from_slice(&read_blob(dir, descriptor)?)?;
    let config = serde_json::from_slice(&read_blob(dir, manifest.config())?)?;
    Ok((manifest, config))
}

/// Returns the descriptor of a manifest with the platform that its config names.
fn with_config_platform(dir: &Utf8Path, descriptor: &Descriptor) -> Result<Descriptor> {
    let (_, config) = read_manifest(dir, descriptor)?;
    let platform = PlatformBuilder::default().os(config.os().clone()).architecture(config.architecture().clone());
    let platform = match config.variant() {
        Some(variant) => platform.variant(variant.clone()),
        None => platform,
    };
    let mut described = descriptor.clone();
    described.set_platform(Some(platform.build()?));
    Ok(described)
}

/// Writes a layout with a single image: an index, or a manifest without an index. Writes `blobs` from memory, and
/// hard-links the layers instead of copying them.
pub(crate) fn write(dir: &Utf8Path, blobs: &[Blob], layers: &[Layer], image: &Descriptor) -> Result<()> {
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
    write_index(dir, &[serde_json::to_value(image)?])
}

/// Merges layouts that contain the same image for different platforms into one layout with a single index.
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
    let mut index = index.context("no layouts to merge")?;
    index["manifests"] = manifests.into();
    // Format the index as BuildKit does, so that its digest is the same as after a build on a single node.
    let bytes = serde_json::to_vec_pretty(&index)?;
    let descriptor = descriptor(MediaType::ImageIndex.as_ref(), &sha256(&bytes), bytes.len() as u64)?;
    fs_err::write(blob_path(dir, &descriptor), &bytes)?;
    write_index(dir, &[serde_json::to_value(&descriptor)?])
}

/// Writes `oci-layout` and `index.json`, which turn a directory into an OCI layout (image-layout.md).
pub(crate) fn write_index(dir: &Utf8Path, images: &[serde_json::Value]) -> Result<()> {
    let version = dir.join("oci-layout");
    if fs_err::read(&version).ok().as_deref() != Some(VERSION.as_bytes()) {
        // Overwrite the file in place, because another process may have locked it.
        fs_err::write(version, VERSION)?;
    }
    write_atomically(&dir.join("index.json"), &index_json(images)?)
}

/// Returns the content of an `index.json` that lists the given images.
pub(crate) fn index_json(images: &[serde_json::Value]) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageIndex.as_ref(),
        "manifests": images,
    }))?)
}

/// Reports whether an index entry is an attestation rather than an image (BuildKit, attestation-storage.md).
pub(crate) fn is_attestation(entry: &Descriptor) -> bool {
    let annotations = entry.annotations().as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key("vnd.docker.reference.type"))
}

/// Returns a descriptor's platform in normalized form, or `None` for `unknown/unknown`, the platform of attestations.
pub(crate) fn descriptor_platform(platform: &oci_spec::image::Platform) -> Option<String> {
    let (os, architecture) = (platform.os().to_string(), platform.architecture().to_string());
    (os != "unknown").then(|| format_platform(&os, &architecture, platform.variant().as_deref()))
}

/// Returns the normalized form of the platform in a config.
pub(crate) fn config_platform(config: &ImageConfiguration) -> String {
    format_platform(&config.os().to_string(), &config.architecture().to_string(), config.variant().as_deref())
}

/// Formats a platform as `os/architecture[/variant]`, normalizing the names of supported platforms.
pub(crate) fn format_platform(os: &str, architecture: &str, variant: Option<&str>) -> String {
    let name = match variant.filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    };
    name.parse::<Platform>().map_or(name, |platform| platform.name().to_owned())
}

/// Returns the path of a blob in a layout.
pub(crate) fn blob_path(dir: &Utf8Path, descriptor: &Descriptor) -> Utf8PathBuf {
    let digest = descriptor.digest();
    dir.join("blobs").join(digest.algorithm().to_string()).join(digest.digest())
}

/// Reads a small blob, and verifies its size and digest.
fn read_blob(dir: &Utf8Path, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(blob_path(dir, descriptor))?.take(descriptor.size() + 1).read_to_end(&mut bytes)?;
    let digest = sha256(&bytes);
    if bytes.len() as u64 != descriptor.size() || digest != descriptor.digest().to_string() {
        return Err(
            broken(dir, &format!("contains a blob with the wrong size or digest: {}", descriptor.digest())).into()
        );
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
    fn merge_combines_the_layouts_of_several_nodes() {
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
        let merged_dir = dir.join("merged");
        merge(&merged_dir, &parts).unwrap();
        let merged = Layout::open(&merged_dir).unwrap();
        for (name, text) in [("linux/arm64", "one"), ("linux/amd64", "two")] {
            assert_eq!(merged.read(merged.entry(platform(name)).unwrap()).unwrap(), text.as_bytes());
        }
        assert_eq!(merged.manifests.len(), 2);
        let index: ImageIndex = serde_json::from_slice(&merged.read(&merged.descriptor).unwrap()).unwrap();
        assert_eq!(index.annotations().as_ref().unwrap()["title"], "app");
        let blobs = merged_dir.join("blobs/sha256").read_dir_utf8().unwrap().count();
        assert_eq!(blobs, 4, "two manifests, a shared blob, and an index");
    }
}
