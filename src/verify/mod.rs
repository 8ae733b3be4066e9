//! Is an image what it says, and can it start? First the layout, before a tag moves; then what the registry serves; and
//! any image at all, of whoever made it. Reads bytes, and runs nothing but what `smoke` is asked to; knows plans and
//! layouts, never flags.

pub mod blobs;
pub mod checks;
pub mod dynamic_link;
pub mod dynamic_loader;
pub mod exec_chain;
pub mod exec_context;
pub mod exec_wrappers;
pub mod inspect;
pub mod manifests;
pub mod policy;
pub mod readback;
pub mod smoke;

pub use checks::PlatformFacts;
pub use inspect::{InspectedImage, InspectedPlatform, VerifyOptions, images};
pub use smoke::SmokeResult;

use std::collections::BTreeMap;

use anyhow::Result;
use oci_spec::image::{Descriptor, ImageConfiguration};

use crate::compile::Artifacts;
use crate::error::{Class, Failure};
use crate::oci::cache::Cache;
use crate::oci::layout::{Layout, descriptor_platform, format_platform, is_attestation};
use crate::oci::rootfs::{FileContent, FsNode, RegularFile, RootFs};
use crate::plan::{Image, ImagePlatform};
use crate::platform::Platform;
use crate::timings::Timings;

/// An image whose bytes were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedImage {
    /// Of the index.
    pub digest: String,
    /// The digest of each platform's manifest.
    pub platforms: BTreeMap<Platform, String>,
    /// What was found, errors among it: it is for the caller to stop there.
    pub inspected: InspectedImage,
    /// What came of running each platform, where that was asked for.
    pub smoke: BTreeMap<Platform, SmokeResult>,
}

pub const ANOTHER: &str = "somebody else may have pushed there at the same time: publish again";
pub const OTHER_INDEX: &str =
    "see what is there: `docker buildx imagetools inspect --raw REFERENCE`, and with -vv what built it";

/// Checks a layout against the plan: every platform once, the config's platform, each binary's very bytes, and that every
/// platform can start.
pub fn layout(
    image: &Image,
    layout: &Layout,
    artifacts: &Artifacts,
    cache: &Cache,
    timings: &Timings,
) -> Result<VerifiedImage> {
    let entries = entries(image, layout.index.manifests())?;
    let platforms: BTreeMap<Platform, String> =
        image.platforms.iter().zip(entries).map(|(of, entry)| (of.platform, entry.digest().to_string())).collect();
    let wanted = VerifyOptions { policy: image.policy.clone(), ..VerifyOptions::default() };
    let inspected = inspect::layout(layout, &wanted, cache, (timings, &image.name), &|platform, tree, config| {
        let Some(of) = image.platforms.iter().find(|of| of.platform == platform) else { return Ok(()) };
        check_config(image, platform, config)?;
        Ok(check_binaries(image, of, tree, artifacts)?)
    })?;
    Ok(VerifiedImage { digest: layout.descriptor.digest().to_string(), platforms, inspected, smoke: BTreeMap::new() })
}

/// The entry of each planned platform, in the plan's order; any other set is an error.
pub fn entries<'a>(image: &Image, manifests: &'a [Descriptor]) -> Result<Vec<&'a Descriptor>, Failure> {
    let images: Vec<(String, &Descriptor)> = manifests
        .iter()
        .filter(|entry| !is_attestation(entry))
        .map(|entry| {
            (entry.platform().as_ref().and_then(descriptor_platform).unwrap_or_else(|| "no platform".to_owned()), entry)
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

pub fn check_config(image: &Image, platform: Platform, config: &ImageConfiguration) -> Result<(), Failure> {
    let found =
        format_platform(&config.os().to_string(), &config.architecture().to_string(), config.variant().as_deref());
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
    tree: &RootFs,
    artifacts: &Artifacts,
) -> Result<(), Failure> {
    for binary in &platform.binaries {
        let path = binary.path();
        let place = format!("{path} in {}", platform.platform);
        let compiled = artifacts.get(&(platform.build.clone(), binary.clone())).map(|artifact| &artifact.sha256);
        // Where it was copied, and not where a link leads.
        match tree.get(path.trim_start_matches('/')) {
            Some(FsNode::File(RegularFile { content: FileContent::Program(program), attributes, .. }))
                if Some(&program.sha256) == compiled =>
            {
                if attributes.mode & 0o111 != 0o111 {
                    return Err(wrong(
                        image,
                        format!("{place} is not executable: its mode is {:04o}", attributes.mode),
                    )
                    .hint("a template of your own must copy it with `--chmod=0755`: {% include \"contents\" %}"));
                }
            }
            Some(FsNode::File(_)) => {
                return Err(wrong(image, format!("{place} is not the binary that was compiled")).hint(
                    "does the template change it? strip = true in the Cargo profile does that before it is checked",
                ));
            }
            _ => {
                return Err(wrong(image, format!("{place} is missing"))
                    .hint("a template of your own must copy the binaries: {% include \"contents\" %}"));
            }
        }
    }
    Ok(())
}

pub fn wrong(image: &Image, what: String) -> Failure {
    Failure::new(Class::Verify, format!("image '{}': {what}", image.name))
}
