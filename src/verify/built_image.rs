//! Verifies an image that this run built, before any tag moves: its index and configs are those of the plan, and its
//! binaries are those that were compiled.

use std::collections::BTreeMap;

use anyhow::Result;

use super::error::image_failure;
use super::inspect::{self, InspectedImage, VerifyOptions};
use super::planned_platforms::{check_config_platform, platform_entries};
use crate::compile::Artifacts;
use crate::error::Failure;
use crate::oci::cache::Cache;
use crate::oci::layout::Layout;
use crate::oci::rootfs::{FileContent, FsNode, RegularFile, RootFs};
use crate::plan::{Image, ImagePlatform};
use crate::platform::Platform;
use crate::timings::Timings;

/// An image whose bytes were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedImage {
    pub digests: ImageDigests,
    /// The findings, which may include errors: the caller decides whether they end the run.
    pub inspected: InspectedImage,
}

/// The digests of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageDigests {
    /// The digest of the index.
    pub index: String,
    /// The digest of each platform's manifest.
    pub platforms: BTreeMap<Platform, String>,
}

/// Verifies a layout: it has every platform once, with a config for that platform and the binaries as they were
/// compiled, and every platform can start.
pub(crate) fn verify_layout(
    image: &Image,
    layout: &Layout,
    artifacts: &Artifacts,
    cache: &Cache,
    timings: &Timings,
) -> Result<VerifiedImage> {
    let entries = platform_entries(image, layout.index.manifests())?;
    let digests = entries.iter().map(|entry| entry.digest().to_string());
    let platforms = image.platforms.iter().map(|planned| planned.platform).zip(digests).collect();
    let options = VerifyOptions { policy: image.policy.clone(), ..VerifyOptions::default() };
    let inspected =
        inspect::inspect_layout(layout, &image.name, &options, cache, timings, &|platform, root, config| {
            let Some(planned) = image.platforms.iter().find(|planned| planned.platform == platform) else {
                return Ok(());
            };
            check_config_platform(image, platform, config)?;
            Ok(check_binaries(image, planned, root, artifacts)?)
        })?;
    Ok(VerifiedImage { digests: ImageDigests { index: layout.descriptor.digest().to_string(), platforms }, inspected })
}

/// Checks that the image has every binary exactly as it was compiled.
fn check_binaries(image: &Image, planned: &ImagePlatform, root: &RootFs, artifacts: &Artifacts) -> Result<(), Failure> {
    for binary in &planned.binaries {
        let path = binary.path();
        let failure = |problem: String| image_failure(&image.name, format!("{path} in {} {problem}", planned.platform));
        let compiled = artifacts.get(&(planned.build.clone(), binary.clone())).map(|artifact| &artifact.sha256);
        // The file that was copied, even if a link leads elsewhere.
        match root.get(path.trim_start_matches('/')) {
            Some(FsNode::File(RegularFile { content: FileContent::Program(program), attributes, .. }))
                if Some(&program.sha256) == compiled =>
            {
                if attributes.mode & 0o111 != 0o111 {
                    return Err(failure(format!("is not executable: its mode is {:04o}", attributes.mode))
                        .hint("a template of your own must copy it with `--chmod=0755`: {% include \"contents\" %}"));
                }
            }
            Some(FsNode::File(_)) => {
                return Err(failure("is not the binary that was compiled".to_owned()).hint(
                    "does the template change it? strip = true in the Cargo profile does that before it is checked",
                ));
            }
            _ => {
                return Err(failure("is missing".to_owned())
                    .hint("a template of your own must copy the binaries: {% include \"contents\" %}"));
            }
        }
    }
    Ok(())
}
