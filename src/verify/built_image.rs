//! Verifies a built image before any tag moves: its index and configs must match the plan, its binaries must be
//! identical to the compiled ones, and containers must be able to start on every platform.

use std::collections::BTreeMap;

use anyhow::Result;

use super::error::image_failure;
use super::planned_platforms::{check_config_platform, platform_entries};
use super::{InspectedImage, VerifyOptions, inspect};
use crate::compile::Artifacts;
use crate::error::Failure;
use crate::oci::cache::Cache;
use crate::oci::layout::Layout;
use crate::oci::rootfs::{FileContent, FsNode, RegularFile, RootFs};
use crate::plan::{Image, ImagePlatform};
use crate::platform::Platform;
use crate::timings::Timings;

/// The digests of a built image and the result of its verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedImage {
    pub digests: ImageDigests,
    /// Result of the checks. If it contains errors, the caller decides whether to stop the run.
    pub inspected: InspectedImage,
}

/// The digests of an image's index and manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageDigests {
    /// Digest that the tags point to: that of the index, or of the only manifest if there is no index.
    pub image: String,
    /// Digest of the manifest for each platform.
    pub platforms: BTreeMap<Platform, String>,
}

/// Verifies the layout of a built image against the plan and the compiled binaries.
pub(crate) fn verify_layout(
    image: &Image,
    layout: &Layout,
    artifacts: &Artifacts,
    cache: &Cache,
    timings: &Timings,
) -> Result<VerifiedImage> {
    check_kind(image, layout.has_index())?;
    let entries = platform_entries(image, &layout.manifests)?;
    let digests = entries.iter().map(|entry| entry.digest().to_string());
    let platforms = image.platforms.iter().map(|planned| planned.platform).zip(digests).collect();
    let options = VerifyOptions { policy: image.policy.clone(), ..VerifyOptions::default() };
    let inspected =
        inspect::inspect_layout(layout, &image.name, &options, cache, timings, &|platform, root, contents| {
            let Some(planned) = image.platforms.iter().find(|planned| planned.platform == platform) else {
                return Ok(());
            };
            check_config_platform(image, platform, &contents.config)?;
            Ok(check_binaries(image, planned, root, artifacts)?)
        })?;
    Ok(VerifiedImage { digests: ImageDigests { image: layout.descriptor.digest().to_string(), platforms }, inspected })
}

/// Fails if the builder wrote an index for an image that must not have one, or none for an image that needs one.
fn check_kind(image: &Image, has_index: bool) -> Result<(), Failure> {
    match (image.has_index, has_index) {
        (true, false) => Err(image_failure(&image.name, "the builder wrote a manifest instead of an index")
            .hint("update BuildKit, or use `--engine embedded`")),
        (false, true) => Err(image_failure(&image.name, "the builder wrote an index, but index = false")
            .hint("remove attestations from `buildx-args`, or use `--engine embedded`")),
        _ => Ok(()),
    }
}

/// Checks that every binary in the image is identical to the compiled one and is executable.
fn check_binaries(image: &Image, planned: &ImagePlatform, root: &RootFs, artifacts: &Artifacts) -> Result<(), Failure> {
    for binary in &planned.binaries {
        let path = binary.path();
        let failure = |problem: String| image_failure(&image.name, format!("{}: {path} {problem}", planned.platform));
        let compiled = artifacts.get(&(planned.build.clone(), binary.clone())).map(|artifact| &artifact.sha256);
        // Do not follow links: the path must be the copied file itself.
        match root.get(path.trim_start_matches('/')) {
            Some(FsNode::File(RegularFile { content: FileContent::Program(program), attributes, .. }))
                if Some(&program.sha256) == compiled =>
            {
                if attributes.mode & 0o111 != 0o111 {
                    return Err(failure(format!(
                        "has mode {:04o}, so it is not executable by all users",
                        attributes.mode
                    ))
                    .hint("copy it with `--chmod=0755` in your template, or add {% include \"contents\" %}"));
                }
            }
            Some(FsNode::File(_)) => {
                return Err(failure("differs from the compiled binary".to_owned()).hint(
                    "do not modify binaries in the template: to strip them, set strip = true in the Cargo profile",
                ));
            }
            _ => {
                return Err(failure("is missing".to_owned())
                    .hint("to copy the binaries, add to your template: {% include \"contents\" %}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Checkout, ConfigSources, Package, PlanRequest, Workspace, resolve};

    #[test]
    fn kind_of_manifest_must_match_the_plan() {
        for (config, has_index, expected) in [
            ("", true, Ok(())),
            ("", false, Err("image 'a': the builder wrote a manifest instead of an index")),
            ("index = false", true, Err("image 'a': the builder wrote an index, but index = false")),
            ("index = false", false, Ok(())),
        ] {
            let workspace = Workspace::with_packages("/w".into(), vec![Package::for_tests("a", &["a"])]);
            let config = format!("platforms = ['linux/amd64']\n{config}");
            let sources = ConfigSources { workspace: toml::from_str(&config).unwrap(), ..ConfigSources::default() };
            let plan = resolve(&workspace, &sources, &Checkout::None, &PlanRequest::default()).unwrap();
            let result = check_kind(&plan.images[0], has_index).map_err(|failure| failure.to_string());
            assert_eq!(result, expected.map_err(str::to_owned), "{config} {has_index}");
        }
    }
}
