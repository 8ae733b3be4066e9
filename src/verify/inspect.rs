//! Runs all checks on an image, from its manifests to its programs. Each layer is read only once, even if several
//! platforms share it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;

use super::PlatformFacts;
use super::blobs::{Blobs, LayerBlob, LayerReading};
use super::check_platform::{self, CheckedPlatform};
use super::manifests::{self, ImageManifests, PlatformContents, PlatformEntry};
use super::policy::{check_annotations, check_size};
use crate::config::policy::Policy;
use crate::finding::{
    DUPLICATE_PLATFORM, Finding, LAYER_COUNT, MISSING_PLATFORM, PLATFORM_MISMATCH, UNCHECKED_PLATFORM, UNREADABLE,
    WRONG_DIFF_ID, printable,
};
use crate::oci::cache::Cache;
use crate::oci::layout::{Layout, config_platform};
use crate::oci::rootfs::RootFs;
use crate::oci::transport::ImageLocation;
use crate::platform::Platform;
use crate::registry::Registry;
use crate::threads::parallel;
use crate::timings::{Phase, Timings};

/// Options for verifying an image.
#[derive(Debug, Clone, Default)]
pub(crate) struct VerifyOptions {
    /// Platforms to verify. All of them must exist. If empty, every platform is verified.
    pub platforms: Vec<Platform>,
    /// Platforms that the index must contain.
    pub required: Vec<Platform>,
    pub policy: Policy,
}

/// The result of verifying an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Inspected"))]
pub(crate) struct InspectedImage {
    pub reference: String,
    /// Digest of the index, or of the manifest if there is no index.
    pub digest: Option<String>,
    /// Whether the image has an index. Without one, runtimes pull the image on any platform.
    #[serde(rename = "index")]
    pub has_index: bool,
    /// Findings about the index.
    pub findings: Vec<Finding>,
    /// Codes of the allowed findings about the index.
    pub allowed: BTreeSet<String>,
    pub platforms: Vec<InspectedPlatform>,
}

/// The result of verifying one platform of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct InspectedPlatform {
    pub platform: String,
    /// Digest of the manifest.
    pub digest: Option<String>,
    /// Total size of the stored config and layers, in bytes.
    pub size: Option<u64>,
    #[serde(flatten)]
    pub facts: PlatformFacts,
    pub findings: Vec<Finding>,
    /// Codes of the allowed findings.
    pub allowed: BTreeSet<String>,
}

impl InspectedImage {
    /// Returns a note on what the image gives up by having no index. Archives written by `docker save` never have one.
    pub(crate) fn no_index_note(&self) -> Option<String> {
        if self.has_index || self.digest.is_none() {
            return None;
        }
        let platform = self.platforms.first().filter(|platform| platform.platform != UNKNOWN)?;
        Some(format!(
            "{} is a manifest without an index: it cannot have attestations or platforms other than {}, and runtimes \
             pull it on any platform",
            self.reference, platform.platform
        ))
    }

    /// Returns the findings about the index and about every platform.
    pub(crate) fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(self.platforms.iter().flat_map(|platform| &platform.findings))
    }
}

/// An additional check, called with each platform's merged file system and the contents of its manifest.
pub(crate) type PlatformCheck<'a> = dyn Fn(Platform, &RootFs, &PlatformContents) -> Result<()> + Sync + 'a;

/// Verifies all images at a location.
pub(crate) fn inspect_location(
    location: &ImageLocation,
    options: &VerifyOptions,
    registry: &Registry,
    cache: &Cache,
) -> Result<Vec<InspectedImage>> {
    let timings = Timings::default();
    let inspection = Inspection { name: "", options, cache, timings: &timings, extra_check: &|_, _, _| Ok(()) };
    manifests::read_location(location, registry, cache)?.into_iter().map(|image| inspection.image(image)).collect()
}

/// Verifies the OCI layout of a built image. `name` identifies the image in the timing report.
pub(crate) fn inspect_layout(
    layout: &Layout,
    name: &str,
    options: &VerifyOptions,
    cache: &Cache,
    timings: &Timings,
    extra_check: &PlatformCheck<'_>,
) -> Result<InspectedImage> {
    Inspection { name, options, cache, timings, extra_check }.image(manifests::read_layout(layout)?)
}

struct Inspection<'a> {
    name: &'a str,
    options: &'a VerifyOptions,
    cache: &'a Cache,
    timings: &'a Timings,
    extra_check: &'a PlatformCheck<'a>,
}

/// A platform entry and its display name.
struct NamedPlatform {
    name: String,
    entry: PlatformEntry,
}

/// The result of reading each layer, by [`LayerBlob::key`].
type LayerReadings = BTreeMap<String, LayerReading>;

/// The display name of a platform whose manifest or config cannot be read.
const UNKNOWN: &str = "unknown";
const UPDATE_BOTH: &str = "publish the image again with a tool that updates the manifest and the config together";

impl Inspection<'_> {
    fn image(&self, manifests: ImageManifests<'_>) -> Result<InspectedImage> {
        let ImageManifests { reference, digest, has_index, annotations, entries, mut findings, blobs } = manifests;
        let mut platforms: Vec<NamedPlatform> =
            entries.into_iter().map(|entry| NamedPlatform { name: platform_name(&entry), entry }).collect();
        findings.extend(self.check_platforms(&platforms, has_index));
        findings.extend(check_annotations(&self.options.policy, &annotations));
        // Keep platforms that cannot be read, because they may be among the requested ones.
        platforms.retain(|platform| self.is_requested(&platform.name) || platform.name == UNKNOWN);
        let layers = self.read_layers(&platforms, &blobs)?;
        let inspected = parallel(&platforms, |platform| {
            let _checked = self.timings.span(Phase::Verify, format_args!("{} {}", platform.name, self.name));
            self.platform(platform, &layers)
        })?;
        let allowed = self.take_allowed(&mut findings);
        Ok(InspectedImage { reference, digest, has_index, findings, allowed, platforms: inspected })
    }

    fn is_requested(&self, name: &str) -> bool {
        let requested = &self.options.platforms;
        requested.is_empty() || requested.iter().any(|platform| platform.name() == name)
    }

    /// Removes the findings that the policy allows, and returns their codes.
    fn take_allowed(&self, findings: &mut Vec<Finding>) -> BTreeSet<String> {
        let allowed = findings.extract_if(.., |finding| self.options.policy.allow.contains(&finding.code));
        allowed.map(|finding| finding.code.to_string()).collect()
    }

    /// Checks that the image contains every required platform, and that its index lists no platform twice.
    fn check_platforms(&self, platforms: &[NamedPlatform], has_index: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut seen = BTreeSet::new();
        for NamedPlatform { name, .. } in platforms {
            // Indexes may list a Windows platform once per Windows version.
            if !seen.insert(name.as_str()) && !name.starts_with("windows/") {
                let fix = "list each platform once: some runtimes use the first entry, others the last";
                let reason = format!("the index lists {name} twice");
                findings.push(DUPLICATE_PLATFORM.finding(reason, fix).for_platform(name));
            }
        }
        let expected: BTreeSet<&Platform> = self.options.required.iter().chain(&self.options.platforms).collect();
        for platform in expected.into_iter().filter(|platform| !seen.contains(platform.name())) {
            let existing = seen.iter().copied().collect::<Vec<_>>().join(", ");
            let except = if existing.is_empty() { String::new() } else { format!(", only {existing}") };
            let container = if has_index { "index" } else { "image" };
            let reason = format!("the {container} does not contain {}{except}", long_name(platform.name()));
            let fix = format!("publish this platform too: `--platform {platform}`");
            findings.push(MISSING_PLATFORM.finding(reason, fix).for_platform(platform.name()));
        }
        findings
    }

    /// Reads the layers of all platforms in parallel. Each layer is read once.
    fn read_layers(&self, platforms: &[NamedPlatform], blobs: &Blobs<'_>) -> Result<LayerReadings> {
        let mut unique: BTreeMap<String, &LayerBlob> = BTreeMap::new();
        for NamedPlatform { name, entry } in platforms {
            // Unsupported platforms are not checked, so their layers are not needed.
            if let Ok(contents) = &entry.contents
                && name.parse::<Platform>().is_ok()
            {
                unique.extend(contents.layers.iter().map(|layer| (layer.key(), layer)));
            }
        }
        let unique: Vec<(String, &LayerBlob)> = unique.into_iter().collect();
        let read = parallel(&unique, |(key, layer)| {
            let mut span = self.timings.span(Phase::Verify, "read");
            span.digest(layer.name());
            Ok((key.clone(), blobs.read_layer(layer, self.cache)?))
        })?;
        Ok(read.into_iter().collect())
    }

    fn platform(&self, platform: &NamedPlatform, layers: &LayerReadings) -> Result<InspectedPlatform> {
        let NamedPlatform { name, entry } = platform;
        let checked = match &entry.contents {
            Ok(contents) => self.check_contents(name, contents, layers)?,
            Err(findings) => CheckedPlatform { facts: PlatformFacts::default(), findings: findings.clone() },
        };
        let mut findings = checked.findings.into_iter().map(|finding| finding.for_platform(name)).collect();
        let allowed = self.take_allowed(&mut findings);
        Ok(InspectedPlatform {
            platform: name.clone(),
            digest: entry.digest.clone(),
            size: entry.contents.as_ref().ok().and_then(|contents| contents.size),
            facts: checked.facts,
            findings,
            allowed,
        })
    }

    fn check_contents(
        &self,
        name: &str,
        contents: &PlatformContents,
        layers: &LayerReadings,
    ) -> Result<CheckedPlatform> {
        let mut findings = Vec::new();
        let configured = config_platform(&contents.config);
        if configured != name {
            let reason = format!(
                "the index lists {}, but the image's config is for {}",
                long_name(name),
                long_name(&configured)
            );
            let fix = "use a base that supports this platform: check with `docker buildx imagetools inspect BASE`";
            findings.push(PLATFORM_MISMATCH.finding(reason, fix));
        }
        let Ok(platform) = name.parse::<Platform>() else {
            let reason = "the platform is not supported, so its layers were not checked";
            findings.push(UNCHECKED_PLATFORM.finding(
                reason,
                "select the supported platforms with `--platform`, or ignore this finding with `--allow MA006`",
            ));
            return Ok(CheckedPlatform { facts: PlatformFacts::default(), findings });
        };
        let mut facts = PlatformFacts::default();
        // Checking an incomplete file system would produce false findings.
        if let Some(root) = merge_layers(contents, layers, &mut findings) {
            (self.extra_check)(platform, &root, contents)?;
            let checked =
                check_platform::check(&root, platform, &contents.config, &contents.health_check, &self.options.policy);
            facts = checked.facts;
            findings.extend(checked.findings);
        }
        findings.extend(contents.size.and_then(|size| check_size(&self.options.policy, size)));
        Ok(CheckedPlatform { facts, findings })
    }
}

/// Returns a platform's name from the index or, if the index does not name it, from the config.
fn platform_name(entry: &PlatformEntry) -> String {
    let name = match (&entry.claimed, &entry.contents) {
        (Some(claimed), _) => claimed.clone(),
        (None, Ok(contents)) => config_platform(&contents.config),
        (None, Err(_)) => UNKNOWN.to_owned(),
    };
    printable(&name)
}

/// Merges all layers into one file system. Returns `None` if a layer cannot be read or unpacked.
fn merge_layers(contents: &PlatformContents, layers: &LayerReadings, findings: &mut Vec<Finding>) -> Option<RootFs> {
    let diff_ids = contents.config.rootfs().diff_ids();
    if diff_ids.len() != contents.layers.len() {
        let reason = format!(
            "the manifest lists {} layers, but the config lists {} diff IDs",
            contents.layers.len(),
            diff_ids.len()
        );
        findings.push(LAYER_COUNT.finding(reason, UPDATE_BOTH));
    }
    let mut root = Some(RootFs::default());
    for (index, layer) in contents.layers.iter().enumerate() {
        let Some(reading) = layers.get(&layer.key()) else { continue };
        findings.extend(reading.findings.iter().cloned());
        let Some(scanned) = &reading.scanned else {
            root = None;
            continue;
        };
        if let Some(diff_id) = diff_ids.get(index)
            && *diff_id != scanned.diff_id
            && reading.findings.is_empty()
        {
            let reason =
                format!("layer {} has diff ID {}, but the config lists {diff_id}", layer.name(), scanned.diff_id);
            findings.push(WRONG_DIFF_ID.finding(reason, UPDATE_BOTH));
        }
        if let Some(lower) = &mut root
            && let Err(error) = lower.apply(&scanned.changes)
        {
            let reason = format!("layer {} cannot be unpacked: {error}", layer.name());
            let fix = "rebuild the image so that each hard link is in the same layer as its target";
            findings.push(UNREADABLE.finding(reason, fix));
            root = None;
        }
    }
    root
}

/// Returns the full name of a platform as Docker prints it, such as `linux/arm64/v8` for `linux/arm64`.
fn long_name(name: &str) -> String {
    if name == "linux/arm64" { "linux/arm64/v8".to_owned() } else { name.to_owned() }
}
