//! The versioned JSON report of `publish` and `build`.

use serde::Serialize;

use super::schema::SCHEMA_VERSION;
use crate::compile::{Artifact, ArtifactSource, Artifacts};
use crate::dockerfile::pinned_bases::PinnedBases;
use crate::finding::{CheckCode, Finding};
use crate::plan::tags::is_version;
use crate::plan::{Commit, Image, ImagePlatform};
use crate::verify::{PlatformFacts, SmokeResult, SmokeResults, VerifiedImage};

/// What was built or published. `--message-format json` prints it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA_VERSION)))]
    pub(super) version: u32,
    /// This program and its version.
    pub(super) tool: &'static str,
    /// Of rustc.
    pub(super) rust_version: String,
    /// Binaries hold the list of their dependencies, by cargo-auditable.
    pub(super) auditable: bool,
    /// None where there is no git, or no commit yet.
    pub(super) commit: Option<Commit>,
    pub(super) images: Vec<ImageReport>,
    /// The images were loaded into the local Docker or Podman, and not pushed.
    #[serde(skip)]
    pub(super) only_loaded: bool,
}

/// An image that was built or published.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ImageReport {
    pub(super) name: String,
    pub(super) package: String,
    pub(super) package_version: String,
    pub(super) repositories: Vec<String>,
    pub(super) tags: Vec<String>,
    /// Of the index.
    pub(super) digest: String,
    /// The tag of the commit is the package's version, with a `v` before it or none; none where the commit has no tag.
    pub(super) version_is_tag: Option<bool>,
    /// Where each reference led before, and now.
    pub(super) moved: Vec<MovedTag>,
    /// The checks that did not count, by their codes.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(super) allow: Vec<CheckCode>,
    pub(super) platforms: Vec<PlatformReport>,
}

/// A tag of an image in a registry, and what it led to before this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Moved"))]
pub(crate) struct MovedTag {
    pub reference: String,
    /// None for a tag that is new.
    pub from: Option<String>,
    pub to: String,
}

/// An image of one platform.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct PlatformReport {
    pub(super) platform: String,
    /// Of the platform's manifest.
    pub(super) digest: String,
    pub(super) triple: String,
    pub(super) linker: String,
    /// With its digest, where it is an image.
    pub(super) base: String,
    /// Bytes, of the config and the layers as they are stored.
    pub(super) size: Option<u64>,
    /// The highest glibc that binaries might ask for, as configured.
    pub(super) glibc_floor: Option<String>,
    #[serde(flatten)]
    pub(super) facts: PlatformFacts,
    /// What the checks found that counts: warnings, as an error ends a run.
    pub(super) findings: Vec<Finding>,
    /// None where no smoke run was asked for.
    pub(super) smoke: Option<SmokeResult>,
    pub(super) binaries: Vec<BinaryReport>,
}

/// A binary in an image of one platform.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct BinaryReport {
    pub(super) name: String,
    /// In the image.
    pub(super) path: String,
    #[serde(flatten)]
    pub(super) artifact: Artifact,
}

/// What a report is made from.
pub(crate) struct ReportInputs<'a> {
    pub commit: Option<&'a Commit>,
    pub images: Vec<ReportedImage<'a>>,
    pub artifacts: &'a Artifacts,
    pub source: &'a ArtifactSource,
    pub bases: &'a PinnedBases,
    /// The images were loaded into the local Docker or Podman, and not pushed.
    pub only_loaded: bool,
}

/// An image of the plan, and what the run did with it.
pub(crate) struct ReportedImage<'a> {
    pub image: &'a Image,
    pub verified: &'a VerifiedImage,
    pub smoke: &'a SmokeResults,
    /// The tags that the run moved. Empty if it pushed nothing.
    pub moved: Vec<MovedTag>,
}

impl Report {
    pub(crate) fn new(inputs: ReportInputs<'_>) -> Report {
        let ReportInputs { commit, images, artifacts, source, bases, only_loaded } = inputs;
        let image_report = |reported: ReportedImage<'_>| {
            let ReportedImage { image, verified, smoke, moved } = reported;
            let platform_report =
                |platform: &ImagePlatform| PlatformReport::new(platform, verified, smoke, artifacts, source, bases);
            ImageReport {
                name: image.name.clone(),
                package: image.package.clone(),
                package_version: image.version.to_string(),
                repositories: image.repositories.clone(),
                tags: image.tags.clone(),
                digest: verified.digests.index.clone(),
                version_is_tag: commit.and_then(|commit| is_version(commit.tag.as_deref()?, &image.version)),
                moved,
                allow: image.policy.allow.clone(),
                platforms: image.platforms.iter().map(platform_report).collect(),
            }
        };
        Report {
            version: SCHEMA_VERSION,
            tool: concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")),
            rust_version: source.rust_version().to_owned(),
            auditable: source.auditable(),
            commit: commit.cloned(),
            images: images.into_iter().map(image_report).collect(),
            only_loaded,
        }
    }
}

impl PlatformReport {
    fn new(
        image_platform: &ImagePlatform,
        verified: &VerifiedImage,
        smoke: &SmokeResults,
        artifacts: &Artifacts,
        source: &ArtifactSource,
        bases: &PinnedBases,
    ) -> PlatformReport {
        let ImagePlatform { platform, build, base, .. } = image_platform;
        let mut binaries = Vec::new();
        for binary in &image_platform.binaries {
            if let Some(artifact) = artifacts.get(&(build.clone(), binary.clone())) {
                let (name, path) = (binary.name.clone(), binary.path());
                binaries.push(BinaryReport { name, path, artifact: artifact.clone() });
            }
        }
        let inspected = verified.inspected.platforms.iter().find(|inspected| inspected.platform == platform.name());
        PlatformReport {
            platform: platform.to_string(),
            digest: verified.digests.platforms.get(platform).cloned().unwrap_or_default(),
            triple: build.triple.clone(),
            linker: source.linker_name(build),
            base: bases.reference(base).to_owned(),
            size: inspected.and_then(|inspected| inspected.size),
            glibc_floor: build.glibc.clone(),
            facts: inspected.map(|inspected| inspected.facts.clone()).unwrap_or_default(),
            findings: inspected.map(|inspected| inspected.findings.clone()).unwrap_or_default(),
            smoke: smoke.get(platform).cloned(),
            binaries,
        }
    }
}
