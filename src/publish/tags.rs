//! Looks up and moves tags.

use anyhow::Result;

use crate::oci::layout::{Layout, descriptor_platform};
use crate::oci::reference::repository_name;
use crate::plan::Image;
use crate::registry::Registry;
use crate::threads::parallel;

/// A tag, and the digest it points to before it is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagState {
    /// The reference, as `host/name:tag`.
    pub reference: String,
    /// The digest that the tag points to, or `None` if the tag does not exist.
    pub current: Option<String>,
}

impl TagState {
    /// Returns the current digest if moving the tag to `new` would replace it.
    pub(crate) fn replaced_digest(&self, new: &str) -> Option<&str> {
        self.current.as_deref().filter(|current| *current != new)
    }
}

/// Looks up all tags of an image in all its repositories.
pub(crate) fn look_up_tags(image: &Image, registry: &Registry) -> Result<Vec<TagState>> {
    let references: Vec<String> = image.references().collect();
    parallel(&references, |reference| {
        let current = registry.find_digest(reference)?;
        Ok(TagState { reference: reference.clone(), current })
    })
}

/// Returns the platforms that are in the tag's current index but not in `image`, whose digest is `new`. Empty if the
/// tag does not point to an index.
pub(crate) fn lost_platforms(image: &Image, tag: &TagState, new: &str, registry: &Registry) -> Result<Vec<String>> {
    let Some(replaced) = tag.replaced_digest(new) else { return Ok(Vec::new()) };
    let repository = repository_name(&tag.reference)?;
    let Some(manifest) = registry.find_manifest(&format!("{repository}@{replaced}"))? else { return Ok(Vec::new()) };
    if !manifest.is_index() {
        return Ok(Vec::new());
    }
    // If the index cannot be parsed, its platforms are unknown.
    let Ok(index) = manifest.index() else { return Ok(Vec::new()) };
    let platforms = index.manifests().iter().filter_map(|entry| descriptor_platform(entry.platform().as_ref()?));
    let is_built = |name: &String| image.platforms.iter().any(|built| built.platform.name() == name);
    Ok(platforms.filter(|name| !is_built(name)).collect())
}

/// Moves a tag to a layout's index or only manifest, unless the tag already points to it.
pub(crate) fn move_tag(tag: &TagState, layout: &Layout, registry: &Registry) -> Result<()> {
    let image = &layout.descriptor;
    if tag.current.as_deref() == Some(image.digest().as_ref()) {
        return Ok(());
    }
    registry.put_manifest(&tag.reference, &layout.read(image)?, image)
}
