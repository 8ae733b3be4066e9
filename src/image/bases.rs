//! Pins base images to digests before the build, and pulls them for the embedded engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use oci_spec::image::{Descriptor, ImageManifest};
use serde_json::Value;

use crate::dockerfile::pinned_bases::PinnedBases;
use crate::error::{Class, Failure};
use crate::oci::cache::Cache;
use crate::oci::descriptor::descriptor;
use crate::oci::digest::shorten_reference;
use crate::oci::layer::Layer;
use crate::oci::layer_scan;
use crate::oci::layout::{descriptor_platform, format_platform};
use crate::oci::rootfs::RootFs;
use crate::plan::Image;
use crate::platform::Platform;
use crate::registry::{FetchedManifest, Registry};
use crate::threads::{lock, parallel};
use crate::timings::{Phase, Timings};
use crate::ui::Ui;
use crate::ui::text::count_layers;

/// All base images used in a run, pinned to digests.
pub(crate) struct ResolvedBases {
    pub pinned: PinnedBases,
    /// The manifest or index of each base, keyed by pinned reference.
    manifests: BTreeMap<String, FetchedManifest>,
}

/// A base image pinned to a digest.
pub(crate) struct ResolvedBase {
    /// The pinned reference: `name@sha256:…`.
    pinned: String,
    /// The manifest or index that the pinned reference points to.
    manifest: FetchedManifest,
}

/// A base image for one platform.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BaseImage {
    /// The complete config of the image (image-spec, config.md).
    pub config: Value,
    /// Layers from bottom to top, with OCI media types.
    pub layers: Vec<Layer>,
    pub rootfs: RootFs,
}

/// Pulled base images, keyed by configured reference and platform.
pub(crate) type PulledBases = BTreeMap<(String, Platform), Arc<BaseImage>>;

/// Pins every base of `images` to its tag's current digest, and checks that the base supports the images' platforms.
pub(crate) fn pin(images: &[Image], registry: &Registry, ui: &Ui) -> Result<ResolvedBases> {
    let (mut pinned_bases, mut manifests) = (PinnedBases::default(), BTreeMap::new());
    for (base, platforms) in platforms_by_base(images) {
        let ResolvedBase { pinned, manifest } = resolve(base, &platforms, registry, ui)?;
        pinned_bases.insert(base.to_owned(), pinned.clone());
        manifests.insert(pinned, manifest);
    }
    Ok(ResolvedBases { pinned: pinned_bases, manifests })
}

/// Pins a base to its tag's current digest, and checks that the base supports `platforms`.
pub(crate) fn resolve(
    base: &str,
    platforms: &BTreeSet<Platform>,
    registry: &Registry,
    ui: &Ui,
) -> Result<ResolvedBase> {
    let manifest = ui.timed(Phase::Base, format_args!("{base}: index"), || registry.fetch_manifest(base));
    let manifest = manifest.with_context(|| format!("base {base}"))?;
    let available = available_platforms(base, &manifest, registry)?;
    platforms.iter().try_for_each(|platform| check_platform(base, *platform, &available))?;
    let pinned = if base.contains('@') { base.to_owned() } else { format!("{base}@{}", manifest.digest) };
    ui.status("Pinned", shorten_reference(&pinned));
    Ok(ResolvedBase { pinned, manifest })
}

/// Returns the platforms that each base must support. Omits `scratch`, which is not pulled from a registry.
pub(crate) fn platforms_by_base<'a>(
    images: impl IntoIterator<Item = &'a Image>,
) -> BTreeMap<&'a str, BTreeSet<Platform>> {
    let mut bases: BTreeMap<&str, BTreeSet<Platform>> = BTreeMap::new();
    for platform in images.into_iter().flat_map(|image| &image.platforms) {
        if platform.base != "scratch" {
            bases.entry(&platform.base).or_default().insert(platform.platform);
        }
    }
    bases
}

/// Returns the platforms that a base supports, formatted as `os/architecture[/variant]`.
fn available_platforms(base: &str, fetched: &FetchedManifest, registry: &Registry) -> Result<BTreeSet<String>> {
    if fetched.is_index() {
        let index = fetched.index()?;
        let platforms = index.manifests().iter().filter_map(|entry| descriptor_platform(entry.platform().as_ref()?));
        return Ok(platforms.collect());
    }
    let config = registry.fetch_config(base, &fetched.manifest()?)?;
    let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
    Ok(BTreeSet::from([format_platform(&os, &architecture, config.variant().as_deref())]))
}

fn check_platform(base: &str, platform: Platform, available: &BTreeSet<String>) -> Result<(), Failure> {
    if platform.compatible_platforms().any(|runs| available.contains(runs.name())) {
        return Ok(());
    }
    let available = available.iter().cloned().collect::<Vec<_>>().join(", ");
    Err(Failure::new(Class::Config, format!("base {base} has no image for {platform}"))
        .hint(format!("available platforms: {available}"))
        .hint(use_other_base(platform)))
}

fn use_other_base(platform: Platform) -> String {
    format!("use another base for this platform: platform.\"{platform}\" = {{ base = \"…\" }}")
}

/// Pulls the bases of `images` into the cache in parallel, for each platform that uses them.
pub(crate) fn pull(
    images: &[&Image],
    bases: &ResolvedBases,
    registry: &Registry,
    cache: &Cache,
    ui: &Ui,
) -> Result<PulledBases> {
    let mut to_pull = Vec::new();
    for (base, platforms) in platforms_by_base(images.iter().copied()) {
        let pinned = bases.pinned.reference(base);
        let Some(fetched) = bases.manifests.get(pinned) else { continue };
        to_pull.extend(platforms.into_iter().map(|platform| (base, platform, pinned, fetched)));
    }
    let puller = BasePuller { registry, cache, timings: ui.timings(), downloaded: Mutex::default() };
    let pulled = parallel(&to_pull, |(base, platform, pinned, fetched)| {
        let pull = || puller.pull_platform(pinned, *platform, fetched);
        let image = ui.timed(Phase::Base, format_args!("{platform} {base}"), pull);
        Ok(Arc::new(image.with_context(|| format!("base {base}"))?))
    })?;
    let keys = to_pull.iter().map(|(base, platform, ..)| ((*base).to_owned(), *platform));
    let pulled: PulledBases = keys.zip(pulled).collect();
    print_pulled(&pulled, &lock(&puller.downloaded), ui);
    Ok(pulled)
}

/// Prints a line for each base, with the number of its layers and of those that were in the cache.
fn print_pulled(pulled: &PulledBases, downloaded: &BTreeSet<String>, ui: &Ui) {
    let mut by_base: BTreeMap<&str, (Vec<&str>, BTreeSet<String>)> = BTreeMap::new();
    for ((base, platform), image) in pulled {
        let (platforms, layers) = by_base.entry(base).or_default();
        platforms.push(platform.name());
        layers.extend(image.layers.iter().map(|layer| layer.descriptor.digest().to_string()));
    }
    for (base, (platforms, layers)) in by_base {
        let cached = layers.difference(downloaded).count();
        let layers = count_layers(layers.len(), cached);
        ui.status("Pulled", format!("{} for {}: {layers}", shorten_reference(base), platforms.join(", ")));
    }
}

/// Pulls the bases of a run.
struct BasePuller<'a> {
    registry: &'a Registry,
    cache: &'a Cache,
    timings: &'a Timings,
    /// The digests of the layers that were not in the cache.
    downloaded: Mutex<BTreeSet<String>>,
}

impl BasePuller<'_> {
    fn pull_platform(&self, pinned: &str, platform: Platform, fetched: &FetchedManifest) -> Result<BaseImage> {
        let repository = pinned.split_once('@').map_or(pinned, |(repository, _)| repository);
        let manifest = platform_manifest(repository, platform, fetched, self.registry)?;
        let download = |file: &mut File| self.registry.download_blob(repository, manifest.config(), file);
        let config = self.cache.blob(manifest.config(), download)?;
        let config: Value = serde_json::from_slice(&fs_err::read(config)?).map_err(|error| {
            Failure::new(Class::Registry, format!("the config blob is not a container image config: {error}"))
                .hint("check the base name: it refers to an artifact that is not a container image")
        })?;
        let layers = self.pull_layers(repository, &manifest, &config)?;
        let rootfs = read_rootfs(&layers, self.cache)?;
        Ok(BaseImage { config, layers, rootfs })
    }

    /// Pulls the layers of an image in parallel.
    fn pull_layers(&self, repository: &str, manifest: &ImageManifest, config: &Value) -> Result<Vec<Layer>> {
        let diff_ids = config.pointer("/rootfs/diff_ids").and_then(Value::as_array).cloned().unwrap_or_default();
        if diff_ids.len() != manifest.layers().len() {
            let (layers, ids) = (manifest.layers().len(), diff_ids.len());
            return Err(Failure::new(
                Class::Verify,
                format!("the manifest lists {layers} layers, but the config lists {ids} diff IDs"),
            )
            .hint("use another base image: this one is invalid")
            .into());
        }
        let pairs: Vec<(&Descriptor, &Value)> = manifest.layers().iter().zip(&diff_ids).collect();
        parallel(&pairs, |(blob, diff_id)| {
            let media_type = oci_media_type(blob.media_type().as_ref())?;
            let path = self.cache.blob(blob, |file| {
                lock(&self.downloaded).insert(blob.digest().to_string());
                let mut span = self.timings.span(Phase::Base, format_args!("{repository}: layer"));
                span.digest(blob.digest());
                span.bytes(blob.size());
                self.registry.download_blob(repository, blob, file)
            })?;
            let descriptor = descriptor(media_type, blob.digest().as_ref(), blob.size())?;
            Ok(Layer { descriptor, diff_id: diff_id.as_str().unwrap_or_default().to_owned(), path })
        })
    }
}

/// Fetches the manifest of a base for one platform.
fn platform_manifest(
    repository: &str,
    platform: Platform,
    fetched: &FetchedManifest,
    registry: &Registry,
) -> Result<ImageManifest> {
    if !fetched.is_index() {
        return Ok(fetched.manifest()?);
    }
    let index = fetched.index()?;
    let entry = select(index.manifests(), platform).ok_or_else(|| {
        Failure::new(Class::Config, format!("the index has no image for {platform}")).hint(use_other_base(platform))
    })?;
    let media_type = entry.media_type().to_string();
    if media_type.contains("index") || media_type.contains("manifest.list") {
        let message = format!("the index entry for {platform} is another index, not an image");
        return Err(Failure::new(Class::Config, message)
            .hint(format!("use the inner index as the base: base = \"{repository}@{}\"", entry.digest()))
            .into());
    }
    Ok(registry.fetch_manifest(&format!("{repository}@{}", entry.digest()))?.manifest()?)
}

/// Selects the index entry for a platform or, failing that, for an older variant that the platform can run.
fn select(entries: &[Descriptor], platform: Platform) -> Option<&Descriptor> {
    platform.compatible_platforms().find_map(|runs| {
        entries
            .iter()
            .find(|entry| entry.platform().as_ref().and_then(descriptor_platform).as_deref() == Some(runs.name()))
    })
}

/// Returns the OCI equivalent of a layer's media type. Docker's layer formats are identical to the OCI formats
/// (image-spec, media-types.md).
fn oci_media_type(media_type: &str) -> Result<&'static str, Failure> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
            Ok("application/vnd.oci.image.layer.v1.tar")
        }
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            Ok("application/vnd.oci.image.layer.v1.tar+gzip")
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
            Ok("application/vnd.oci.image.layer.v1.tar+zstd")
        }
        other => Err(Failure::new(Class::Config, format!("unsupported layer media type {other}"))
            .hint("use another base, or build with Docker: `--engine buildx`")),
    }
}

fn read_rootfs(layers: &[Layer], cache: &Cache) -> Result<RootFs> {
    let mut rootfs = RootFs::default();
    for layer in layers {
        let media_type = layer.descriptor.media_type().to_string();
        let digest = layer.descriptor.digest();
        let unreadable = |reason: String| {
            Failure::new(Class::Verify, format!("cannot read layer {digest}: {reason}"))
                .hint("use another base, or build with Docker: `--engine buildx`")
        };
        let scanned = cache.layer(&layer.descriptor, || {
            let blob = fs_err::File::open(&layer.path)?;
            layer_scan::scan(blob, &media_type, cache.dir()?).map_err(|error| {
                if layer_scan::is_local_error(&error) { error.into() } else { unreadable(error.to_string()).into() }
            })
        })?;
        rootfs.apply(&scanned.changes).map_err(unreadable)?;
    }
    Ok(rootfs)
}
