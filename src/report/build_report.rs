//! The versioned JSON report of `publish` and `build`.

use serde::Serialize;

use super::schema::SCHEMA_VERSION;
use crate::compile::{Artifact, ArtifactSource, Artifacts};
use crate::config::ca_certificates::CaSource;
use crate::dockerfile::pinned_bases::PinnedBases;
use crate::finding::{CheckCode, Finding};
use crate::image::{ca_certificates, scratch_rootfs};
use crate::plan::{Commit, Image, ImagePlatform};
use crate::publish::tag_decision::{TagChange, TagDecision};
use crate::publish::tags::TagMove;
use crate::verify::smoke::{SmokeResult, SmokeResults};
use crate::verify::{PlatformFacts, VerifiedImage};

/// The report on a `build` or `publish` run, printed by `--message-format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Version of the report format.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA_VERSION)))]
    pub(super) version: u32,
    /// Name and version of the tool that wrote the report.
    pub(super) tool: &'static str,
    /// Version of the Rust compiler.
    pub(super) rust_version: String,
    /// Versions of the data built into the tool, which images may contain.
    pub(super) bundled: BundledVersions,
    /// Whether cargo-auditable embedded the dependency list in the binaries.
    pub(super) auditable: bool,
    /// The git commit that was built. Null outside a git repository or if the repository has no commits.
    pub(super) commit: Option<Commit>,
    pub(super) images: Vec<ImageReport>,
    /// Whether the images were only loaded into the local Docker or Podman image store, not pushed.
    #[serde(skip)]
    pub(super) only_loaded: bool,
}

/// Versions of the data built into the tool.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct BundledVersions {
    /// Mozilla's root certificates, as the name and version of a crate.
    pub(super) ca_certificates: &'static str,
    /// Release of the IANA time zone database.
    pub(super) timezones: &'static str,
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
    /// Digest that the tags point to: that of the index, or of the only manifest if there is no index.
    pub(super) digest: String,
    /// Whether the image has an index.
    #[serde(rename = "index")]
    pub(super) has_index: bool,
    /// Whether a git tag of the commit matches the package version, optionally with a leading `v` and the name of the
    /// package. Null if no git tag names a version.
    pub(super) version_is_tag: Option<bool>,
    /// The git tag that was compared with the package version.
    #[serde(skip)]
    pub(super) git_tag: Option<String>,
    /// What happened to each tag in each repository. Empty if nothing was pushed.
    pub(super) moved: Vec<TagOutcome>,
    /// Codes of the checks whose findings were ignored.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(super) allow: Vec<CheckCode>,
    pub(super) platforms: Vec<PlatformReport>,
}

/// What happened to a tag, and the digests that it pointed to before and after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Moved"))]
pub(crate) struct TagOutcome {
    pub reference: String,
    /// Digest before the run. Null if the tag did not exist, or if the registry did not tell what it points to.
    pub from: Option<String>,
    /// Digest after the run.
    pub to: String,
    pub change: TagChange,
}

impl TagOutcome {
    /// Creates the outcome of a tag for an image whose index has the digest `new`.
    pub(crate) fn new(tag_move: &TagMove, new: &str) -> TagOutcome {
        let from = tag_move.existing.target.image().map(|image| image.digest.clone());
        let change = match tag_move.decision {
            TagDecision::Create => TagChange::Created,
            TagDecision::Move => TagChange::Moved,
            TagDecision::Unchanged => TagChange::Unchanged,
            TagDecision::KeepHigherVersion(_) => TagChange::Kept,
        };
        let to = match change {
            TagChange::Created | TagChange::Moved => new.to_owned(),
            TagChange::Unchanged | TagChange::Kept => from.clone().unwrap_or_default(),
        };
        TagOutcome { reference: tag_move.tag.reference.clone(), from, to, change }
    }

    /// Returns the reference and the digest of a tag that points to the published image.
    pub(crate) fn published(&self) -> Option<(&str, &str)> {
        (self.change != TagChange::Kept).then_some((&self.reference, &self.to))
    }
}

/// The image for one platform.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct PlatformReport {
    pub(super) platform: String,
    /// Digest of the platform's manifest.
    pub(super) digest: String,
    /// Target triple of the binaries.
    pub(super) triple: String,
    pub(super) linker: String,
    /// Base image with its digest, or `scratch`.
    pub(super) base: String,
    /// Sources of the CA certificates that were added to the image: `bundled`, `host` and paths of PEM files.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(super) ca_certificates: Vec<CaSource>,
    /// Whether the time zone database was added to the image.
    pub(super) timezones: bool,
    /// Size in bytes of the config and the layers, as stored in the registry.
    pub(super) size: Option<u64>,
    /// Configured glibc floor: the newest glibc version that the binaries may require.
    pub(super) glibc_floor: Option<String>,
    #[serde(flatten)]
    pub(super) facts: PlatformFacts,
    /// Warnings from the checks. Errors end the run, so they are not listed here.
    pub(super) findings: Vec<Finding>,
    /// Result of the smoke run. Null if no smoke run was requested.
    pub(super) smoke: Option<SmokeResult>,
    pub(super) binaries: Vec<BinaryReport>,
}

/// A binary in the image for one platform.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct BinaryReport {
    pub(super) name: String,
    /// Path of the binary in the image.
    pub(super) path: String,
    #[serde(flatten)]
    pub(super) artifact: Artifact,
}

/// The data that a [`Report`] is created from.
pub(crate) struct ReportInputs<'a> {
    pub commit: Option<&'a Commit>,
    pub images: Vec<ReportedImage<'a>>,
    pub artifacts: &'a Artifacts,
    pub source: &'a ArtifactSource,
    pub bases: &'a PinnedBases,
    /// Whether the images were only loaded into the local Docker or Podman image store, not pushed.
    pub only_loaded: bool,
}

/// An image from the plan, with the results of the run.
pub(crate) struct ReportedImage<'a> {
    pub image: &'a Image,
    pub verified: &'a VerifiedImage,
    pub smoke: &'a SmokeResults,
    /// The tags that were pushed. Empty if nothing was pushed.
    pub moved: Vec<TagOutcome>,
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
                digest: verified.digests.image.clone(),
                has_index: image.has_index,
                version_is_tag: image.git_tag.as_ref().map(|tag| tag.matches),
                git_tag: image.git_tag.as_ref().map(|tag| tag.tag.clone()),
                moved,
                allow: image.policy.allow.clone(),
                platforms: image.platforms.iter().map(platform_report).collect(),
            }
        };
        Report {
            version: SCHEMA_VERSION,
            tool: concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")),
            rust_version: source.rust_version().to_owned(),
            bundled: BundledVersions {
                ca_certificates: ca_certificates::BUNDLED_VERSION,
                timezones: scratch_rootfs::timezones_version(),
            },
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
            ca_certificates: image_platform.ca_certificates.clone(),
            timezones: image_platform.timezones,
            size: inspected.and_then(|inspected| inspected.size),
            glibc_floor: build.glibc.clone(),
            facts: inspected.map(|inspected| inspected.facts.clone()).unwrap_or_default(),
            findings: inspected.map(|inspected| inspected.findings.clone()).unwrap_or_default(),
            smoke: smoke.get(platform).cloned(),
            binaries,
        }
    }
}
