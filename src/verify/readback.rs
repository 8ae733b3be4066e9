//! Checks after a push that the registry serves the pushed image.

use std::collections::BTreeSet;

use anyhow::Result;

use super::built_image::ImageDigests;
use super::error::{CONCURRENT_PUSH_HINT, INSPECT_INDEX_HINT, image_failure};
use super::planned_platforms::{check_config_platform, platform_entries};
use crate::plan::Image;
use crate::platform::Platform;
use crate::registry::{Access, Registry};
use crate::threads::parallel;

/// Checks that a registry serves the pushed image with its manifests, configs and layers. Called before any tag moves.
pub(crate) fn check_pushed(image: &Image, repository: &str, pushed: &ImageDigests, registry: &Registry) -> Result<()> {
    let entries = if image.has_index {
        read_index(image, repository, pushed, registry)?
    } else {
        image.platforms.iter().map(|planned| (planned.platform, pushed.image.clone())).collect()
    };
    let layers = parallel(&entries, |(platform, digest)| {
        check_pushed_platform(image, repository, pushed, *platform, digest, registry)
    })?;
    let layers: BTreeSet<String> = layers.into_iter().flatten().collect();
    let layers: Vec<String> = layers.into_iter().collect();
    parallel(&layers, |layer| {
        if registry.has_blob(repository, layer, Access::Push)? {
            return Ok(());
        }
        Err(image_failure(&image.name, format!("layer {layer} is missing from {repository}"))
            .hint("the registry accepted the layer but did not store it: contact its operator")
            .into())
    })?;
    Ok(())
}

/// Reads the pushed index, and returns the digest of each platform's manifest.
fn read_index(
    image: &Image,
    repository: &str,
    pushed: &ImageDigests,
    registry: &Registry,
) -> Result<Vec<(Platform, String)>> {
    let reference = format!("{repository}@{}", pushed.image);
    let served = registry.fetch_manifest(&reference)?;
    if !served.is_index() {
        let problem = format!("{reference} has media type {}, expected an image index", served.media_type);
        return Err(image_failure(&image.name, problem).hint(INSPECT_INDEX_HINT).into());
    }
    let index = served.index()?;
    let digests = platform_entries(image, index.manifests())?.into_iter().map(|entry| entry.digest().to_string());
    Ok(image.platforms.iter().map(|planned| planned.platform).zip(digests).collect())
}

/// Checks the manifest and config of one platform, and returns the digests of its layers.
fn check_pushed_platform(
    image: &Image,
    repository: &str,
    pushed: &ImageDigests,
    platform: Platform,
    digest: &str,
    registry: &Registry,
) -> Result<Vec<String>> {
    let expected = pushed.platforms.get(&platform).map(String::as_str);
    if expected != Some(digest) {
        let expected = expected.unwrap_or("nothing");
        let problem = format!("{repository} serves {digest} for {platform}, but {expected} was built");
        return Err(image_failure(&image.name, problem).hint(CONCURRENT_PUSH_HINT).into());
    }
    let manifest = registry.fetch_manifest(&format!("{repository}@{digest}"))?.manifest()?;
    check_config_platform(image, platform, &registry.fetch_config(repository, &manifest)?)?;
    Ok(manifest.layers().iter().map(|layer| layer.digest().to_string()).collect())
}

/// Checks that every tag, given as a reference, points to the expected digest.
pub(crate) fn check_tags(image: &str, tags: &[(&str, &str)], registry: &Registry) -> Result<()> {
    for (reference, expected) in tags {
        let served = registry.fetch_manifest(reference)?.digest;
        if served != *expected {
            let problem = format!("{reference} points to {served}, but {expected} was pushed");
            return Err(image_failure(image, problem).hint(CONCURRENT_PUSH_HINT).into());
        }
    }
    Ok(())
}
