//! Runs all checks of an image, from its manifests to its programs. Every layer is read once, however many platforms
//! share it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use oci_spec::image::ImageConfiguration;
use serde::Serialize;

use super::blobs::{Blobs, LayerBlob, LayerReading};
use super::checks::{self, CheckedPlatform, PlatformFacts};
use super::manifests::{self, ImageManifests, PlatformContents, PlatformEntry, config_platform};
use super::policy::{check_annotations, check_size};
use crate::config::policy::Policy;
use crate::finding::{
    DUPLICATE_PLATFORM, Finding, LAYER_COUNT, MISSING_PLATFORM, PLATFORM_MISMATCH, UNCHECKED_PLATFORM, UNREADABLE,
    WRONG_DIFF_ID, printable,
};
use crate::oci::cache::Cache;
use crate::oci::layout::Layout;
use crate::oci::rootfs::RootFs;
use crate::oci::transport::ImageLocation;
use crate::platform::Platform;
use crate::registry::Registry;
use crate::threads::parallel;
use crate::timings::{Phase, Timings};

/// Requirements for an image.
#[derive(Debug, Clone, Default)]
pub(crate) struct VerifyOptions {
    /// The platforms to verify, which must exist; all if empty.
    pub platforms: Vec<Platform>,
    /// Platforms that must exist.
    pub required: Vec<Platform>,
    pub policy: Policy,
}

/// What an image is, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Inspected"))]
pub(crate) struct InspectedImage {
    pub reference: String,
    /// Of the index, or of the manifest where there is no index.
    pub digest: Option<String>,
    /// About the index.
    pub findings: Vec<Finding>,
    /// The codes of what was found about the index, and is allowed.
    pub allowed: BTreeSet<String>,
    pub platforms: Vec<InspectedPlatform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct InspectedPlatform {
    pub platform: String,
    /// Of the manifest.
    pub digest: Option<String>,
    /// Bytes, of the config and the layers as they are stored.
    pub size: Option<u64>,
    #[serde(flatten)]
    pub facts: PlatformFacts,
    pub findings: Vec<Finding>,
    /// The codes of what was found, and is allowed.
    pub allowed: BTreeSet<String>,
}

impl InspectedImage {
    /// Returns the findings about the index and about every platform.
    pub(crate) fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(self.platforms.iter().flat_map(|platform| &platform.findings))
    }
}

/// An additional check of a platform, given its merged file system and its config.
pub(crate) type PlatformCheck<'a> = dyn Fn(Platform, &RootFs, &ImageConfiguration) -> Result<()> + Sync + 'a;

/// Inspects all images at a location.
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

/// Inspects a layout of one image that this run built. `name` is the image's name in the timings.
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

/// A platform with its name.
struct NamedPlatform {
    name: String,
    entry: PlatformEntry,
}

/// What each layer's blob holds, by [`LayerBlob::key`].
type LayerReadings = BTreeMap<String, LayerReading>;

/// The name of a platform whose manifest or config cannot be read.
const UNKNOWN: &str = "unknown";

impl Inspection<'_> {
    fn image(&self, manifests: ImageManifests<'_>) -> Result<InspectedImage> {
        let ImageManifests { reference, digest, annotations, entries, mut findings, blobs } = manifests;
        let mut platforms: Vec<NamedPlatform> =
            entries.into_iter().map(|entry| NamedPlatform { name: platform_name(&entry), entry }).collect();
        findings.extend(self.check_index(&platforms));
        findings.extend(check_annotations(&self.options.policy, &annotations));
        // An unreadable platform may be one of the requested ones.
        platforms.retain(|platform| self.is_requested(&platform.name) || platform.name == UNKNOWN);
        let layers = self.read_layers(&platforms, &blobs)?;
        let inspected = parallel(&platforms, |platform| {
            let _checked = self.timings.span(Phase::Verify, format_args!("{} {}", platform.name, self.name));
            self.platform(platform, &layers)
        })?;
        let allowed = self.take_allowed(&mut findings);
        Ok(InspectedImage { reference, digest, findings, allowed, platforms: inspected })
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

    /// Checks that the index has no platform twice, and all that must exist.
    fn check_index(&self, platforms: &[NamedPlatform]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut seen = BTreeSet::new();
        for NamedPlatform { name, .. } in platforms {
            // Windows images have one entry per Windows version.
            if !seen.insert(name.as_str()) && !name.starts_with("windows/") {
                let fix = "list each platform once: runtimes take the first, others the last";
                findings
                    .push(DUPLICATE_PLATFORM.finding(format!("the index has {name} twice"), fix).for_platform(name));
            }
        }
        let expected: BTreeSet<&Platform> = self.options.required.iter().chain(&self.options.platforms).collect();
        for platform in expected.into_iter().filter(|platform| !seen.contains(platform.name())) {
            let actual = seen.iter().copied().collect::<Vec<_>>().join(", ");
            let reason = format!("wanted {}, actual: {actual}", long_name(platform.name()));
            let fix = format!("publish it as well: `--platform {platform}`");
            findings.push(MISSING_PLATFORM.finding(reason, fix).for_platform(platform.name()));
        }
        findings
    }

    /// Reads the layers of all platforms, each once, a few at a time.
    fn read_layers(&self, platforms: &[NamedPlatform], blobs: &Blobs<'_>) -> Result<LayerReadings> {
        let mut unique: BTreeMap<String, &LayerBlob> = BTreeMap::new();
        for NamedPlatform { name, entry } in platforms {
            // Platforms that this tool does not know are not checked.
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
            let reason = format!("the index says {}, and its config {}", long_name(name), long_name(&configured));
            let fix = "build it from a base of this platform: see it with `docker buildx imagetools inspect BASE`";
            findings.push(PLATFORM_MISMATCH.finding(reason, fix));
        }
        let Ok(platform) = name.parse::<Platform>() else {
            let reason = "nothing of it is checked: the platform is not one of those that are known here";
            findings.push(UNCHECKED_PLATFORM.finding(reason, "leave it out with `--platform`, or allow this finding"));
            return Ok(CheckedPlatform { facts: PlatformFacts::default(), findings });
        };
        let mut facts = PlatformFacts::default();
        // An incomplete file system proves nothing.
        if let Some(root) = merge_layers(contents, layers, &mut findings) {
            (self.extra_check)(platform, &root, &contents.config)?;
            let checked = checks::check(&root, platform, &contents.config, &self.options.policy);
            facts = checked.facts;
            findings.extend(checked.findings);
        }
        findings.extend(contents.size.and_then(|size| check_size(&self.options.policy, size)));
        Ok(CheckedPlatform { facts, findings })
    }
}

/// Returns a platform's name in the index or, if it has none, in its config.
fn platform_name(entry: &PlatformEntry) -> String {
    let name = match (&entry.claimed, &entry.contents) {
        (Some(claimed), _) => claimed.clone(),
        (None, Ok(contents)) => config_platform(&contents.config),
        (None, Err(_)) => UNKNOWN.to_owned(),
    };
    printable(&name)
}

/// Returns the file system of all layers, or `None` if one of them cannot be read.
fn merge_layers(contents: &PlatformContents, layers: &LayerReadings, findings: &mut Vec<Finding>) -> Option<RootFs> {
    let diff_ids = contents.config.rootfs().diff_ids();
    if diff_ids.len() != contents.layers.len() {
        let reason = format!("its manifest has {} layers, and its config {}", contents.layers.len(), diff_ids.len());
        findings.push(LAYER_COUNT.finding(reason, "publish it again with a tool that keeps both together"));
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
                format!("layer {} unpacks to {}, and the config says {diff_id}", layer.name(), scanned.diff_id);
            findings.push(WRONG_DIFF_ID.finding(reason, "publish it again with a tool that keeps both together"));
        }
        if let Some(lower) = &mut root
            && let Err(error) = lower.apply(&scanned.changes)
        {
            let reason = format!("layer {} cannot be unpacked: {error}", layer.name());
            findings.push(UNREADABLE.finding(reason, "build it again: the file that the link names must be in it"));
            root = None;
        }
    }
    root
}

/// Returns the platform as Docker writes it in full: arm64 is `linux/arm64/v8`.
fn long_name(name: &str) -> String {
    if name == "linux/arm64" { "linux/arm64/v8".to_owned() } else { name.to_owned() }
}
