//! What came of a run, and what would: the versioned JSON report, the pinned references, tables for people. Pure.

pub mod checklist;
pub mod graph;
pub mod html;
pub mod plan_table;
#[cfg(test)]
pub mod schema;
pub mod table;
pub mod timings_page;

pub use checklist::shorten_digest;

use anyhow::Result;
use camino::Utf8Path;
use indexmap::IndexSet;
use serde::Serialize;

use crate::compile::{Artifact, ArtifactSource, Artifacts};
use crate::finding::catalogue::{Check, Severity};
use crate::finding::{CHECKS, Code, Finding};
use crate::image::bases::PinnedBases;
use crate::plan::tags::is_version;
use crate::plan::{Binary, Commit, ImagePlatform, Plan};
use crate::ui::wrap;
use crate::verify::{InspectedImage, InspectedPlatform, PlatformFacts, SmokeResult, VerifiedImage};

/// Of the schemas in docs/. Bumped when a field changes its meaning or goes; new fields may come at any time.
const VERSION: u32 = 1;

/// What was built or published. `--message-format json` prints it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// Of this schema.
    #[cfg_attr(test, schemars(extend("const" = VERSION)))]
    version: u32,
    /// This program and its version.
    tool: &'static str,
    /// Of rustc.
    rust_version: String,
    /// Binaries hold the list of their dependencies, by cargo-auditable.
    auditable: bool,
    /// None where there is no git, or no commit yet.
    commit: Option<Commit>,
    images: Vec<ImageReport>,
    #[serde(skip)]
    pub only_loaded: bool,
}

/// An image that was built or published.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ImageReport {
    name: String,
    package: String,
    package_version: String,
    repositories: Vec<String>,
    tags: Vec<String>,
    /// Of the index.
    digest: String,
    /// The tag of the commit is the package's version, with a `v` before it or none; none where the commit has no tag.
    version_is_tag: Option<bool>,
    /// Where each reference led before, and now.
    moved: Vec<MovedTag>,
    /// The checks that did not count, by their codes.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    allow: Vec<Code>,
    platforms: Vec<PlatformReport>,
}

/// A tag of an image in a registry, and what it led to before this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Moved"))]
pub struct MovedTag {
    pub reference: String,
    /// None for a tag that is new.
    pub from: Option<String>,
    pub to: String,
}

/// An image of one platform.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PlatformReport {
    platform: String,
    /// Of the platform's manifest.
    digest: String,
    triple: String,
    linker: String,
    /// With its digest, where it is an image.
    base: String,
    /// Bytes, of the config and the layers as they are stored.
    size: Option<u64>,
    /// The highest glibc that binaries might ask for, as configured.
    glibc_floor: Option<String>,
    #[serde(flatten)]
    facts: PlatformFacts,
    /// What the checks found that counts: warnings, as an error ends a run.
    findings: Vec<Finding>,
    /// None where no smoke run was asked for.
    smoke: Option<SmokeResult>,
    binaries: Vec<BinaryReport>,
}

/// A binary in an image of one platform.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct BinaryReport {
    name: String,
    /// In the image.
    path: String,
    #[serde(flatten)]
    artifact: Artifact,
}

impl Report {
    /// `verified` is in the plan's order.
    pub fn new(
        plan: &Plan,
        artifacts: &Artifacts,
        source: &ArtifactSource,
        bases: &PinnedBases,
        verified: &[&VerifiedImage],
    ) -> Report {
        let images = plan.images.iter().zip(verified).map(|(image, verified)| ImageReport {
            name: image.name.clone(),
            package: image.package.clone(),
            package_version: image.version.to_string(),
            repositories: image.repositories.clone(),
            tags: image.tags.clone(),
            digest: verified.digest.clone(),
            version_is_tag: plan.commit.as_ref().and_then(|commit| is_version(commit.tag.as_deref()?, &image.version)),
            moved: Vec::new(),
            allow: image.policy.allow.clone(),
            platforms: image
                .platforms
                .iter()
                .map(|platform| platform_report(platform, artifacts, source, bases, verified))
                .collect(),
        });
        Report {
            version: VERSION,
            tool: concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")),
            rust_version: source.rust_version().to_owned(),
            auditable: source.auditable(),
            commit: plan.commit.clone(),
            images: images.collect(),
            only_loaded: false,
        }
    }

    /// Notes where the tags of an image led before, and now.
    pub fn note_moved(&mut self, name: &str, moved: Vec<MovedTag>) {
        if let Some(image) = self.images.iter_mut().find(|image| image.name == name) {
            image.moved = moved;
        }
    }

    /// `repository:tag@sha256:…` for each image: the first repository, or the bare name where nothing is pushed. What
    /// was loaded, and not pushed, is known by its tag alone: one platform of it has another digest.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.images.iter().map(|image| {
            let repository = image.repositories.first().unwrap_or(&image.name);
            let reference = format!("{repository}:{}", image.tags.first().map_or("latest", String::as_str));
            if self.only_loaded { reference } else { format!("{reference}@{}", image.digest) }
        })
    }

    /// Writes the references, and the digests in the form of `sha256sum`, of every repository.
    pub fn write_files(&self, refs: Option<&Utf8Path>, digests: Option<&Utf8Path>) -> Result<()> {
        let all = || {
            self.images.iter().flat_map(|image| image.repositories.iter().map(move |repository| (image, repository)))
        };
        if let Some(path) = refs {
            let line = |(image, repository): (&ImageReport, &String)| {
                format!("{repository}:{}@{}\n", image.tags.first().map_or("latest", String::as_str), image.digest)
            };
            fs_err::write(path, all().map(line).collect::<String>())?;
        }
        if let Some(path) = digests {
            let line = |(image, repository): (&ImageReport, &String)| {
                format!("{}  {repository}\n", image.digest.trim_start_matches("sha256:"))
            };
            fs_err::write(path, all().map(line).collect::<String>())?;
        }
        Ok(())
    }
}

fn platform_report(
    platform: &ImagePlatform,
    artifacts: &Artifacts,
    source: &ArtifactSource,
    bases: &PinnedBases,
    verified: &VerifiedImage,
) -> PlatformReport {
    let binary = |binary: &Binary| {
        let artifact = artifacts.get(&(platform.build.clone(), binary.clone()))?.clone();
        Some(BinaryReport { name: binary.name.clone(), path: binary.path(), artifact })
    };
    let inspected = verified.inspected.platforms.iter().find(|of| of.platform == platform.platform.name());
    PlatformReport {
        platform: platform.platform.to_string(),
        digest: verified.platforms.get(&platform.platform).cloned().unwrap_or_default(),
        triple: platform.build.triple.clone(),
        linker: source.linker_name(&platform.build),
        base: bases.get(&(platform.base.clone(), platform.platform)).unwrap_or(&platform.base).clone(),
        size: inspected.and_then(|of| of.size),
        glibc_floor: platform.build.glibc.clone(),
        facts: inspected.map(|of| of.facts.clone()).unwrap_or_default(),
        findings: inspected.map(|of| of.findings.clone()).unwrap_or_default(),
        smoke: verified.smoke.get(&platform.platform).cloned(),
        binaries: platform.binaries.iter().filter_map(binary).collect(),
    }
}

/// What was verified, as a table: a block per image, a row per platform.
pub fn verified_table(images: &[InspectedImage], width: Option<usize>) -> String {
    let block = |image: &InspectedImage| {
        let digest = image.digest.as_ref().filter(|digest| !image.reference.contains(*digest));
        // Of a layout's image this is no name.
        let joint = if ["oci:", "oci-archive:"].iter().any(|transport| image.reference.starts_with(transport)) {
            " "
        } else {
            "@"
        };
        let mut lines =
            vec![format!("{}{}", image.reference, digest.map(|digest| format!("{joint}{digest}")).unwrap_or_default())];
        let mut rows = vec![["PLATFORM", "STARTS", "LIBC", "BASE", "RESULT"].map(str::to_owned)];
        rows.extend(image.platforms.iter().map(|platform| {
            let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let libc = match (&platform.facts.glibc, &platform.facts.libc) {
                (Some(wants), Some(has)) => format!("{has}, wants {wants}"),
                (Some(wants), None) => format!("wants glibc {wants}"),
                (None, libc) => said(libc),
            };
            let of = &platform.facts;
            [platform.platform.clone(), said(&of.program), libc, said(&of.distribution), result(image, platform)]
        }));
        lines.extend(table::rows(&rows, width));
        lines.join("\n")
    };
    images.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

/// All checks, a line each.
pub fn checks_table(width: Option<usize>) -> String {
    let widest = CHECKS.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let line = |check: &&Check| {
        let severity = if check.severity == Severity::Warning { "warning" } else { "error" };
        wrap::beside(&format!("{}  {:widest$}  {severity:7}  ", check.code, check.name), &check.summary(), width)
    };
    CHECKS.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `ok`, or the codes of what was found, also of what the index has of this platform; and of what is allowed.
fn result(image: &InspectedImage, platform: &InspectedPlatform) -> String {
    let of_index = image.findings.iter().filter(|finding| finding.platform.as_ref() == Some(&platform.platform));
    let codes: IndexSet<&str> = of_index.chain(&platform.findings).map(|finding| finding.code.0.code).collect();
    let found = if codes.is_empty() { "ok".to_owned() } else { codes.into_iter().collect::<Vec<_>>().join(" ") };
    let allowed: Vec<&str> = platform.allowed.iter().map(String::as_str).collect();
    if allowed.is_empty() { found } else { format!("{found} ({} allowed)", allowed.join(" ")) }
}

/// The same as JSON, versioned like the report.
pub fn verified_json(images: &[InspectedImage], failed: &[FailedVerification]) -> Result<String> {
    Ok(serde_json::to_string_pretty(&VerifyReport { version: VERSION, images, failed })?)
}

/// An image that cannot be had.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Unverified"))]
pub struct FailedVerification {
    /// As it was typed.
    pub reference: String,
    pub error: String,
}

/// What was found in images of anybody. `verify --message-format json` prints it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Verification"))]
struct VerifyReport<'a> {
    /// Of this schema.
    #[cfg_attr(test, schemars(extend("const" = VERSION)))]
    version: u32,
    images: &'a [InspectedImage],
    failed: &'a [FailedVerification],
}
