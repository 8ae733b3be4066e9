//! Checks that an image's index and configs match the planned platforms.

use oci_spec::image::{Descriptor, ImageConfiguration};

use super::error::{INSPECT_INDEX_HINT, image_failure};
use crate::error::Failure;
use crate::oci::layout::{config_platform, descriptor_platform, is_attestation};
use crate::plan::Image;
use crate::platform::Platform;

/// Returns the index entry of each planned platform, in plan order. Fails if a platform is missing from the
/// index, is listed twice, or is not planned.
pub(crate) fn platform_entries<'a>(image: &Image, manifests: &'a [Descriptor]) -> Result<Vec<&'a Descriptor>, Failure> {
    let failure = |problem: String| image_failure(&image.name, problem).hint(INSPECT_INDEX_HINT);
    let mut entries: Vec<(String, &Descriptor)> = Vec::new();
    for entry in manifests.iter().filter(|entry| !is_attestation(entry)) {
        let platform = entry.platform().as_ref().and_then(descriptor_platform);
        entries.push((platform.unwrap_or_else(|| "an entry without a platform".to_owned()), entry));
    }
    let is_planned = |name: &str| image.platforms.iter().any(|planned| planned.platform.name() == name);
    if let Some((extra, _)) = entries.iter().find(|(name, _)| !is_planned(name)) {
        return Err(failure(format!("the index contains {extra}, which was not requested")));
    }
    let mut found = Vec::new();
    for planned in &image.platforms {
        let platform = planned.platform;
        let mut matching = entries.iter().filter(|(name, _)| name == platform.name());
        match (matching.next(), matching.next()) {
            (Some((_, entry)), None) => found.push(*entry),
            (None, _) => return Err(failure(format!("the index does not contain {platform}"))),
            (Some(_), Some(_)) => return Err(failure(format!("the index lists {platform} twice"))),
        }
    }
    Ok(found)
}

/// Fails if the platform in an image config is not the planned one.
pub(crate) fn check_config_platform(
    image: &Image,
    platform: Platform,
    config: &ImageConfiguration,
) -> Result<(), Failure> {
    let found = config_platform(config);
    if found == platform.name() {
        return Ok(());
    }
    Err(image_failure(&image.name, format!("the index lists {platform}, but the image's config is for {found}"))
        .hint("the base may be a single-platform image: check with `docker buildx imagetools inspect BASE`"))
}
