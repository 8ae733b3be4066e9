//! What an image's documents say: the index, and of each platform its manifest and config (image-spec, image-index.md,
//! manifest.md, config.md; Docker's schema 2 has the same shapes).

use std::collections::HashMap;

use anyhow::Result;
use camino::Utf8Path;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde::Deserialize;

use super::blobs::{Archive, Blobs, LayerBlob};
use crate::error::{Class, Failure};
use crate::finding::{Finding, NESTED_INDEX, NO_IMAGE, UNREADABLE, printable};
use crate::oci::cache::Cache;
use crate::oci::layout::{Layout, descriptor_platform, format_platform, is_attestation};
use crate::oci::reference::repository_name;
use crate::oci::transport::ImageLocation;
use crate::registry::Registry;

/// An image at a location, before anything of it is judged.
pub struct ImageManifests<'a> {
    /// With what tells it from others of the same place.
    pub reference: String,
    /// Of the index, or of the manifest where there is no index.
    pub digest: Option<String>,
    pub annotations: HashMap<String, String>,
    pub entries: Vec<PlatformEntry>,
    pub findings: Vec<Finding>,
    pub blobs: std::sync::Arc<Blobs<'a>>,
}

/// One platform of it.
pub struct PlatformEntry {
    /// What the index says, in the platform table's spelling; none without an index, and where it says nothing.
    pub claimed: Option<String>,
    pub digest: Option<String>,
    pub parts: Result<Parts, Vec<Finding>>,
}

/// What is under a manifest.
pub struct Parts {
    pub config: ImageConfiguration,
    pub layers: Vec<LayerBlob>,
    /// Bytes, of the config and the layers as they are stored; none where nothing says.
    pub size: Option<u64>,
    pub annotations: HashMap<String, String>,
}

const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const NAME: &str = "org.opencontainers.image.ref.name";

/// Reads what is at a location; several images of a layout each by themselves.
pub fn read<'a>(location: &ImageLocation, registry: &'a Registry, cache: &'a Cache) -> Result<Vec<ImageManifests<'a>>> {
    match location {
        ImageLocation::Registry(reference) => {
            let served = registry.fetch_manifest(reference)?;
            let repository = repository_name(reference)?;
            let blobs = Blobs::Registry { registry, repository, cache };
            let digest = Some(served.digest.clone());
            Ok(vec![image(reference.clone(), digest, None, &served.bytes, served.is_index(), blobs.into())?])
        }
        ImageLocation::Oci(dir, wanted) => {
            let top =
                fs_err::read(dir.join("index.json")).map_err(|error| no_layout(dir.as_str(), &error.to_string()))?;
            layout(location, dir, wanted.as_deref(), &top, Blobs::Layout(dir.clone()))
        }
        ImageLocation::OciArchive(file, wanted) => {
            let archive = Archive::open_file(file, cache)?;
            let top = archive.read("index.json")?.ok_or_else(|| no_layout(file.as_str(), "it has no index.json"))?;
            layout(location, file, wanted.as_deref(), &top, Blobs::Archive(archive))
        }
        ImageLocation::DockerArchive(file, wanted) => docker_archive(location, file, wanted.as_deref(), cache),
    }
}

fn no_layout(place: &str, why: &str) -> Failure {
    Failure::new(Class::Config, format!("{place} is no OCI image layout: {why}"))
        .hint("a file is read as oci-archive:FILE, or as docker-archive:FILE where `docker save` wrote it")
}

fn layout<'a>(
    location: &ImageLocation,
    place: &Utf8Path,
    wanted: Option<&str>,
    top: &[u8],
    blobs: Blobs<'a>,
) -> Result<Vec<ImageManifests<'a>>> {
    let blobs = std::sync::Arc::new(blobs);
    let index: ImageIndex = serde_json::from_slice(top)
        .map_err(|error| no_layout(place.as_str(), &format!("its index.json is no index: {error}")))?;
    let name_of =
        |entry: &Descriptor| entry.annotations().as_ref().and_then(|annotations| annotations.get(NAME).cloned());
    // Images side by side have names; platforms side by side have none, and index.json is then the index itself.
    let is_index = |entry: &Descriptor| INDEXES.contains(&entry.media_type().as_ref());
    let platforms_only = index.manifests().len() != 1
        && index.manifests().iter().all(|entry| name_of(entry).is_none() && !is_index(entry));
    if platforms_only && wanted.is_none() {
        return Ok(vec![image(location.to_string(), None, None, top, true, blobs)?]);
    }
    let mut images = Vec::new();
    for entry in index.manifests() {
        let name = name_of(entry);
        let is_wanted = wanted.is_none_or(|wanted| {
            name.as_deref() == Some(wanted)
                || name.as_deref().is_some_and(|name| name.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted))
        });
        if !is_wanted {
            continue;
        }
        let reference = match (&name, wanted) {
            (Some(name), None) if index.manifests().len() > 1 => format!("{location}:{name}"),
            _ => location.to_string(),
        };
        images.push(match blobs.document(entry)? {
            Ok(bytes) => {
                let digest = Some(entry.digest().to_string());
                image(reference, digest, claimed(entry), &bytes, is_index(entry), blobs.clone())?
            }
            Err(finding) => ImageManifests {
                reference,
                digest: Some(entry.digest().to_string()),
                annotations: HashMap::new(),
                entries: Vec::new(),
                findings: vec![*finding],
                blobs: blobs.clone(),
            },
        });
    }
    if images.is_empty() {
        let known: Vec<String> = index.manifests().iter().filter_map(name_of).collect();
        let what = match wanted {
            Some(wanted) => format!("{place} has no image '{wanted}'"),
            None => format!("{place} has no image at all"),
        };
        return Err(Failure::new(Class::Config, what)
            .hint(match known.is_empty() {
                true => "write one into it: `cargo multiarch build --output oci:DIR`".to_owned(),
                false => format!("it has: {}", known.join(", ")),
            })
            .into());
    }
    Ok(images)
}

fn image<'a>(
    reference: String,
    digest: Option<String>,
    claimed_above: Option<String>,
    bytes: &[u8],
    is_index: bool,
    blobs: std::sync::Arc<Blobs<'a>>,
) -> Result<ImageManifests<'a>> {
    let reference = printable(&reference);
    let mut read = ImageManifests {
        reference,
        digest,
        annotations: HashMap::new(),
        entries: Vec::new(),
        findings: Vec::new(),
        blobs,
    };
    if !is_index {
        let parts = parts(bytes, &read.blobs)?;
        read.annotations = parts.as_ref().map(|parts| parts.annotations.clone()).unwrap_or_default();
        let digest = read.digest.clone();
        read.entries.push(PlatformEntry { claimed: claimed_above, digest, parts });
        return Ok(read);
    }
    let index: ImageIndex = match serde_json::from_slice(bytes) {
        Ok(index) => index,
        Err(error) => {
            read.findings.push(UNREADABLE.finding(format!("its index is none: {error}"), "publish it again"));
            return Ok(read);
        }
    };
    read.annotations = index.annotations().clone().unwrap_or_default();
    for entry in index.manifests().iter().filter(|entry| !is_attestation(entry)) {
        let claimed = claimed(entry);
        let digest = Some(entry.digest().to_string());
        let of = |finding: Finding| match &claimed {
            Some(claimed) => finding.for_platform(claimed),
            None => finding,
        };
        if claimed.as_deref() == Some("unknown/unknown") {
            let reason = format!("the index has {} for no platform, and not as an attestation", entry.digest());
            read.findings.push(NO_IMAGE.finding(reason, "leave it out, or say which platform it is for"));
            continue;
        }
        if INDEXES.contains(&entry.media_type().as_ref()) {
            let reason =
                format!("the index has another index here ({}), which most runtimes do not enter", entry.digest());
            read.findings.push(of(NESTED_INDEX
                .finding(reason, "list the inner one's manifests themselves: `docker buildx imagetools create`")));
            continue;
        }
        let parts = match read.blobs.manifest(entry)? {
            Ok(bytes) => parts(&bytes, &read.blobs)?,
            Err(finding) => Err(vec![*finding]),
        };
        read.entries.push(PlatformEntry { claimed, digest, parts });
    }
    if read.entries.is_empty() && read.findings.is_empty() {
        let only = if index.manifests().is_empty() { "is empty" } else { "has attestations only" };
        read.findings.push(NO_IMAGE.finding(format!("the index {only}: there is nothing to run"), "publish it again"));
    }
    Ok(read)
}

/// The platform that an entry of an index says.
fn claimed(entry: &Descriptor) -> Option<String> {
    let platform = entry.platform().as_ref()?;
    Some(descriptor_platform(platform).unwrap_or_else(|| "unknown/unknown".to_owned()))
}

fn parts(manifest: &[u8], blobs: &Blobs<'_>) -> Result<Result<Parts, Vec<Finding>>> {
    let unreadable = |what: &str, error: serde_json::Error| {
        let fix = "is it a container image? Registries hold other things as well";
        vec![UNREADABLE.finding(format!("its {what} is none: {error}"), fix)]
    };
    let manifest: ImageManifest = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Err(unreadable("manifest", error))),
    };
    let config = match blobs.document(manifest.config())? {
        Ok(bytes) => bytes,
        Err(finding) => return Ok(Err(vec![*finding])),
    };
    Ok(match serde_json::from_slice::<ImageConfiguration>(&config) {
        Err(error) => Err(unreadable("config", error)),
        Ok(config) => Ok(Parts {
            config,
            layers: manifest.layers().iter().cloned().map(|layer| LayerBlob::Blob(Box::new(layer))).collect(),
            size: Some(manifest.config().size() + manifest.layers().iter().map(Descriptor::size).sum::<u64>()),
            annotations: manifest.annotations().clone().unwrap_or_default(),
        }),
    })
}

/// The platform that a config is for, in the platform table's spelling.
pub fn platform_of(config: &ImageConfiguration) -> String {
    format_platform(&config.os().to_string(), &config.architecture().to_string(), config.variant().as_deref())
}

/// `manifest.json` of `docker save` (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

fn docker_archive<'a>(
    location: &ImageLocation,
    file: &Utf8Path,
    wanted: Option<&str>,
    cache: &Cache,
) -> Result<Vec<ImageManifests<'a>>> {
    let archive = Archive::open_file(file, cache)?;
    let no_archive = |why: &str| {
        Failure::new(Class::Config, format!("{file} is no archive of `docker save`: {why}"))
            .hint("an archive of an OCI layout is read as oci-archive:FILE")
    };
    let top = archive.read("manifest.json")?.ok_or_else(|| no_archive("it has no manifest.json"))?;
    let saved: Vec<Saved> =
        serde_json::from_slice(&top).map_err(|error| no_archive(&format!("its manifest.json is none: {error}")))?;
    let several = saved.len() > 1;
    let mut images: Vec<ImageManifests<'a>> = Vec::new();
    let (mut parts_of, mut known) = (Vec::new(), Vec::new());
    for saved in saved {
        let tags = saved.repo_tags.unwrap_or_default();
        known.extend(tags.iter().cloned());
        // Some write the names that Docker takes short ones for.
        let is = |tag: &String, wanted: &str| {
            tag == wanted
                || ["docker.io/library/", "docker.io/"].iter().any(|host| tag.strip_prefix(host) == Some(wanted))
        };
        if wanted.is_some_and(|wanted| !tags.iter().any(|tag| is(tag, wanted))) {
            continue;
        }
        let parts = match archive.read(&saved.config)? {
            None => Err(vec![UNREADABLE.finding(
                format!("its config {} is not in the archive", saved.config),
                "save it again: `docker save`",
            )]),
            Some(config) => match serde_json::from_slice::<ImageConfiguration>(&config) {
                Err(error) => Err(vec![
                    UNREADABLE.finding(format!("its config is none: {error}"), "save it again: `docker save`"),
                ]),
                Ok(config) => Ok(Parts {
                    config,
                    size: [&saved.config].into_iter().chain(&saved.layers).map(|name| archive.size(name)).sum(),
                    layers: saved.layers.into_iter().map(LayerBlob::File).collect(),
                    annotations: HashMap::new(),
                }),
            },
        };
        let reference = match tags.first() {
            Some(tag) if several && wanted.is_none() => format!("{location}:{tag}"),
            _ => location.to_string(),
        };
        parts_of.push((reference, parts));
    }
    if parts_of.is_empty() {
        return Err(match wanted {
            Some(wanted) => Failure::new(Class::Config, format!("{file} has no image '{wanted}'"))
                .hint(format!("it has: {}", known.join(", "))),
            None => no_archive("it has no image"),
        }
        .into());
    }
    let blobs = std::sync::Arc::new(Blobs::Archive(archive));
    images.extend(parts_of.into_iter().map(|(reference, parts)| ImageManifests {
        reference,
        digest: None,
        annotations: HashMap::new(),
        entries: vec![PlatformEntry { claimed: None, digest: None, parts }],
        findings: Vec::new(),
        blobs: blobs.clone(),
    }));
    Ok(images)
}

/// Reads a layout with one image that was just made.
pub fn of_layout(layout: &Layout) -> Result<ImageManifests<'static>> {
    let blobs = std::sync::Arc::new(Blobs::Layout(layout.dir.clone()));
    let bytes = layout.read(&layout.descriptor)?;
    let digest = Some(layout.descriptor.digest().to_string());
    image(layout.dir.to_string(), digest, None, &bytes, true, blobs)
}
