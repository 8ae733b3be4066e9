//! Reads the index, manifests and configs of an image (image-spec, image-index.md, manifest.md, config.md; Docker's
//! schema 2 has the same structure). The `inspect` module checks their contents.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use camino::Utf8Path;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde_json::Value;

use super::blobs::{Archive, Blobs, LayerBlob, ReadError};
use crate::error::{Class, Failure};
use crate::finding::{Finding, NESTED_INDEX, NO_IMAGE, UNREADABLE, printable};
use crate::oci::cache::Cache;
use crate::oci::health_check::health_check_command;
use crate::oci::layout::{Layout, descriptor_platform, is_attestation};
use crate::oci::reference::repository_name;
use crate::oci::transport::ImageLocation;
use crate::registry::Registry;

/// The manifests and configs of an image.
pub(crate) struct ImageManifests<'a> {
    /// Location of the image, followed by its name if the location contains several images.
    pub reference: String,
    /// Digest of the index, or of the manifest if there is no index.
    pub digest: Option<String>,
    pub has_index: bool,
    pub annotations: HashMap<String, String>,
    pub entries: Vec<PlatformEntry>,
    pub findings: Vec<Finding>,
    pub blobs: Arc<Blobs<'a>>,
}

/// One platform of an image.
pub(crate) struct PlatformEntry {
    /// Normalized platform from the index. `None` if there is no index, or if the index entry has no platform.
    pub claimed: Option<String>,
    pub digest: Option<String>,
    /// Contents of the manifest and config, or the findings that explain why they cannot be read.
    pub contents: Result<PlatformContents, Vec<Finding>>,
}

/// A platform's config, and the layers and annotations from its manifest.
pub(crate) struct PlatformContents {
    pub config: ImageConfiguration,
    /// Program that the health check runs, with its arguments. Empty if there is no health check.
    pub health_check: Vec<String>,
    pub layers: Vec<LayerBlob>,
    /// Total size of the stored config and layers, in bytes. `None` if unknown.
    pub size: Option<u64>,
    pub annotations: HashMap<String, String>,
}

const INDEX_MEDIA_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const UNKNOWN_PLATFORM: &str = "unknown/unknown";

/// Reads the manifests of all images at a location.
pub(crate) fn read_location<'a>(
    location: &ImageLocation,
    registry: &'a Registry,
    cache: &'a Cache,
) -> Result<Vec<ImageManifests<'a>>> {
    match location {
        ImageLocation::Registry(reference) => {
            let served = registry.fetch_manifest(reference)?;
            let repository = repository_name(reference)?;
            let blobs = Arc::new(Blobs::Registry { registry, repository, cache });
            let mut image = ImageManifests::new(reference, Some(served.digest.clone()), blobs);
            if served.is_index() {
                image.add_index(&served.bytes)?;
            } else {
                image.add_manifest(&served.bytes, None)?;
            }
            Ok(vec![image])
        }
        ImageLocation::Oci(dir, name) => {
            let index = fs_err::read(dir.join("index.json")).map_err(|error| not_a_layout(dir, &error.to_string()))?;
            let blobs = Arc::new(Blobs::Layout(dir.clone()));
            LayoutReader { location, path: dir, requested: name.as_deref(), blobs }.read(&index)
        }
        ImageLocation::OciArchive(file, name) => {
            let archive = Archive::open_file(file, cache)?;
            let index = archive.read("index.json")?.ok_or_else(|| not_a_layout(file, "it contains no index.json"))?;
            let blobs = Arc::new(Blobs::Archive(archive));
            LayoutReader { location, path: file, requested: name.as_deref(), blobs }.read(&index)
        }
        ImageLocation::DockerArchive(file, name) => read_docker_archive(location, file, name.as_deref(), cache),
    }
}

/// Reads the manifests of a built image from its layout.
pub(crate) fn read_layout(layout: &Layout) -> Result<ImageManifests<'static>> {
    let blobs = Arc::new(Blobs::Layout(layout.dir.clone()));
    let digest = Some(layout.descriptor.digest().to_string());
    let mut image = ImageManifests::new(layout.dir.as_str(), digest, blobs);
    let bytes = layout.read(&layout.descriptor)?;
    if layout.has_index() {
        image.add_index(&bytes)?;
    } else {
        image.add_manifest(&bytes, None)?;
    }
    Ok(image)
}

impl<'a> ImageManifests<'a> {
    fn new(reference: &str, digest: Option<String>, blobs: Arc<Blobs<'a>>) -> ImageManifests<'a> {
        ImageManifests {
            reference: printable(reference),
            digest,
            has_index: false,
            annotations: HashMap::new(),
            entries: Vec::new(),
            findings: Vec::new(),
            blobs,
        }
    }

    /// Adds the single platform of an image that has no index.
    fn add_manifest(&mut self, manifest: &[u8], claimed: Option<String>) -> Result<()> {
        let contents = read_contents(manifest, &self.blobs);
        if let Ok(contents) = &contents {
            self.annotations = contents.annotations.clone();
        }
        let digest = self.digest.clone();
        self.add_platform(claimed, digest, contents)
    }

    /// Adds all platforms that an index lists.
    fn add_index(&mut self, index: &[u8]) -> Result<()> {
        self.has_index = true;
        let index: ImageIndex = match serde_json::from_slice(index) {
            Ok(index) => index,
            Err(error) => {
                self.findings.push(UNREADABLE.finding(format!("invalid index: {error}"), "publish the image again"));
                return Ok(());
            }
        };
        self.annotations = index.annotations().clone().unwrap_or_default();
        for entry in index.manifests().iter().filter(|entry| !is_attestation(entry)) {
            let claimed = claimed_platform(entry);
            if let Some(finding) = check_entry(entry, claimed.as_deref()) {
                self.findings.push(finding);
                continue;
            }
            let manifest = self.blobs.read_manifest(entry);
            let contents = manifest.and_then(|manifest| read_contents(&manifest, &self.blobs));
            self.add_platform(claimed, Some(entry.digest().to_string()), contents)?;
        }
        if self.entries.is_empty() && self.findings.is_empty() {
            let problem = if index.manifests().is_empty() { "is empty" } else { "contains only attestations" };
            let reason = format!("the index {problem}, so there is nothing to run");
            self.findings.push(NO_IMAGE.finding(reason, "publish the image again"));
        }
        Ok(())
    }

    /// Adds a platform or, if it is damaged, the findings about it.
    fn add_platform(
        &mut self,
        claimed: Option<String>,
        digest: Option<String>,
        contents: Result<PlatformContents, ReadError>,
    ) -> Result<()> {
        let contents = match contents {
            Ok(contents) => Ok(contents),
            Err(error) => Err(error.into_findings()?),
        };
        self.entries.push(PlatformEntry { claimed, digest, contents });
        Ok(())
    }
}

/// Returns a finding if an index entry is not an image.
fn check_entry(entry: &Descriptor, claimed: Option<&str>) -> Option<Finding> {
    if claimed == Some(UNKNOWN_PLATFORM) {
        let reason =
            format!("index entry {} has an unknown platform, but is not marked as an attestation", entry.digest());
        return Some(NO_IMAGE.finding(reason, "remove the entry, or set its platform"));
    }
    if !is_index(entry) {
        return None;
    }
    let reason = format!("the index contains another index ({}), which most runtimes do not support", entry.digest());
    let fix = "recreate the index from the inner index's manifests: `docker buildx imagetools create`";
    let finding = NESTED_INDEX.finding(reason, fix);
    Some(match claimed {
        Some(platform) => finding.for_platform(platform),
        None => finding,
    })
}

/// Returns the platform that an index claims for an entry.
fn claimed_platform(entry: &Descriptor) -> Option<String> {
    let platform = entry.platform().as_ref()?;
    Some(descriptor_platform(platform).unwrap_or_else(|| UNKNOWN_PLATFORM.to_owned()))
}

fn is_index(entry: &Descriptor) -> bool {
    INDEX_MEDIA_TYPES.contains(&entry.media_type().as_ref())
}

/// Parses a manifest, and reads the config that it refers to.
fn read_contents(manifest: &[u8], blobs: &Blobs<'_>) -> Result<PlatformContents, ReadError> {
    let unreadable = |document: &str, error: serde_json::Error| {
        let fix = "make sure that the reference points to a container image, not to another kind of artifact";
        ReadError::from(UNREADABLE.finding(format!("invalid {document}: {error}"), fix))
    };
    let manifest: ImageManifest = serde_json::from_slice(manifest).map_err(|error| unreadable("manifest", error))?;
    let config = blobs.read_document(manifest.config())?;
    let ConfigDocument { config, health_check } = read_config(&config).map_err(|error| unreadable("config", error))?;
    Ok(PlatformContents {
        config,
        health_check,
        layers: manifest.layers().iter().cloned().map(|layer| LayerBlob::Blob(Box::new(layer))).collect(),
        size: Some(manifest.config().size() + manifest.layers().iter().map(Descriptor::size).sum::<u64>()),
        annotations: manifest.annotations().clone().unwrap_or_default(),
    })
}

/// The parsed contents of a config.
struct ConfigDocument {
    config: ImageConfiguration,
    health_check: Vec<String>,
}

/// Parses a config twice, because [`ImageConfiguration`] does not include Docker's health check.
fn read_config(bytes: &[u8]) -> serde_json::Result<ConfigDocument> {
    let document: Value = serde_json::from_slice(bytes)?;
    Ok(ConfigDocument {
        config: serde_json::from_slice(bytes)?,
        health_check: health_check_command(&document["config"]),
    })
}

/// A reader for OCI layouts, which may contain any number of images.
struct LayoutReader<'a, 'l> {
    location: &'l ImageLocation,
    path: &'l Utf8Path,
    /// Name or tag of the image to read. `None` for all images.
    requested: Option<&'l str>,
    blobs: Arc<Blobs<'a>>,
}

impl<'a> LayoutReader<'a, '_> {
    fn read(&self, index_json: &[u8]) -> Result<Vec<ImageManifests<'a>>> {
        let index: ImageIndex = serde_json::from_slice(index_json)
            .map_err(|error| not_a_layout(self.path, &format!("invalid index.json: {error}")))?;
        let entries = index.manifests();
        // In a layout with several images, each entry has a name. If no entry has one, index.json is itself the index
        // of a single image.
        let is_platform = |entry: &Descriptor| ref_name(entry).is_none() && !is_index(entry);
        if self.requested.is_none() && entries.len() != 1 && entries.iter().all(is_platform) {
            let mut image = ImageManifests::new(&self.location.to_string(), None, self.blobs.clone());
            image.add_index(index_json)?;
            return Ok(vec![image]);
        }
        let mut images = Vec::new();
        for entry in entries.iter().filter(|entry| self.is_requested(entry)) {
            images.push(self.read_image(entry, entries.len() > 1)?);
        }
        if images.is_empty() {
            return Err(self.no_image(entries).into());
        }
        Ok(images)
    }

    /// Reports whether an entry has the requested name or tag.
    fn is_requested(&self, entry: &Descriptor) -> bool {
        match (self.requested, ref_name(entry)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(requested), Some(name)) => {
                name == requested || name.rsplit_once(':').is_some_and(|(_, tag)| tag == requested)
            }
        }
    }

    fn read_image(&self, entry: &Descriptor, has_siblings: bool) -> Result<ImageManifests<'a>> {
        let reference = match (ref_name(entry), self.requested) {
            (Some(name), None) if has_siblings => format!("{}:{name}", self.location),
            _ => self.location.to_string(),
        };
        let mut image = ImageManifests::new(&reference, Some(entry.digest().to_string()), self.blobs.clone());
        match self.blobs.read_document(entry) {
            Ok(bytes) if is_index(entry) => image.add_index(&bytes)?,
            Ok(bytes) => image.add_manifest(&bytes, claimed_platform(entry))?,
            Err(error) => image.findings = error.into_findings()?,
        }
        Ok(image)
    }

    fn no_image(&self, entries: &[Descriptor]) -> Failure {
        let problem = match self.requested {
            Some(name) => format!("no image '{name}' in {}", self.path),
            None => format!("no images in {}", self.path),
        };
        let names: Vec<&str> = entries.iter().filter_map(ref_name).collect();
        let hint = if names.is_empty() {
            "write an image to it: `cargo multiarch build --output oci:DIR`".to_owned()
        } else {
            format!("use one of these names: {}", names.join(", "))
        };
        Failure::new(Class::Config, problem).hint(hint)
    }
}

fn not_a_layout(path: &Utf8Path, reason: &str) -> Failure {
    Failure::new(Class::Config, format!("{path} is not an OCI image layout: {reason}"))
        .hint("for an archive, use oci-archive:FILE, or docker-archive:FILE if it was written by `docker save`")
}

/// Returns the name of an image in a layout.
fn ref_name(entry: &Descriptor) -> Option<&str> {
    entry.annotations().as_ref()?.get(REF_NAME).map(String::as_str)
}

/// An image listed in the `manifest.json` of a `docker save` archive (moby, image/spec/v1.2.md, "Combined Image JSON +
/// Filesystem Changeset Format").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerArchiveImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl DockerArchiveImage {
    fn tags(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    /// Reports whether the image has the requested tag. Docker writes short names, but some tools write full ones, such
    /// as `docker.io/library/app:1`.
    fn has_tag(&self, requested: &str) -> bool {
        self.tags().iter().any(|tag| {
            let prefixes = ["docker.io/library/", "docker.io/"];
            tag == requested || prefixes.iter().any(|prefix| tag.strip_prefix(prefix) == Some(requested))
        })
    }

    fn read_contents(&self, archive: &Archive) -> Result<PlatformContents, ReadError> {
        let unreadable =
            |reason: String| ReadError::from(UNREADABLE.finding(reason, "save the image again with `docker save`"));
        let config = archive
            .read(&self.config)?
            .ok_or_else(|| unreadable(format!("the archive does not contain the config {}", self.config)))?;
        let ConfigDocument { config, health_check } =
            read_config(&config).map_err(|error| unreadable(format!("invalid config: {error}")))?;
        Ok(PlatformContents {
            config,
            health_check,
            layers: self.layers.iter().cloned().map(LayerBlob::File).collect(),
            size: [&self.config].into_iter().chain(&self.layers).map(|name| archive.size(name)).sum(),
            annotations: HashMap::new(),
        })
    }
}

fn read_docker_archive<'a>(
    location: &ImageLocation,
    file: &Utf8Path,
    requested: Option<&str>,
    cache: &Cache,
) -> Result<Vec<ImageManifests<'a>>> {
    let archive = Archive::open_file(file, cache)?;
    let top =
        archive.read("manifest.json")?.ok_or_else(|| not_a_docker_archive(file, "it contains no manifest.json"))?;
    let saved: Vec<DockerArchiveImage> = serde_json::from_slice(&top)
        .map_err(|error| not_a_docker_archive(file, &format!("invalid manifest.json: {error}")))?;
    let is_requested = |image: &&DockerArchiveImage| requested.is_none_or(|requested| image.has_tag(requested));
    let images: Vec<&DockerArchiveImage> = saved.iter().filter(is_requested).collect();
    if images.is_empty() {
        let Some(requested) = requested else { return Err(not_a_docker_archive(file, "it contains no images").into()) };
        let tags: Vec<&str> = saved.iter().flat_map(DockerArchiveImage::tags).map(String::as_str).collect();
        return Err(Failure::new(Class::Config, format!("no image '{requested}' in {file}"))
            .hint(format!("use one of these names: {}", tags.join(", ")))
            .into());
    }
    let contents: Vec<_> = images.iter().map(|image| image.read_contents(&archive)).collect();
    let blobs = Arc::new(Blobs::Archive(archive));
    let mut read = Vec::new();
    for (image, contents) in images.into_iter().zip(contents) {
        let reference = match image.tags().first() {
            Some(tag) if saved.len() > 1 && requested.is_none() => format!("{location}:{tag}"),
            _ => location.to_string(),
        };
        let mut manifests = ImageManifests::new(&reference, None, blobs.clone());
        manifests.add_platform(None, None, contents)?;
        read.push(manifests);
    }
    Ok(read)
}

fn not_a_docker_archive(file: &Utf8Path, reason: &str) -> Failure {
    Failure::new(Class::Config, format!("{file} is not a `docker save` archive: {reason}"))
        .hint("for an archive of an OCI layout, use oci-archive:FILE")
}
