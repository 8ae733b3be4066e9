//! All checks of an image, from its documents to its programs. Every layer is read once, however many platforms have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use oci_spec::image::ImageConfiguration;
use serde::Serialize;

use super::blobs::{Blobs, LayerBlob};
use super::manifests::{self, ImageManifests, Parts, PlatformEntry, platform_of};
use super::policy::{check_annotations, check_size};
use super::{PlatformFacts, checks};
use crate::config::policy::Policy;
use crate::finding::{
    DUPLICATE_PLATFORM, Finding, LAYER_COUNT, MISSING_PLATFORM, PLATFORM_MISMATCH, UNCHECKED_PLATFORM, UNREADABLE,
    WRONG_DIFF_ID, printable,
};
use crate::oci::cache::Cache;
use crate::oci::layer_scan::ScannedLayer;
use crate::oci::layout::Layout;
use crate::oci::rootfs::RootFs;
use crate::oci::transport::ImageLocation;
use crate::platform::Platform;
use crate::registry::Registry;
use crate::threads::parallel;
use crate::timings::{Phase, Timings};

/// What is asked of an image.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The platforms to look at, which must be there; all, where there are none.
    pub platforms: Vec<Platform>,
    /// The platforms that must be there.
    pub required: Vec<Platform>,
    pub policy: Policy,
}

/// What an image is, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Inspected"))]
pub struct InspectedImage {
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
pub struct InspectedPlatform {
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
    /// The findings about the index and about every platform.
    pub fn all(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(self.platforms.iter().flat_map(|platform| &platform.findings))
    }
}

/// What somebody else has to say of a platform: its merged file system and its config.
pub type PlatformCheck<'a> = dyn Fn(Platform, &RootFs, &ImageConfiguration) -> Result<()> + Sync + 'a;

/// Where the time is noted, and the image's name there.
pub type Timed<'a> = (&'a Timings, &'a str);

/// Inspects what is at a location.
pub fn images(
    location: &ImageLocation,
    wanted: &VerifyOptions,
    registry: &Registry,
    cache: &Cache,
) -> Result<Vec<InspectedImage>> {
    let documents = manifests::read(location, registry, cache)?;
    // Of an image that is not made here nobody asks for the time.
    let untimed = (&Timings::default(), "");
    documents.into_iter().map(|documents| inspect(documents, wanted, cache, untimed, &|_, _, _| Ok(()))).collect()
}

/// Inspects a layout that was just made.
pub fn layout(
    layout: &Layout,
    wanted: &VerifyOptions,
    cache: &Cache,
    timed: Timed<'_>,
    also: &PlatformCheck<'_>,
) -> Result<InspectedImage> {
    inspect(manifests::of_layout(layout)?, wanted, cache, timed, also)
}

/// What a layer's blob turned out to be, by its key; shared by all platforms that have it.
type Layers = BTreeMap<String, Arc<(Option<ScannedLayer>, Vec<Finding>)>>;

fn inspect(
    documents: ImageManifests<'_>,
    wanted: &VerifyOptions,
    cache: &Cache,
    (timings, image): Timed<'_>,
    also: &PlatformCheck<'_>,
) -> Result<InspectedImage> {
    let ImageManifests { reference, digest, annotations, entries, findings, blobs } = documents;
    let named: Vec<(String, PlatformEntry)> = entries.into_iter().map(|entry| (name_of(&entry), entry)).collect();
    let mut of_index = findings;
    of_index.extend(index(&named, wanted));
    of_index.extend(check_annotations(&wanted.policy, &annotations));
    let is_wanted =
        |name: &str| wanted.platforms.is_empty() || wanted.platforms.iter().any(|platform| platform.name() == name);
    // What cannot be read may be anything.
    let named: Vec<(String, PlatformEntry)> =
        named.into_iter().filter(|(name, _)| is_wanted(name) || name == UNKNOWN).collect();
    let layers = layers(&named, &blobs, cache, timings)?;
    let platforms = parallel(&named, |(name, entry)| {
        let _checked = timings.span(Phase::Verify, format_args!("{name} {image}"));
        platform(name, entry, &layers, wanted, also)
    })?;
    let leave_out = |findings: &mut Vec<Finding>| -> BTreeSet<String> {
        let out = findings.extract_if(.., |finding| wanted.policy.allow.contains(&finding.code));
        out.map(|finding| finding.code.to_string()).collect()
    };
    let allowed = leave_out(&mut of_index);
    let platforms = platforms.into_iter().map(|mut platform| {
        platform.allowed = leave_out(&mut platform.findings);
        platform
    });
    Ok(InspectedImage { reference, digest, findings: of_index, allowed, platforms: platforms.collect() })
}

/// What the index calls it, else what its config does.
fn name_of(entry: &PlatformEntry) -> String {
    let of_config = || entry.parts.as_ref().ok().map(|parts| platform_of(&parts.config));
    printable(&entry.claimed.clone().or_else(of_config).unwrap_or_else(|| UNKNOWN.to_owned()))
}

/// The name of a platform that neither an index nor a config gives.
const UNKNOWN: &str = "unknown";

fn index(named: &[(String, PlatformEntry)], wanted: &VerifyOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, _) in named {
        // Windows has one for each of its versions.
        if !seen.insert(name.as_str()) && !name.starts_with("windows/") {
            let fix = "list each platform once: runtimes take the first, others the last";
            findings.push(DUPLICATE_PLATFORM.finding(format!("the index has {name} twice"), fix).for_platform(name));
        }
    }
    let missing: BTreeSet<&Platform> =
        wanted.required.iter().chain(&wanted.platforms).filter(|platform| !seen.contains(platform.name())).collect();
    for platform in missing {
        let has = seen.iter().copied().collect::<Vec<_>>().join(", ");
        let fix = format!("publish it as well: `--platform {platform}`");
        findings.push(
            MISSING_PLATFORM
                .finding(format!("wanted {}, actual: {has}", long_name(platform.name())), fix)
                .for_platform(platform.name()),
        );
    }
    findings
}

/// Reads all layers, each once, some at a time.
fn layers(named: &[(String, PlatformEntry)], blobs: &Blobs<'_>, cache: &Cache, timings: &Timings) -> Result<Layers> {
    let parts = named.iter().filter_map(|(name, entry)| Some((name, entry.parts.as_ref().ok()?)));
    // Of what is not for Linux nothing is judged.
    let parts = parts.filter(|(name, _)| name.parse::<Platform>().is_ok());
    let all: BTreeMap<String, &LayerBlob> =
        parts.flat_map(|(_, parts)| &parts.layers).map(|layer| (layer.key(), layer)).collect();
    let all: Vec<(String, &LayerBlob)> = all.into_iter().collect();
    let read = parallel(&all, |(key, layer)| {
        let mut span = timings.span(Phase::Verify, "read");
        span.digest(layer.name());
        Ok((key.clone(), Arc::new(blobs.layer(layer, cache)?)))
    })?;
    Ok(read.into_iter().collect())
}

fn platform(
    name: &str,
    entry: &PlatformEntry,
    layers: &Layers,
    wanted: &VerifyOptions,
    also: &PlatformCheck<'_>,
) -> Result<InspectedPlatform> {
    let mut result = InspectedPlatform {
        platform: name.to_owned(),
        digest: entry.digest.clone(),
        size: None,
        facts: PlatformFacts::default(),
        findings: Vec::new(),
        allowed: BTreeSet::new(),
    };
    let parts = match &entry.parts {
        Ok(parts) => parts,
        Err(findings) => {
            result.findings.extend(findings.iter().cloned().map(|finding| finding.for_platform(name)));
            return Ok(result);
        }
    };
    result.size = parts.size;
    let configured = platform_of(&parts.config);
    if configured != name {
        let reason = format!("the index says {}, and its config {}", long_name(name), long_name(&configured));
        let fix = "build it from a base of this platform: see it with `docker buildx imagetools inspect BASE`";
        result.findings.push(PLATFORM_MISMATCH.finding(reason, fix));
    }
    let Ok(platform) = name.parse::<Platform>() else {
        let reason = "nothing of it is checked: the platform is not one of those that are known here";
        result
            .findings
            .push(UNCHECKED_PLATFORM.finding(reason, "leave it out with `--platform`, or allow this finding"));
        result.findings = result.findings.into_iter().map(|finding| finding.for_platform(name)).collect();
        return Ok(result);
    };
    let (tree, findings) = merge(parts, layers);
    result.findings.extend(findings);
    // Half of a file system proves nothing.
    if let Some(tree) = tree {
        also(platform, &tree, &parts.config)?;
        let (facts, findings) = checks::check(&tree, platform, &parts.config, &wanted.policy);
        result.facts = facts;
        result.findings.extend(findings);
    }
    result.findings.extend(parts.size.and_then(|size| check_size(&wanted.policy, size)));
    result.findings = result.findings.into_iter().map(|finding| finding.for_platform(name)).collect();
    Ok(result)
}

/// The file system of all layers, where each can be read.
fn merge(parts: &Parts, layers: &Layers) -> (Option<RootFs>, Vec<Finding>) {
    let mut findings = Vec::new();
    let diff_ids = parts.config.rootfs().diff_ids();
    if diff_ids.len() != parts.layers.len() {
        let reason = format!("its manifest has {} layers, and its config {}", parts.layers.len(), diff_ids.len());
        findings.push(LAYER_COUNT.finding(reason, "publish it again with a tool that keeps both together"));
    }
    let mut tree = Some(RootFs::default());
    for (index, layer) in parts.layers.iter().enumerate() {
        let Some(read) = layers.get(&layer.key()) else { continue };
        let (scanned, wrong) = &**read;
        findings.extend(wrong.iter().cloned());
        let Some(scanned) = scanned else {
            tree = None;
            continue;
        };
        if let Some(diff_id) = diff_ids.get(index).filter(|diff_id| **diff_id != scanned.diff_id)
            && wrong.is_empty()
        {
            let reason =
                format!("layer {} unpacks to {}, and the config says {diff_id}", layer.name(), scanned.diff_id);
            findings.push(WRONG_DIFF_ID.finding(reason, "publish it again with a tool that keeps both together"));
        }
        if let Some(whole) = &mut tree
            && let Err(what) = whole.apply(&scanned.changes)
        {
            let reason = format!("layer {} cannot be unpacked: {what}", layer.name());
            findings.push(UNREADABLE.finding(reason, "build it again: the file that the link names must be in it"));
            tree = None;
        }
    }
    (tree, findings)
}

/// The platform as Docker writes it in full: arm64 is `linux/arm64/v8`.
fn long_name(name: &str) -> String {
    if name == "linux/arm64" { "linux/arm64/v8".to_owned() } else { name.to_owned() }
}
