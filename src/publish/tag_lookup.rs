//! Looks up what tags point to. The answers help to decide which tags move, but only the answers about immutable tags are
//! needed for that, so that a damaged image in the registry does not prevent publishing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;

use super::tag_decision::{TagImage, TagTarget};
use crate::error::message_with_causes;
use crate::oci::layout::{config_platform, descriptor_platform, is_attestation};
use crate::oci::reference::repository_name;
use crate::plan::git_tags::parse_version;
use crate::process;
use crate::registry::{FetchedManifest, Registry};
use crate::threads::parallel;

pub(super) const REVISION: &str = "org.opencontainers.image.revision";
pub(super) const VERSION: &str = "org.opencontainers.image.version";

/// What a tag points to before the run, as far as the registry answers.
#[derive(Debug, Clone)]
pub(crate) struct ExistingTag {
    pub target: TagTarget,
    /// Why the image, or even its digest, cannot be read.
    pub problem: Option<String>,
    /// The index or manifest. `None` if it was not needed or cannot be read.
    pub(super) manifest: Option<FetchedManifest>,
}

impl ExistingTag {
    fn new(target: TagTarget) -> ExistingTag {
        ExistingTag { target, problem: None, manifest: None }
    }

    fn with_digest(digest: &str) -> ExistingTag {
        ExistingTag::new(TagTarget::Image(TagImage { digest: digest.to_owned(), ..TagImage::default() }))
    }
}

/// Looks up tags, given as references, side by side: first their digests, and then the images with these digests,
/// except for those that the caller already knows. Fails only if the run was interrupted.
pub(super) fn look_up(tags: &[String], known: &BTreeSet<String>, registry: &Registry) -> Result<Vec<ExistingTag>> {
    let digests = parallel(tags, |tag| unless_interrupted(registry.find_digest(tag)))?;
    let mut needed = BTreeSet::new();
    for (tag, digest) in tags.iter().zip(&digests) {
        if let Ok(Some(digest)) = digest
            && !known.contains(digest)
        {
            needed.insert((repository_name(tag)?, digest.clone()));
        }
    }
    let needed: Vec<(String, String)> = needed.into_iter().collect();
    let images = parallel(&needed, |(repository, digest)| read_image(repository, digest, registry))?;
    let images: BTreeMap<(String, String), ExistingTag> = needed.into_iter().zip(images).collect();
    let mut found = Vec::new();
    for (tag, digest) in tags.iter().zip(digests) {
        found.push(match digest {
            Ok(None) => ExistingTag::new(TagTarget::Nothing),
            Ok(Some(digest)) => match images.get(&(repository_name(tag)?, digest.clone())) {
                Some(image) => image.clone(),
                None => ExistingTag::with_digest(&digest),
            },
            Err(problem) => ExistingTag { problem: Some(problem), ..ExistingTag::new(TagTarget::Unknown) },
        });
    }
    Ok(found)
}

/// Reads the image with a digest that a tag points to. If that fails, only the digest is known.
fn read_image(repository: &str, digest: &str, registry: &Registry) -> Result<ExistingTag> {
    let with_digest = ExistingTag::with_digest(digest);
    let found = unless_interrupted(registry.find_readable_manifest(&format!("{repository}@{digest}")))?;
    let manifest = match found {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Ok(with_digest),
        Err(problem) => return Ok(ExistingTag { problem: Some(problem), ..with_digest }),
    };
    let mut image = published_image(&manifest);
    if !manifest.is_index() {
        // The tag may point to an artifact without an image config.
        let config = manifest.manifest().ok().and_then(|manifest| registry.fetch_config(repository, &manifest).ok());
        image.platforms.extend(config.as_ref().map(config_platform));
    }
    Ok(ExistingTag { manifest: Some(manifest), ..ExistingTag::new(TagTarget::Image(image)) })
}

/// Turns an error into its message, unless the run was interrupted or cancelled.
fn unless_interrupted<T>(result: Result<T>) -> Result<Result<T, String>> {
    match result {
        Err(error) if process::stopped_run(&error) => Err(error),
        Err(error) => Ok(Err(message_with_causes(&error))),
        Ok(value) => Ok(Ok(value)),
    }
}

/// Extracts what tag decisions depend on from an index or manifest. Leaves fields empty if it cannot be parsed.
/// The platform of a manifest is in its config.
fn published_image(manifest: &FetchedManifest) -> TagImage {
    let mut image = TagImage { digest: manifest.digest.clone(), ..TagImage::default() };
    let mut annotations = HashMap::new();
    if !manifest.is_index() {
        annotations = manifest.manifest().ok().and_then(|parsed| parsed.annotations().clone()).unwrap_or_default();
        image.manifests = BTreeSet::from([manifest.digest.clone()]);
    } else if let Ok(index) = manifest.index() {
        annotations = index.annotations().clone().unwrap_or_default();
        for entry in index.manifests().iter().filter(|entry| !is_attestation(entry)) {
            image.manifests.insert(entry.digest().to_string());
            image.platforms.extend(entry.platform().as_ref().and_then(descriptor_platform));
        }
    }
    // Other tools may write the version with a leading `v`.
    image.version = annotations.get(VERSION).and_then(|version| parse_version(version));
    image.revision = annotations.remove(REVISION);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_may_start_with_v() {
        for (text, expected) in [("v2.0.0", Some("2.0.0")), ("2.0.0", Some("2.0.0")), ("nightly", None)] {
            assert_eq!(parse_version(text).map(|version| version.to_string()).as_deref(), expected, "{text}");
        }
    }
}
