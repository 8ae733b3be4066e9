//! Prepares images for the embedded engine before anything is compiled: evaluates Dockerfiles and plans layers.

use std::sync::Arc;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::copy::{PendingSources, PlannedLayer, plan_layers};
use crate::dockerfile::read_stage::read_stage;
use crate::dockerfile::render::{self, Dockerfile};
use crate::dockerfile::stage::{Stage, StageSource};
use crate::error::{Class, Failure};
use crate::image::bases::{BaseImage, PulledBases};
use crate::image::build_context::{self, StagedContext};
use crate::image::scratch_check;
use crate::oci::rootfs::RootFs;
use crate::plan::{Binary, BuildSettings, Image, ImagePlatform};
use crate::platform::Platform;

/// The parts of an image that are known before compilation.
pub(crate) struct PreparedImage<'a> {
    /// The position of the image in the plan.
    pub index: usize,
    pub image: &'a Image,
    /// The directory to write the OCI layout to.
    pub layout_dir: Utf8PathBuf,
    /// The platforms, in the configured order.
    pub platforms: Vec<PreparedPlatform>,
}

/// One platform of a [`PreparedImage`].
pub(crate) struct PreparedPlatform {
    pub platform: Platform,
    /// The base image, or `None` for `scratch`.
    pub base: Option<Arc<BaseImage>>,
    /// The `config` object of the image config.
    pub config: Value,
    /// The layers to add to the base.
    pub layers: Vec<PlannedLayer>,
    pub build: BuildSettings,
    /// The file system of the image. The binaries are empty files, because they have not been compiled yet.
    pub rootfs: RootFs,
    /// The binaries of the image.
    pub binaries: Vec<Binary>,
    /// The layers whose binary has to be compiled first.
    pub waiting: Vec<WaitingLayer>,
}

/// A layer that can be built once its binary is compiled.
pub(crate) struct WaitingLayer {
    pub binary: Binary,
    /// The index of the layer in [`PreparedPlatform::layers`].
    pub layer: usize,
}

/// An image to prepare, with its staged build context.
pub(crate) struct StagedImage<'a> {
    /// The position of the image in the plan.
    pub index: usize,
    pub image: &'a Image,
    pub staged: &'a StagedContext,
}

/// Evaluates the Dockerfiles and reads the staged files.
pub(crate) fn prepare<'a>(
    images: impl IntoIterator<Item = StagedImage<'a>>,
    bases: &PulledBases,
    source_date_epoch: u64,
) -> Result<Vec<PreparedImage<'a>>> {
    let mut prepared = Vec::new();
    for StagedImage { index, image, staged } in images {
        let mut platforms = Vec::new();
        for platform in &image.platforms {
            platforms.push(prepare_platform(image, platform, staged, bases, source_date_epoch)?);
        }
        prepared.push(PreparedImage { index, image, layout_dir: staged.dir.join("oci"), platforms });
    }
    Ok(prepared)
}

fn prepare_platform(
    image: &Image,
    platform: &ImagePlatform,
    staged: &StagedContext,
    bases: &PulledBases,
    source_date_epoch: u64,
) -> Result<PreparedPlatform> {
    let base = bases.get(&(platform.base.clone(), platform.platform)).cloned();
    check_onbuild(image, &platform.base, base.as_ref().and_then(|base| base.config.get("config")))?;
    let evaluated = evaluate(image, platform, staged, base.as_deref(), source_date_epoch)?;
    evaluated.check_scratch().with_context(|| platform_label(image, platform))?;
    let EvaluatedStage { stage, layers, rootfs, .. } = evaluated;
    let waiting = waiting_layers(platform, &layers);
    Ok(PreparedPlatform {
        platform: platform.platform,
        base,
        config: stage.config,
        layers,
        build: platform.build.clone(),
        rootfs,
        binaries: platform.binaries.clone(),
        waiting,
    })
}

fn waiting_layers(platform: &ImagePlatform, layers: &[PlannedLayer]) -> Vec<WaitingLayer> {
    let mut waiting = Vec::new();
    for (binary, copied) in platform.binaries.iter().zip(render::copied_binaries(platform)) {
        for (layer, planned) in layers.iter().enumerate() {
            if planned.binary.as_ref().is_some_and(|planned| planned.source == copied.source) {
                waiting.push(WaitingLayer { binary: binary.clone(), layer });
            }
        }
    }
    waiting
}

/// Fails if a base has ONBUILD instructions, which the embedded engine cannot run.
fn check_onbuild(image: &Image, base: &str, config: Option<&Value>) -> Result<(), Failure> {
    let instructions = config.and_then(|config| config.get("OnBuild")?.as_array());
    if instructions.is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let message = format!("image '{}': the embedded engine does not support ONBUILD in base {base}", image.name);
    Err(Failure::new(Class::Config, message).hint("build with Docker: `--engine buildx`"))
}

/// Checks images like [`check_scratch_image`], but in temporary build contexts, so that nothing is written to the
/// target directory. `root` is the workspace root.
pub(crate) fn check_unstaged_scratch_images(
    images: &[Image],
    dockerfiles: &[Dockerfile],
    root: &Utf8Path,
    source_date_epoch: u64,
) -> Result<()> {
    for (image, dockerfile) in images.iter().zip(dockerfiles) {
        if image.platforms.iter().any(|platform| platform.base == "scratch") {
            let temporary = tempfile::tempdir()?;
            let dir = Utf8PathBuf::try_from(temporary.path().join("context"))?;
            let staged = build_context::stage(image, dockerfile.clone(), root, dir)?;
            check_scratch_image(image, &staged, source_date_epoch)?;
        }
    }
    Ok(())
}

/// Checks that an image contains its entrypoint and its user on platforms that are based on `scratch`, which buildx
/// does not check. Skips Dockerfiles that cannot be evaluated without Docker.
pub(crate) fn check_scratch_image(image: &Image, staged: &StagedContext, source_date_epoch: u64) -> Result<()> {
    for platform in image.platforms.iter().filter(|platform| platform.base == "scratch") {
        if let Ok(evaluated) = evaluate(image, platform, staged, None, source_date_epoch) {
            evaluated.check_scratch().with_context(|| platform_label(image, platform))?;
        }
    }
    Ok(())
}

fn platform_label(image: &Image, platform: &ImagePlatform) -> String {
    format!("image '{}', {}", image.name, platform.platform)
}

/// The result of applying a stage to its base.
struct EvaluatedStage {
    stage: Stage,
    layers: Vec<PlannedLayer>,
    /// The file system of the resulting image.
    rootfs: RootFs,
    is_from_scratch: bool,
}

impl EvaluatedStage {
    fn check_scratch(&self) -> Result<(), Failure> {
        if self.is_from_scratch { scratch_check::check(&self.stage.config, &self.rootfs) } else { Ok(()) }
    }
}

fn evaluate(
    image: &Image,
    platform: &ImagePlatform,
    staged: &StagedContext,
    base: Option<&BaseImage>,
    source_date_epoch: u64,
) -> Result<EvaluatedStage> {
    let source = StageSource::new(image, &staged.dockerfile, source_date_epoch);
    let base_config = base.map(|base| base.config.get("config").cloned().unwrap_or_default());
    let stage = read_stage(&source, platform.platform, base_config.as_ref())?;
    let mut rootfs = base.map(|base| base.rootfs.clone()).unwrap_or_default();
    let libraries = render::copied_libraries(platform).map(|libraries| libraries.source);
    let pending = PendingSources { is_binary: &|path| source.is_binary(path), libraries: libraries.as_deref() };
    let mut layers = plan_layers(&stage.copies, &staged.dir, &pending, &mut rootfs, source_date_epoch)
        .with_context(|| format!("image '{}'", image.name))?;
    set_capabilities(platform, &mut layers);
    let is_from_scratch = base.is_none() && stage.from == "scratch";
    Ok(EvaluatedStage { stage, layers, rootfs, is_from_scratch })
}

/// Adds the configured capabilities to the layers of binaries.
fn set_capabilities(platform: &ImagePlatform, layers: &mut [PlannedLayer]) {
    for (binary, copied) in platform.binaries.iter().zip(render::copied_binaries(platform)) {
        let Some(capabilities) = platform.capabilities.get(&binary.name) else { continue };
        for layer in layers.iter_mut() {
            let Some(planned) = layer.binary.as_ref().filter(|planned| planned.source == copied.source) else {
                continue;
            };
            if let Some(entry) = layer.entries.get_mut(&planned.target) {
                entry.capabilities = Some(*capabilities);
            }
        }
    }
}
