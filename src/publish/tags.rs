//! Looking tags up and moving them.

use anyhow::Result;

use crate::oci::layout::{Layout, descriptor_platform};
use crate::plan::Image;
use crate::registry::Registry;

/// The platforms of what a tag leads to that an image has not; none where that is no index.
pub fn lost_platforms(image: &Image, reference: &str, digest: &str, registry: &Registry) -> Result<Vec<String>> {
    let Some(served) =
        registry.find_manifest(&format!("{}@{digest}", crate::oci::reference::repository_name(reference)?))?
    else {
        return Ok(Vec::new());
    };
    let Some(index) = served.index().ok().filter(|_| served.is_index()) else { return Ok(Vec::new()) };
    let had = index.manifests().iter().filter_map(|entry| descriptor_platform(entry.platform().as_ref()?));
    let has = |name: &String| image.platforms.iter().any(|of| of.platform.name() == name);
    Ok(had.filter(|name| !has(name)).collect())
}

/// Moves a tag to a layout's index, unless that is where it leads now, which is `from`.
pub fn move_tag(layout: &Layout, reference: &str, from: Option<&str>, registry: &Registry) -> Result<()> {
    if from == Some(layout.descriptor.digest().as_ref()) {
        return Ok(());
    }
    registry.put_manifest(reference, &layout.read(&layout.descriptor)?, &layout.descriptor)
}
