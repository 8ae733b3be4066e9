//! Builds prepared images. Compresses each layer as soon as its binary is compiled, while cargo is still compiling
//! other binaries.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::{Mutex, PoisonError, mpsc};

use anyhow::{Context, Result};
use oci_spec::image::Descriptor;
use serde_json::Value;

use super::copy::{PlannedLayer, PlannedLibraries};
use super::layer_store::{LayerSource, LayerStore, StoredLayer};
use super::prepare::{PreparedImage, PreparedPlatform};
use crate::compile::facts::Sysroot;
use crate::compile::{Artifacts, CompiledBinary};
use crate::image::libraries::{self, CopiedLibrary};
use crate::oci::descriptor::{Blob, ImageBlob};
use crate::oci::digest::{StreamHash, hash_reader};
use crate::oci::layer::{Layer, LayerEntries, LayerEntry, LayerFile};
use crate::oci::layout::{self, Layout};
use crate::oci::manifest::{self, AddedLayer, ImageDocuments, ImageParts};
use crate::plan::Paths;
use crate::platform::Platform;
use crate::threads::{self, CancelToken, lock, next};
use crate::timings::{Phase, Timings};
use crate::ui::Ui;
use crate::ui::text::{count_layers, plural};

/// Maximum number of threads that compress layers. Kept low because cargo is compiling at the same time.
const MAX_WORKERS: usize = 4;

/// The position of a layer, as three indices: the image, the platform in the image, and the layer in the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LayerPosition {
    image: usize,
    platform: usize,
    layer: usize,
}

/// A layer that is ready to be built, because all of its files exist.
struct LayerJob {
    position: LayerPosition,
    entries: LayerEntries,
}

type Layers = BTreeMap<LayerPosition, StoredLayer>;

/// Where the embedded engine keeps layers and finds libraries.
pub(crate) struct BuildInputs<'a> {
    pub paths: &'a Paths,
    /// The sysroots by target triple.
    pub sysroots: &'a BTreeMap<String, Sysroot>,
}

/// Builds images from the binaries that arrive before the channel closes, and returns one layout per image, in the same
/// order as the images. Sends each layer to `finished` as soon as its blob is on disk, starting with the base layers.
pub(crate) fn build(
    images: &[PreparedImage<'_>],
    binaries: mpsc::Receiver<CompiledBinary>,
    finished: &mpsc::Sender<ImageBlob>,
    inputs: &BuildInputs<'_>,
    source_date_epoch: u64,
    cancel: &CancelToken,
    ui: &Ui,
) -> Result<Vec<Layout>> {
    let store = LayerStore::new(inputs.paths.work_dir().join("+layers"), ui.bars());
    let builder = LayerBuilder { images, store: &store, finished, sysroots: inputs.sysroots, timings: ui.timings() };
    let mut layers = builder.build(binaries, cancel)?;
    let mut layouts = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let _written = ui.timings().span(Phase::Layout, format_args!("{}: layout", image.image.name));
        let summary =
            layer_summary(layers.iter().filter(|(position, _)| position.image == index).map(|(_, layer)| layer));
        layouts.push(write_layout(index, image, &mut layers, source_date_epoch)?);
        let platforms = plural(image.platforms.len(), "platform", "platforms");
        ui.status("Assembled", format!("{} for {platforms}: {summary}", image.image.name));
    }
    store.prune()?;
    Ok(layouts)
}

/// A builder for the layers of all images.
#[derive(Clone, Copy)]
struct LayerBuilder<'a> {
    images: &'a [PreparedImage<'a>],
    store: &'a LayerStore,
    finished: &'a mpsc::Sender<ImageBlob>,
    sysroots: &'a BTreeMap<String, Sysroot>,
    timings: &'a Timings,
}

impl LayerBuilder<'_> {
    /// Builds all layers on worker threads, while the current thread waits for binaries.
    fn build(&self, binaries: mpsc::Receiver<CompiledBinary>, cancel: &CancelToken) -> Result<Layers> {
        let built: Mutex<Layers> = Mutex::default();
        let (jobs, queue) = mpsc::channel::<LayerJob>();
        let queue = Mutex::new(queue);
        let work = || -> Result<()> {
            while let Some(job) = next(&queue) {
                cancel.check()?;
                let stored = self.build_layer(&job)?;
                self.announce(&self.images[job.position.image], &stored.layer);
                lock(&built).insert(job.position, stored);
            }
            Ok(())
        };
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_WORKERS);
        threads::scope(cancel, |stages| {
            // Move `jobs` into the closure so that the queue closes even after an error. Otherwise, the workers would
            // wait forever.
            let jobs = jobs;
            let workers: Vec<_> = (0..workers).map(|_| stages.spawn(work)).collect();
            self.announce_base_layers();
            self.queue_layers_without_binary(&jobs);
            let mut compiled_binaries = Artifacts::new();
            for compiled in binaries {
                cancel.check()?;
                self.queue_layers_with(&compiled, &jobs);
                compiled_binaries.insert((compiled.build, compiled.binary), compiled.artifact);
            }
            self.queue_libraries(&compiled_binaries, &jobs)?;
            drop(jobs);
            for worker in workers {
                worker.join()?;
            }
            Ok(())
        })?;
        Ok(built.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn build_layer(&self, job: &LayerJob) -> Result<StoredLayer> {
        let LayerPosition { image, platform, layer } = job.position;
        let PreparedImage { image, platforms, .. } = &self.images[image];
        let platform = &platforms[platform];
        let label = layer_label(&platform.layers[layer]);
        let mut span = self.timings.span(Phase::Layer, format_args!("{} {}: {label}", platform.platform, image.name));
        let stored = self.store.layer(&job.entries, image.compression, image.compression_level)?;
        span.digest(stored.layer.descriptor.digest());
        if stored.source == LayerSource::Compressed {
            span.bytes(stored.layer.descriptor.size());
        } else {
            span.note("reused");
        }
        Ok(stored)
    }

    /// Sends a finished layer. Ignores a closed channel, because the receiving stage reports its own failure.
    fn announce(&self, image: &PreparedImage<'_>, layer: &Layer) {
        let (descriptor, path) = (layer.descriptor.clone(), layer.path.clone());
        let _ = self.finished.send(ImageBlob { image: image.index, descriptor, path });
    }

    fn announce_base_layers(&self) {
        for image in self.images {
            let bases = image.platforms.iter().filter_map(|platform| platform.base.as_ref());
            for layer in bases.flat_map(|base| &base.layers) {
                self.announce(image, layer);
            }
        }
    }

    fn queue_layers_without_binary(&self, jobs: &mpsc::Sender<LayerJob>) {
        for (position, planned) in self.planned_layers() {
            if !planned.is_pending() {
                // Sending cannot fail, because the receiver exists until `build` returns.
                let _ = jobs.send(LayerJob { position, entries: planned.entries.clone() });
            }
        }
    }

    /// Queues the layers with libraries, which depend on all binaries of their images.
    fn queue_libraries(&self, compiled: &Artifacts, jobs: &mpsc::Sender<LayerJob>) -> Result<()> {
        for (position, planned) in self.planned_layers() {
            let Some(target) = &planned.libraries else { continue };
            let platform = &self.images[position.image].platforms[position.platform];
            let base = platform.base.as_ref().map(|base| &base.rootfs);
            let libraries = libraries::to_copy(&platform.build, &platform.binaries, compiled, base, self.sysroots)?;
            let entries = entries_with_libraries(planned, target, &libraries)?;
            let _ = jobs.send(LayerJob { position, entries });
        }
        Ok(())
    }

    fn planned_layers(&self) -> impl Iterator<Item = (LayerPosition, &PlannedLayer)> {
        self.images.iter().enumerate().flat_map(|(image, prepared)| {
            prepared.platforms.iter().enumerate().flat_map(move |(platform, prepared)| {
                let layers = prepared.layers.iter().enumerate();
                layers.map(move |(layer, planned)| (LayerPosition { image, platform, layer }, planned))
            })
        })
    }

    /// Queues all layers that contain `compiled`.
    fn queue_layers_with(&self, compiled: &CompiledBinary, jobs: &mpsc::Sender<LayerJob>) {
        for (image, prepared) in self.images.iter().enumerate() {
            for (platform, prepared) in prepared.platforms.iter().enumerate() {
                for layer in layers_waiting_for(compiled, prepared) {
                    let entries = entries_with_binary(&prepared.layers[layer], compiled);
                    let _ = jobs.send(LayerJob { position: LayerPosition { image, platform, layer }, entries });
                }
            }
        }
    }
}

fn layers_waiting_for(compiled: &CompiledBinary, platform: &PreparedPlatform) -> impl Iterator<Item = usize> {
    let is_same_build = platform.build == compiled.build;
    let waiting = platform.waiting.iter().filter(move |waiting| is_same_build && waiting.binary == compiled.binary);
    waiting.map(|waiting| waiting.layer)
}

/// Returns the entries of a layer, including its compiled binary.
fn entries_with_binary(planned: &PlannedLayer, compiled: &CompiledBinary) -> LayerEntries {
    let mut entries = planned.entries.clone();
    let target = planned.binary.as_ref().map(|binary| binary.target.as_str()).unwrap_or_default();
    if let Some(entry) = entries.get_mut(target) {
        let artifact = &compiled.artifact;
        entry.file =
            Some(LayerFile { path: artifact.path.clone(), size: artifact.size, sha256: artifact.sha256.clone() });
    }
    entries
}

/// Returns the entries of a layer, including libraries.
fn entries_with_libraries(
    planned: &PlannedLayer,
    PlannedLibraries { target, attributes }: &PlannedLibraries,
    libraries: &[CopiedLibrary],
) -> Result<LayerEntries> {
    let mut entries = planned.entries.clone();
    for CopiedLibrary { name, path } in libraries {
        let StreamHash { sha256, size } = hash_reader(fs_err::File::open(path)?)?;
        let file = Some(LayerFile { path: path.clone(), size, sha256 });
        entries.insert(format!("{target}/{name}"), LayerEntry { attributes: *attributes, file, capabilities: None });
    }
    Ok(entries)
}

/// Returns a short name for a layer in timings: the name of its binary, `libraries`, or `files`.
fn layer_label(planned: &PlannedLayer) -> &str {
    match &planned.binary {
        None if planned.libraries.is_some() => "libraries",
        Some(binary) => binary.target.rsplit('/').next().unwrap_or(&binary.target),
        None => "files",
    }
}

/// Counts the distinct layers of an image, and those that an earlier run compressed: `3 layers (1 from the cache)`.
fn layer_summary<'a>(layers: impl Iterator<Item = &'a StoredLayer>) -> String {
    let (mut all, mut cached) = (BTreeSet::<&str>::new(), BTreeSet::<&str>::new());
    for StoredLayer { layer, source } in layers {
        let digest = layer.descriptor.digest().as_ref();
        all.insert(digest);
        if *source == LayerSource::EarlierRun {
            cached.insert(digest);
        }
    }
    count_layers(all.len(), cached.len())
}

/// Writes an image's layout. Removes the image's layers from `layers`, which contains the layers of all images.
fn write_layout(
    index: usize,
    image: &PreparedImage<'_>,
    layers: &mut Layers,
    source_date_epoch: u64,
) -> Result<Layout> {
    let mut blobs: Vec<Blob> = Vec::new();
    let mut files: Vec<Layer> = Vec::new();
    let mut manifests: Vec<(Platform, Descriptor)> = Vec::new();
    for (position, platform) in image.platforms.iter().enumerate() {
        let mut added = Vec::new();
        for (layer, planned) in platform.layers.iter().enumerate() {
            let built = layers.remove(&LayerPosition { image: index, platform: position, layer });
            let built = built.with_context(|| format!("layer '{}' was not built", planned.created_by))?;
            added.push(AddedLayer { layer: built.layer, created_by: planned.created_by.clone() });
        }
        let base = platform.base.as_deref();
        let ImageDocuments { config, manifest } = manifest::image(&ImageParts {
            platform: platform.platform,
            base_config: base.map_or(&Value::Null, |base| &base.config),
            base_layers: base.map_or(&[], |base| &base.layers),
            config: &platform.config,
            added: &added,
            annotations: &image.image.annotations_of_manifest(platform.platform),
            source_date_epoch,
        })?;
        manifests.push((platform.platform, manifest.descriptor.clone()));
        files.extend(added.into_iter().map(|added| added.layer));
        files.extend(base.iter().flat_map(|base| base.layers.clone()));
        blobs.extend([config, manifest]);
    }
    let descriptor = match &manifests[..] {
        [(_, manifest)] if !image.image.has_index => manifest.clone(),
        _ => {
            let index = manifest::index(&manifests, &image.image.annotations)?;
            let descriptor = index.descriptor.clone();
            blobs.push(index);
            descriptor
        }
    };
    layout::write(&image.layout_dir, &blobs, &files, &descriptor)?;
    Layout::open(&image.layout_dir)
}
