//! Checks what the registry serves after a push.

use std::collections::BTreeSet;

use anyhow::Result;
use oci_spec::image::Descriptor;

use super::{ANOTHER, OTHER_INDEX, VerifiedImage, check_config, entries, wrong};
use crate::plan::Image;
use crate::platform::Platform;
use crate::registry::Access;
use crate::registry::Registry;
use crate::threads::parallel;

/// Checks what a registry serves under the digest that was pushed. No tag has moved yet.
pub fn registry(image: &Image, repository: &str, built: &VerifiedImage, registry: &Registry) -> Result<()> {
    let pushed = &built.digest;
    let index = registry.fetch_manifest(&format!("{repository}@{pushed}"))?;
    if !index.is_index() {
        return Err(wrong(image, format!("{repository}@{pushed} is a {}, wanted an image index", index.media_type))
            .hint(OTHER_INDEX)
            .into());
    }
    let index = index.index()?;
    let entries = entries(image, index.manifests())?;
    let platforms: Vec<(Platform, &Descriptor)> =
        image.platforms.iter().map(|platform| platform.platform).zip(entries).collect();
    let layers = parallel(&platforms, |(platform, entry)| {
        let digest = entry.digest().to_string();
        let expected = built.platforms.get(platform);
        if expected != Some(&digest) {
            let expected = expected.map_or("nothing", String::as_str);
            let what = format!("{repository} serves {digest} for {platform}, and {expected} was built");
            return Err(wrong(image, what).hint(ANOTHER).into());
        }
        let manifest = registry.fetch_manifest(&format!("{repository}@{digest}"))?.manifest()?;
        check_config(image, *platform, &registry.fetch_config(repository, &manifest)?)?;
        Ok(manifest.layers().iter().map(|layer| layer.digest().to_string()).collect::<Vec<_>>())
    })?;
    let layers: Vec<String> = layers.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
    parallel(&layers, |layer| match registry.has_blob(repository, layer, Access::Push)? {
        true => Ok(()),
        false => Err(wrong(image, format!("{repository} does not have layer {layer}"))
            .hint("the registry took it and did not keep it: tell whoever runs it")
            .into()),
    })?;
    Ok(())
}

/// Checks that every tag leads to what was pushed.
pub fn tags(image: &Image, repository: &str, built: &VerifiedImage, registry: &Registry) -> Result<()> {
    let pushed = &built.digest;
    for tag in &image.tags {
        let served = registry.fetch_manifest(&format!("{repository}:{tag}"))?.digest;
        if served != *pushed {
            let what = format!("{repository}:{tag} leads to {served}, and {pushed} was pushed");
            return Err(wrong(image, what).hint(ANOTHER).into());
        }
    }
    Ok(())
}
