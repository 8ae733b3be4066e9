//! The embedded engine: a base plus files plus a config are an image, and no program has to run to make it.
//! A layer is made the moment its binary is there, while cargo still compiles the others.

pub mod chown;
pub mod copy;
pub mod layer_store;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use oci_spec::image::Descriptor;
use serde_json::Value;

use self::copy::{PlannedLayer, layers};
use self::layer_store::LayerStore;
use super::bases::{BaseImage, PulledBases};
use super::context::{self, StagedContext};
use super::scratch_check;
use crate::compile::Artifact;
use crate::dockerfile::read_stage::read_stage;
use crate::dockerfile::render::{self, Dockerfile};
use crate::dockerfile::stage::{Stage, StageSource};
use crate::error::{Class, Failure};
use crate::oci::descriptor::Blob;
use crate::oci::layer::{Layer, LayerEntries, LayerFile};
use crate::oci::layout::{self, Layout};
use crate::oci::manifest::{self, AddedLayer, ImageDocuments, ImageParts};
use crate::oci::rootfs::RootFs;
use crate::plan::{Binary, BuildSettings, Image, ImagePlatform, Paths, Plan};
use crate::platform::Platform;
use crate::threads::{lock, next};
use crate::timings::{Phase, Timings};
use crate::ui::Ui;

/// Threads that make layers; cargo has work for the processors as well.
const MOST_WORKERS: usize = 4;

/// All that can be known of the images before anything is compiled.
pub struct Prepared<'a> {
    plan: &'a Plan,
    /// In the plan's order.
    images: Vec<(&'a Image, Utf8PathBuf, Vec<PreparedPlatform>)>,
}

struct PreparedPlatform {
    platform: Platform,
    base: Option<Arc<BaseImage>>,
    /// The `config` of the image config.
    config: Value,
    layers: Vec<PlannedLayer>,
    /// The layers that wait for a binary.
    waiting: Vec<(BuildSettings, Binary, usize)>,
}

/// What is told of an image's layer, and says whether there is any use in more.
pub type OnLayer<'a> = dyn Fn(&Image, &Layer) -> bool + Sync + 'a;

/// Image, platform and layer, counted in the plan's order.
type LayerPosition = (usize, usize, usize);

/// Reads the Dockerfiles and the staged files.
pub fn prepare<'a>(plan: &'a Plan, staged: &[StagedContext], bases: &PulledBases) -> Result<Prepared<'a>> {
    let mut images = Vec::new();
    for (image, staged) in plan.images.iter().zip(staged) {
        let platform = |platform| prepare_platform(plan, image, platform, staged, bases);
        let platforms = image.platforms.iter().map(platform).collect::<Result<Vec<_>>>()?;
        images.push((image, staged.dir.join("oci"), platforms));
    }
    Ok(Prepared { plan, images })
}

/// What the other engine would find out last, or nobody before the first start: whether an image that begins with nothing
/// has its program and its user. Of a Dockerfile that cannot be read here nothing is said.
pub fn check_scratch_images(plan: &Plan, staged: &[StagedContext]) -> Result<()> {
    for (image, staged) in plan.images.iter().zip(staged) {
        for of in image.platforms.iter().filter(|of| of.base == "scratch") {
            let known = interpret(plan, image, of, staged, None);
            if let Ok(EvaluatedStage { script, tree, begins_with_nothing: true, .. }) = known {
                scratch_check::check(&script.config, &tree).with_context(|| describe(image, of))?;
            }
        }
    }
    Ok(())
}

/// The same without a build context, where nothing is to be written.
pub fn check_unstaged_scratch_images(plan: &Plan, dockerfiles: &[Dockerfile]) -> Result<()> {
    let on_scratch = |(image, _): &(&Image, _)| image.platforms.iter().any(|of| of.base == "scratch");
    let (images, dockerfiles): (Vec<&Image>, Vec<&Dockerfile>) =
        plan.images.iter().zip(dockerfiles).filter(on_scratch).unzip();
    if images.is_empty() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let target_dir = Utf8PathBuf::try_from(dir.path().to_owned())?;
    let paths = Paths { target_dir, ..plan.paths.clone() };
    let elsewhere = Plan { paths, images: images.into_iter().cloned().collect(), ..plan.clone() };
    let staged = elsewhere.images.iter().zip(dockerfiles);
    let staged = staged.map(|(image, dockerfile)| context::stage(&elsewhere, image, dockerfile.clone()));
    check_scratch_images(&elsewhere, &staged.collect::<Result<Vec<_>>>()?)
}

fn describe(image: &Image, of: &ImagePlatform) -> String {
    format!("image '{}', {}", image.name, of.platform)
}

/// What a stage comes to.
struct EvaluatedStage {
    script: Stage,
    layers: Vec<PlannedLayer>,
    /// All that the image holds then.
    tree: RootFs,
    begins_with_nothing: bool,
}

fn interpret(
    plan: &Plan,
    image: &Image,
    of: &ImagePlatform,
    staged: &StagedContext,
    base: Option<&BaseImage>,
) -> Result<EvaluatedStage> {
    let source = StageSource::new(image, &staged.dockerfile, plan.source_date_epoch);
    let config = base.map(|base| base.config.get("config").cloned().unwrap_or_default());
    let script = read_stage(&source, of.platform, config.as_ref())?;
    let mut tree = base.map_or_else(RootFs::default, |base| base.tree.clone());
    let layers = layers(&script.copies, &staged.dir, &|path| source.is_binary(path), &mut tree, plan.source_date_epoch)
        .with_context(|| format!("image '{}'", image.name))?;
    let begins_with_nothing = base.is_none() && script.from == "scratch";
    Ok(EvaluatedStage { script, layers, tree, begins_with_nothing })
}

fn prepare_platform(
    plan: &Plan,
    image: &Image,
    of: &ImagePlatform,
    staged: &StagedContext,
    bases: &PulledBases,
) -> Result<PreparedPlatform> {
    let platform = of.platform;
    let base = bases.get(&(of.base.clone(), platform)).cloned();
    check_onbuild(image, &of.base, base.as_ref().and_then(|base| base.config.get("config")))?;
    let EvaluatedStage { script, layers, tree, begins_with_nothing } =
        interpret(plan, image, of, staged, base.as_deref())?;
    if begins_with_nothing {
        scratch_check::check(&script.config, &tree).with_context(|| describe(image, of))?;
    }
    let sources = render::copied_binaries(of).into_iter().map(|copied| copied.source);
    let sources: BTreeMap<String, &Binary> = sources.zip(&of.binaries).collect();
    let waiting = layers.iter().enumerate().filter_map(|(index, layer)| {
        let binary = sources.get(&layer.binary.as_ref()?.0)?;
        Some((of.build.clone(), (*binary).clone(), index))
    });
    let waiting = waiting.collect();
    Ok(PreparedPlatform { platform, base, config: script.config, layers, waiting })
}

/// A base's ONBUILD is for the builder of the next image, and may RUN.
fn check_onbuild(image: &Image, base: &str, config: Option<&Value>) -> Result<(), Failure> {
    let instructions = config.and_then(|config| config.get("OnBuild")?.as_array());
    if instructions.is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let what = format!("image '{}': the embedded engine cannot do ONBUILD of its base {base}", image.name);
    Err(Failure::new(Class::Config, what).hint("take the other engine: `--engine buildx`"))
}

/// Makes the layouts, beside `compile`, which tells of each binary as it comes. `on_layer` is told of every layer as
/// soon as its blob is there, the bases' first; from several threads. No more are made when it says that there is no
/// use, or when one has failed.
pub fn assemble<T>(
    prepared: &Prepared<'_>,
    on_layer: &OnLayer<'_>,
    ui: &Ui,
    compile: impl FnOnce(&mut dyn FnMut(&BuildSettings, &Binary, &Artifact)) -> Result<T>,
) -> Result<(T, Vec<Layout>)> {
    let store = LayerStore::new(prepared.plan.paths.work_dir().join("+layers"), ui.bars());
    let made: Mutex<BTreeMap<LayerPosition, Result<Layer>>> = Mutex::default();
    let (sender, receiver) = mpsc::channel::<(LayerPosition, LayerEntries)>();
    let receiver = Mutex::new(receiver);
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_WORKERS);
    let given_up = AtomicBool::new(false);
    let work = || {
        while let Some((place, entries)) = next(&receiver) {
            if given_up.load(Ordering::Relaxed) {
                continue;
            }
            let image = prepared.images[place.0].0;
            let layer = prepared.layer(place, &entries, &store, ui.timings());
            let goes_on = layer.as_ref().is_ok_and(|layer| on_layer(image, layer));
            given_up.fetch_or(!goes_on, Ordering::Relaxed);
            lock(&made).insert(place, layer);
        }
    };
    let compiled = std::thread::scope(|scope| {
        (0..workers).for_each(|_| drop(scope.spawn(work)));
        prepared.ready(on_layer, &sender);
        let result = compile(&mut |build, binary, artifact| prepared.arrived(build, binary, artifact, &sender));
        given_up.fetch_or(result.is_err(), Ordering::Relaxed);
        drop(sender);
        result
    })?;
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The others were given up for it.
    if let Some(place) = made.iter().find_map(|(place, layer)| layer.is_err().then_some(*place))
        && let Some(Err(error)) = made.remove(&place)
    {
        return Err(error);
    }
    let layouts = prepared.images.iter().enumerate().map(|(number, image)| {
        let _written = ui.timings().span(Phase::Layout, format_args!("{}: layout", image.0.name));
        layout(number, image, &mut made, prepared.plan)
    });
    let layouts = layouts.collect::<Result<Vec<_>>>()?;
    store.prune()?;
    Ok((compiled, layouts))
}

impl Prepared<'_> {
    /// Makes a layer.
    fn layer(
        &self,
        (i, p, l): LayerPosition,
        entries: &LayerEntries,
        store: &LayerStore,
        timings: &Timings,
    ) -> Result<Layer> {
        let (image, _, platforms) = &self.images[i];
        let of = &platforms[p];
        let target = of.layers[l].binary.as_ref().map(|(_, target)| target.rsplit('/').next().unwrap_or(target));
        let target = target.unwrap_or("files");
        let mut span = timings.span(Phase::Layer, format_args!("{} {}: {target}", of.platform, image.name));
        let (layer, is_new) = store.layer(entries, image.compression, image.compression_level)?;
        span.digest(layer.descriptor.digest());
        match is_new {
            true => span.bytes(layer.descriptor.size()),
            false => span.note("was there"),
        }
        Ok(layer)
    }

    /// Sends off what waits for no binary.
    fn ready(&self, on_layer: &OnLayer<'_>, jobs: &mpsc::Sender<(LayerPosition, LayerEntries)>) {
        for (i, (image, _, platforms)) in self.images.iter().enumerate() {
            for (p, platform) in platforms.iter().enumerate() {
                for layer in platform.base.iter().flat_map(|base| &base.layers) {
                    on_layer(image, layer);
                }
                for (l, layer) in platform.layers.iter().enumerate().filter(|(_, layer)| layer.binary.is_none()) {
                    // The workers end when the sender is gone, and not before.
                    let _ = jobs.send(((i, p, l), layer.entries.clone()));
                }
            }
        }
    }

    /// Sends off the layers that waited for a binary.
    fn arrived(
        &self,
        build: &BuildSettings,
        binary: &Binary,
        artifact: &Artifact,
        jobs: &mpsc::Sender<(LayerPosition, LayerEntries)>,
    ) {
        for (i, (_, _, platforms)) in self.images.iter().enumerate() {
            for (p, platform) in platforms.iter().enumerate() {
                for (_, _, l) in platform.waiting.iter().filter(|(of, name, _)| of == build && name == binary) {
                    let layer = &platform.layers[*l];
                    let mut entries = layer.entries.clone();
                    let target = layer.binary.as_ref().map(|(_, target)| target.as_str()).unwrap_or_default();
                    if let Some(entry) = entries.get_mut(target) {
                        entry.file = Some(LayerFile {
                            path: artifact.path.clone(),
                            size: artifact.size,
                            sha256: artifact.sha256.clone(),
                        });
                    }
                    let _ = jobs.send(((i, p, *l), entries));
                }
            }
        }
    }
}

/// Writes an image's layout.
fn layout(
    number: usize,
    (image, dir, platforms): &(&Image, Utf8PathBuf, Vec<PreparedPlatform>),
    made: &mut BTreeMap<LayerPosition, Result<Layer>>,
    plan: &Plan,
) -> Result<Layout> {
    let mut blobs: Vec<Blob> = Vec::new();
    let mut files: Vec<Layer> = Vec::new();
    let mut manifests: Vec<(Platform, Descriptor)> = Vec::new();
    for (p, platform) in platforms.iter().enumerate() {
        let mut added = Vec::new();
        for (l, planned) in platform.layers.iter().enumerate() {
            let made = made.remove(&(number, p, l));
            let layer = made.with_context(|| format!("'{}' was not made", planned.created_by))??;
            added.push(AddedLayer { layer, created_by: planned.created_by.clone() });
        }
        let base = platform.base.as_deref();
        let ImageDocuments { config, manifest } = manifest::image(&ImageParts {
            platform: platform.platform,
            base_config: base.map_or(&Value::Null, |base| &base.config),
            base_layers: base.map_or(&[], |base| &base.layers),
            config: &platform.config,
            added: &added,
            source_date_epoch: plan.source_date_epoch,
        })?;
        manifests.push((platform.platform, manifest.descriptor.clone()));
        files.extend(added.into_iter().map(|added| added.layer));
        files.extend(base.iter().flat_map(|base| base.layers.clone()));
        blobs.extend([config, manifest]);
    }
    let index = manifest::index(&manifests, &image.annotations)?;
    let descriptor = index.descriptor.clone();
    blobs.push(index);
    layout::write(dir, &blobs, &files, &descriptor)?;
    Layout::open(dir)
}
