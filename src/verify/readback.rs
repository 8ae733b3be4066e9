//! Checks after a push that the registry serves the pushed image.

use anyhow::Result;
use indexmap::IndexMap;
use oci_spec::image::Descriptor;

use super::built_image::ImageDigests;
use super::error::{CONCURRENT_PUSH_HINT, INSPECT_INDEX_HINT, image_failure};
use super::planned_platforms::{check_config_platform, platform_entries};
use crate::cli::ReadBack;
use crate::plan::Image;
use crate::platform::Platform;
use crate::registry::{Registry, StoredContent};
use crate::threads::parallel;

/// Checks that a registry serves the pushed image with its manifests, configs and layers. Called before any tag moves.
pub(crate) fn check_pushed(
    image: &Image,
    repository: &str,
    pushed: &ImageDigests,
    read_back: ReadBack,
    registry: &Registry,
) -> Result<()> {
    let entries = if image.has_index {
        read_index(image, repository, pushed, registry)?
    } else {
        image.platforms.iter().map(|planned| (planned.platform, pushed.image.clone())).collect()
    };
    let layers = parallel(&entries, |(platform, digest)| {
        check_pushed_platform(image, repository, pushed, *platform, digest, registry)
    })?;
    let layers: IndexMap<String, Descriptor> =
        layers.into_iter().flatten().map(|layer| (layer.digest().to_string(), layer)).collect();
    let layers: Vec<Descriptor> = layers.into_values().collect();
    parallel(&layers, |layer| check_layer(image, repository, layer, read_back, registry))?;
    Ok(())
}

/// Checks that a registry has stored a layer completely. Downloads it if the registry does not send its size.
fn check_layer(
    image: &Image,
    repository: &str,
    layer: &Descriptor,
    read_back: ReadBack,
    registry: &Registry,
) -> Result<()> {
    let digest = layer.digest().as_ref();
    let stored = match read_back {
        ReadBack::Size => registry.read_back_blob(repository, digest)?,
        ReadBack::Full => StoredContent::Unknown,
    };
    let (size, actual_digest) = match stored {
        StoredContent::Missing => {
            return Err(image_failure(&image.name, format!("layer {digest} is missing from {repository}"))
                .hint("the registry accepted the layer but did not store it: contact its operator")
                .into());
        }
        StoredContent::Stored { size: Some(size) } => (size, digest.to_owned()),
        StoredContent::Stored { size: None } | StoredContent::Unknown => {
            let hash = registry.hash_blob(repository, layer)?;
            (hash.size, format!("sha256:{}", hash.sha256))
        }
    };
    if size == layer.size() && actual_digest == digest {
        return Ok(());
    }
    let problem = if size == layer.size() {
        format!("layer {digest} in {repository} is damaged: it has digest {actual_digest}")
    } else {
        format!("layer {digest} in {repository} is damaged: it has {size} bytes instead of {}", layer.size())
    };
    Err(image_failure(&image.name, problem)
        .hint("delete the layer from the registry, or have its operator do that, and publish again")
        .into())
}

/// Reads the pushed index, and returns the digest of each platform's manifest.
fn read_index(
    image: &Image,
    repository: &str,
    pushed: &ImageDigests,
    registry: &Registry,
) -> Result<Vec<(Platform, String)>> {
    let reference = format!("{repository}@{}", pushed.image);
    let served = registry.read_back_manifest(&reference)?;
    if !served.is_index() {
        let problem = format!("{reference} has media type {}, expected an image index", served.media_type);
        return Err(image_failure(&image.name, problem).hint(INSPECT_INDEX_HINT).into());
    }
    let index = served.index()?;
    let digests = platform_entries(image, index.manifests())?.into_iter().map(|entry| entry.digest().to_string());
    Ok(image.platforms.iter().map(|planned| planned.platform).zip(digests).collect())
}

/// Checks the manifest and config of one platform, and returns its layers.
fn check_pushed_platform(
    image: &Image,
    repository: &str,
    pushed: &ImageDigests,
    platform: Platform,
    digest: &str,
    registry: &Registry,
) -> Result<Vec<Descriptor>> {
    let expected = pushed.platforms.get(&platform).map(String::as_str);
    if expected != Some(digest) {
        let expected = expected.unwrap_or("nothing");
        let problem = format!("{repository} serves {digest} for {platform}, but {expected} was built");
        return Err(image_failure(&image.name, problem).hint(CONCURRENT_PUSH_HINT).into());
    }
    let manifest = registry.read_back_manifest(&format!("{repository}@{digest}"))?.manifest()?;
    check_config_platform(image, platform, &registry.read_back_config(repository, &manifest)?)?;
    Ok(manifest.layers().clone())
}
