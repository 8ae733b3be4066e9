//! PinnedBases: pinned to a digest before anything is built, and pulled where this program builds on them itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use oci_spec::image::{Descriptor, ImageManifest};
use serde_json::Value;

use crate::error::{Class, Failure};
use crate::oci::cache::Cache;
use crate::oci::descriptor::descriptor;
use crate::oci::layer::Layer;
use crate::oci::layer_scan;
use crate::oci::layout::{descriptor_platform, format_platform};
use crate::oci::rootfs::RootFs;
use crate::plan::Plan;
use crate::platform::Platform;
use crate::registry::FetchedManifest;
use crate::registry::Registry;
use crate::threads::parallel;
use crate::timings::{Phase, Timings};
use crate::ui::Ui;

/// What pinned references lead to.
pub type BaseManifests = BTreeMap<String, FetchedManifest>;

/// Pins every base to the digest that its tag has now, and checks that it has the platforms that are asked for.
pub fn pin(plan: &Plan, registry: &Registry, ui: &Ui) -> Result<(PinnedBases, BaseManifests)> {
    let mut wanted: BTreeMap<&str, BTreeSet<Platform>> = BTreeMap::new();
    for platform in plan.platforms() {
        if platform.base != "scratch" {
            wanted.entry(&platform.base).or_default().insert(platform.platform);
        }
    }
    let (mut bases, mut indexes) = (PinnedBases::new(), BaseManifests::new());
    for (base, platforms) in wanted {
        let served = ui.timed(Phase::Base, format_args!("{base}: index"), || registry.fetch_manifest(base));
        let served = served.with_context(|| format!("base {base}"))?;
        let available = if served.is_index() {
            let index = served.index()?;
            index.manifests().iter().filter_map(|entry| descriptor_platform(entry.platform().as_ref()?)).collect()
        } else {
            let config = registry.fetch_config(base, &served.manifest()?)?;
            vec![format_platform(
                &config.os().to_string(),
                &config.architecture().to_string(),
                config.variant().as_deref(),
            )]
        };
        let available: BTreeSet<String> = available.into_iter().collect();
        for platform in &platforms {
            if !platform.compatible_platforms().any(|runs| available.contains(runs.name())) {
                let has = available.iter().cloned().collect::<Vec<_>>().join(", ");
                return Err(Failure::new(Class::Config, format!("base {base} has no {platform}"))
                    .hint(format!("it has {has}"))
                    .hint(format!("take another base for it: platform.\"{platform}\" = {{ base = \"…\" }}"))
                    .into());
            }
        }
        let pinned = match base.contains('@') {
            true => base.to_owned(),
            false => format!("{base}@{}", served.digest),
        };
        ui.status("Pinned", &pinned);
        bases.extend(platforms.into_iter().map(|platform| ((base.to_owned(), platform), pinned.clone())));
        indexes.insert(pinned, served);
    }
    Ok((bases, indexes))
}

/// Pulls what the embedded engine builds on into the cache: for every platform its own image of the base.
pub fn pull(
    plan: &Plan,
    bases: &PinnedBases,
    indexes: &BaseManifests,
    registry: &Registry,
    ui: &Ui,
) -> Result<PulledBases> {
    let cache = Cache::new(&plan.paths.cache_dir);
    indexes.keys().for_each(|pinned| ui.status("Pulling", pinned));
    let mut pulled = PulledBases::new();
    for ((base, platform), pinned) in bases {
        let Some(served) = indexes.get(pinned) else { continue };
        let pull = || pull_platform(pinned, *platform, served, registry, &cache, ui.timings());
        let image = ui.timed(Phase::Base, format_args!("{platform} {base}"), pull);
        let image = image.with_context(|| format!("base {base}"))?;
        pulled.insert((base.clone(), *platform), Arc::new(image));
    }
    Ok(pulled)
}

fn pull_platform(
    pinned: &str,
    platform: Platform,
    served: &FetchedManifest,
    registry: &Registry,
    cache: &Cache,
    timings: &Timings,
) -> Result<BaseImage> {
    let repository = pinned.split_once('@').map_or(pinned, |(repository, _)| repository);
    let manifest = if served.is_index() {
        let index = served.index()?;
        let entry = select(index.manifests(), platform).ok_or_else(|| {
            Failure::new(Class::Config, format!("it has no {platform}"))
                .hint(format!("take another base for it: platform.\"{platform}\" = {{ base = \"…\" }}"))
        })?;
        if entry.media_type().to_string().contains("index") || entry.media_type().to_string().contains("manifest.list")
        {
            return Err(Failure::new(
                Class::Config,
                format!("its entry for {platform} is an index again, not an image"),
            )
            .hint(format!("name the inner one: base = \"{repository}@{}\"", entry.digest()))
            .into());
        }
        registry.fetch_manifest(&format!("{repository}@{}", entry.digest()))?.manifest()?
    } else {
        served.manifest()?
    };
    let config = cache.blob(manifest.config(), |file| registry.download_blob(repository, manifest.config(), file))?;
    let config: Value = serde_json::from_slice(&fs_err::read(config)?).map_err(|error| {
        Failure::new(Class::Registry, format!("its config is not that of a container image: {error}"))
            .hint("registries hold other things than images as well: check the name")
    })?;
    let layers = layers(repository, &manifest, &config, registry, cache, timings)?;
    let tree = read_tree(&layers, cache)?;
    Ok(BaseImage { config, layers, tree })
}

/// The entry for a platform: its own, else an older variant that it runs.
fn select(entries: &[Descriptor], platform: Platform) -> Option<&Descriptor> {
    platform.compatible_platforms().find_map(|runs| {
        entries
            .iter()
            .find(|entry| entry.platform().as_ref().and_then(descriptor_platform).as_deref() == Some(runs.name()))
    })
}

/// Pulls the layers, several at a time.
fn layers(
    repository: &str,
    manifest: &ImageManifest,
    config: &Value,
    registry: &Registry,
    cache: &Cache,
    timings: &Timings,
) -> Result<Vec<Layer>> {
    let diff_ids = config.pointer("/rootfs/diff_ids").and_then(Value::as_array).cloned().unwrap_or_default();
    if diff_ids.len() != manifest.layers().len() {
        let (layers, ids) = (manifest.layers().len(), diff_ids.len());
        return Err(Failure::new(Class::Verify, format!("its manifest has {layers} layers, and its config {ids}"))
            .hint("take another base")
            .into());
    }
    let pairs: Vec<(&Descriptor, &Value)> = manifest.layers().iter().zip(&diff_ids).collect();
    parallel(&pairs, |(blob, diff_id)| {
        let media_type = oci_type(blob.media_type().as_ref())?;
        let path = cache.blob(blob, |file| {
            let mut span = timings.span(Phase::Base, format_args!("{repository}: layer"));
            span.digest(blob.digest());
            span.bytes(blob.size());
            registry.download_blob(repository, blob, file)
        })?;
        let descriptor = descriptor(media_type, blob.digest().as_ref(), blob.size())?;
        Ok(Layer { descriptor, diff_id: diff_id.as_str().unwrap_or_default().to_owned(), path })
    })
}

/// OCI's name of a layer's media type; the bytes are the same under Docker's (image-spec, media-types.md).
fn oci_type(media_type: &str) -> Result<&'static str, Failure> {
    Ok(match media_type {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
            "application/vnd.oci.image.layer.v1.tar"
        }
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            "application/vnd.oci.image.layer.v1.tar+gzip"
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
            "application/vnd.oci.image.layer.v1.tar+zstd"
        }
        other => {
            return Err(Failure::new(
                Class::Config,
                format!("it has a layer of type {other}, which is not known here"),
            )
            .hint("take another base, or the other engine: `--engine buildx`"));
        }
    })
}

fn read_tree(layers: &[Layer], cache: &Cache) -> Result<RootFs> {
    let mut tree = RootFs::default();
    for layer in layers {
        let media_type = layer.descriptor.media_type().to_string();
        let digest = layer.descriptor.digest();
        let unreadable = |what: String| {
            Failure::new(Class::Verify, format!("its layer {digest} cannot be read: {what}"))
                .hint("take another base, or the other engine: `--engine buildx`")
        };
        let scanned = cache.layer(&layer.descriptor, || {
            let blob = fs_err::File::open(&layer.path)?;
            layer_scan::scan(blob, &media_type, cache.dir()?).map_err(|error| {
                match layer_scan::is_local_error(&error) {
                    true => error.into(),
                    false => unreadable(error.to_string()).into(),
                }
            })
        })?;
        tree.apply(&scanned.changes).map_err(unreadable)?;
    }
    Ok(tree)
}

/// What one platform of a base holds.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseImage {
    /// The whole image config (image-spec, config.md).
    pub config: Value,
    /// From the bottom up, with OCI media types.
    pub layers: Vec<Layer>,
    pub tree: RootFs,
}

/// By what was written and the platform.
pub type PulledBases = BTreeMap<(String, Platform), Arc<BaseImage>>;

/// The base of a platform, pinned: `(as written, platform)` → `name@sha256:…`.
pub type PinnedBases = BTreeMap<(String, Platform), String>;
