//! Is an image what it says? First the layout, before a tag moves; then what the registry serves.
//! Reads bytes; knows plans and layouts, never flags.

mod rootfs;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use oci_spec::image::{Descriptor, ImageConfiguration};

use crate::compile::Artifacts;
use crate::error::{Class, Failure};
use crate::image::layout::{Layout, is_attestation, name, platform_name};
use crate::plan::{Image, ImagePlatform};
use crate::platform::Platform;
use crate::publish::registry::Registry;
use crate::threads::parallel;

/// An image whose bytes were checked: the digest of each platform's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Of the index.
    pub digest: String,
    pub platforms: BTreeMap<Platform, String>,
}

const ANOTHER: &str = "somebody else may have pushed there at the same time: publish again";
const OTHER_INDEX: &str =
    "see what is there: `docker buildx imagetools inspect --raw REFERENCE`, and with -vv what built it";

/// Checks a layout against the plan: every platform once, the config's platform, and each binary's very bytes.
pub fn layout(image: &Image, layout: &Layout, artifacts: &Artifacts) -> Result<Verified> {
    let entries = entries(image, layout.index.manifests())?;
    let platforms: Vec<(&ImagePlatform, &Descriptor)> = image.platforms.iter().zip(entries).collect();
    let digests = parallel(&platforms, |(platform, entry)| {
        let (manifest, config) = layout.manifest(entry)?;
        check_config(image, platform.platform, &config)?;
        let paths: Vec<String> = platform.binaries.iter().map(crate::plan::Binary::path).collect();
        let files = rootfs::find(layout, &manifest, &paths)?;
        check_binaries(image, platform, &files, artifacts)?;
        Ok((platform.platform, entry.digest().to_string()))
    })?;
    let platforms = digests.into_iter().collect();
    Ok(Verified { digest: layout.descriptor.digest().to_string(), platforms })
}

/// Checks what a registry serves under the digest that was pushed. No tag has moved yet.
pub fn registry(image: &Image, repository: &str, built: &Verified, registry: &Registry) -> Result<()> {
    let pushed = &built.digest;
    let index = registry.pull(&format!("{repository}@{pushed}"))?;
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
        let manifest = registry.pull(&format!("{repository}@{digest}"))?.manifest()?;
        check_config(image, *platform, &registry.config(repository, &manifest)?)?;
        Ok(manifest.layers().iter().map(|layer| layer.digest().to_string()).collect::<Vec<_>>())
    })?;
    let layers: Vec<String> = layers.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
    parallel(&layers, |layer| match registry.has_blob(repository, layer)? {
        true => Ok(()),
        false => Err(wrong(image, format!("{repository} does not have layer {layer}"))
            .hint("the registry took it and did not keep it: tell whoever runs it")
            .into()),
    })?;
    Ok(())
}

/// Checks that every tag leads to what was pushed.
pub fn tags(image: &Image, repository: &str, built: &Verified, registry: &Registry) -> Result<()> {
    let pushed = &built.digest;
    for tag in &image.tags {
        let served = registry.pull(&format!("{repository}:{tag}"))?.digest;
        if served != *pushed {
            let what = format!("{repository}:{tag} leads to {served}, and {pushed} was pushed");
            return Err(wrong(image, what).hint(ANOTHER).into());
        }
    }
    Ok(())
}

/// The entry of each planned platform, in the plan's order; any other set is an error.
fn entries<'a>(image: &Image, manifests: &'a [Descriptor]) -> Result<Vec<&'a Descriptor>, Failure> {
    let images: Vec<(String, &Descriptor)> = manifests
        .iter()
        .filter(|entry| !is_attestation(entry))
        .map(|entry| {
            (entry.platform().as_ref().and_then(platform_name).unwrap_or_else(|| "no platform".to_owned()), entry)
        })
        .collect();
    if let Some((extra, _)) = images.iter().find(|(name, _)| image.platforms.iter().all(|p| p.platform.name() != name))
    {
        return Err(wrong(image, format!("the index has {extra}, which was not asked for")).hint(OTHER_INDEX));
    }
    image
        .platforms
        .iter()
        .map(|platform| {
            let mut of_platform = images.iter().filter(|(name, _)| name == platform.platform.name());
            match (of_platform.next(), of_platform.next()) {
                (Some((_, entry)), None) => Ok(*entry),
                (None, _) => Err(wrong(image, format!("the index has no {}", platform.platform)).hint(OTHER_INDEX)),
                (Some(_), Some(_)) => {
                    Err(wrong(image, format!("the index has {} twice", platform.platform)).hint(OTHER_INDEX))
                }
            }
        })
        .collect()
}

fn check_config(image: &Image, platform: Platform, config: &ImageConfiguration) -> Result<(), Failure> {
    let found = name(&config.os().to_string(), &config.architecture().to_string(), config.variant().as_deref());
    match found == platform.name() {
        true => Ok(()),
        false => Err(wrong(image, format!("wanted {platform}, and its config says {found}")).hint(
            "the base may be a single image of another platform: see it with `docker buildx imagetools inspect BASE`",
        )),
    }
}

fn check_binaries(
    image: &Image,
    platform: &ImagePlatform,
    files: &BTreeMap<String, rootfs::File>,
    artifacts: &Artifacts,
) -> Result<(), Failure> {
    for binary in &platform.binaries {
        let path = binary.path();
        let place = format!("{path} in {}", platform.platform);
        let compiled = artifacts.get(&(platform.build.clone(), binary.clone())).map(|artifact| &artifact.sha256);
        match files.get(&path) {
            None => {
                return Err(wrong(image, format!("{place} is missing"))
                    .hint("a template of your own must copy the binaries: {% include \"contents\" %}"));
            }
            Some(file) if Some(&file.sha256) != compiled => {
                return Err(wrong(image, format!("{place} is not the binary that was compiled")).hint(
                    "does the template change it? strip = true in the Cargo profile does that before it is checked",
                ));
            }
            Some(file) if file.mode & 0o111 != 0o111 => {
                return Err(wrong(image, format!("{place} is not executable: its mode is {:04o}", file.mode))
                    .hint("a template of your own must copy it with `--chmod=0755`: {% include \"contents\" %}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn wrong(image: &Image, what: String) -> Failure {
    Failure::new(Class::Verify, format!("image '{}': {what}", image.name))
}
