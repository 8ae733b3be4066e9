//! Compiles the binaries, builds and verifies the images, and writes the requested outputs.

use std::sync::mpsc;

use anyhow::Result;

use super::findings;
use super::prepare::Prepared;
use crate::compile::Artifacts;
use crate::image::buildx::BuildxEngine;
use crate::image::embedded::{self, PreparedImage, StagedImage};
use crate::image::engine::Engine;
use crate::image::{build_context, export};
use crate::oci::cache::Cache;
use crate::oci::descriptor::ImageBlob;
use crate::oci::layout::Layout;
use crate::plan::{Image, Plan};
use crate::report::{Report, ReportInputs, ReportedImage, TagOutcome};
use crate::threads::{CancelToken, Stages};
use crate::ui::Ui;
use crate::verify::smoke::{self, SmokeResults};
use crate::verify::{VerifiedImage, before_compiling, verify_layout};

/// The compiled binaries and the verified images, before anything is tagged.
pub(crate) struct BuildOutput {
    pub artifacts: Artifacts,
    /// The built images, in plan order.
    pub images: Vec<BuiltImage>,
}

/// A verified image on disk.
pub(crate) struct BuiltImage {
    pub layout: Layout,
    pub verified: VerifiedImage,
    pub smoke: SmokeResults,
}

/// Builds and verifies all images, and writes the outputs that the plan requests. The embedded engine sends each layer
/// to `blobs` as soon as the layer is finished, even if cargo is still compiling other binaries. buildx starts only after
/// all binaries have been compiled.
pub(crate) fn build_images<'env>(
    plan: &'env Plan,
    prepared: &'env Prepared,
    stages: &Stages<'_, 'env>,
    blobs: &mpsc::Sender<ImageBlob>,
    cancel: &'env CancelToken,
    ui: &'env Ui,
) -> Result<BuildOutput> {
    let CompileOutput { artifacts, embedded_layouts } = compile(plan, prepared, stages, blobs, cancel, ui)?;
    stage_binaries(prepared, &artifacts)?;
    let layouts = build_with_buildx(plan, prepared, embedded_layouts, ui)?;
    let images = verify_images(plan, &prepared.images, layouts, &artifacts, cancel, ui)?;
    cancel.check()?;
    let layouts: Vec<&Layout> = images.iter().map(|built| &built.layout).collect();
    export::write(&plan.outputs, &prepared.images, &layouts, ui)?;
    if let Some(loader) = &prepared.loader {
        loader.load(&prepared.images, &layouts, ui)?;
    }
    Ok(BuildOutput { artifacts, images })
}

/// The compiled binaries, and the layouts that the embedded engine built from them.
struct CompileOutput {
    artifacts: Artifacts,
    /// The layouts in plan order, without those of images that buildx builds.
    embedded_layouts: Vec<Layout>,
}

/// Compiles the binaries. The embedded engine builds its images at the same time.
fn compile<'env>(
    plan: &'env Plan,
    prepared: &'env Prepared,
    stages: &Stages<'_, 'env>,
    blobs: &mpsc::Sender<ImageBlob>,
    cancel: &'env CancelToken,
    ui: &'env Ui,
) -> Result<CompileOutput> {
    let epoch = plan.source_date_epoch;
    let (finished, binaries) = mpsc::channel();
    let images = embedded::prepare(embedded_images(prepared), &prepared.pulled_bases, epoch)?;
    check_before_compiling(&images, prepared, ui)?;
    check_buildx_images(prepared, epoch, ui)?;
    if images.is_empty() {
        drop(binaries);
        let artifacts = prepared.source.binaries(&finished, cancel, ui)?;
        return Ok(CompileOutput { artifacts, embedded_layouts: Vec::new() });
    }
    let compiling = stages.spawn(move || {
        let artifacts = prepared.source.binaries(&finished, cancel, ui);
        // Record the error before the channel closes; otherwise the layer builder would report missing binaries first.
        artifacts.map_err(|error| cancel.fail(error).into())
    });
    let layouts = embedded::build(&images, binaries, blobs, &plan.paths, epoch, cancel, ui);
    let layouts = layouts.map_err(|error| cancel.fail(error));
    let artifacts = compiling.join()?;
    Ok(CompileOutput { artifacts, embedded_layouts: layouts? })
}

/// Fails if verification would report an error whatever the binaries contain, such as a user that the base lacks.
fn check_before_compiling(images: &[PreparedImage<'_>], prepared: &Prepared, ui: &Ui) -> Result<()> {
    for PreparedImage { image, platforms, .. } in images {
        let mut errors = Vec::new();
        for platform in platforms {
            let loads_glibc = prepared.source.loads_glibc(&platform.build);
            errors.extend(before_compiling::check(image, platform, loads_glibc)?);
        }
        findings::print_and_check(&image.name, errors.iter(), ui)?;
    }
    Ok(())
}

/// Checks the images that buildx builds like [`check_before_compiling`]. Skips images that only a builder can evaluate.
fn check_buildx_images(prepared: &Prepared, source_date_epoch: u64, ui: &Ui) -> Result<()> {
    let bases = &prepared.pulled_bases;
    for staged in images_built_by(prepared, |engine| *engine != Engine::Embedded) {
        let has_bases = staged.image.platforms.iter().all(|platform| {
            platform.base == "scratch" || bases.contains_key(&(platform.base.clone(), platform.platform))
        });
        if !has_bases {
            continue;
        }
        if let Ok(images) = embedded::prepare([staged], bases, source_date_epoch) {
            check_before_compiling(&images, prepared, ui)?;
        }
    }
    Ok(())
}

/// Returns the images that the embedded engine builds.
fn embedded_images(prepared: &Prepared) -> impl Iterator<Item = StagedImage<'_>> {
    images_built_by(prepared, |engine| *engine == Engine::Embedded)
}

fn images_built_by(prepared: &Prepared, is_engine: fn(&Engine) -> bool) -> impl Iterator<Item = StagedImage<'_>> {
    let images = prepared.images.iter().zip(&prepared.staged).zip(&prepared.engines).enumerate();
    images.filter(move |(_, (_, engine))| is_engine(engine)).map(|(index, ((image, staged), _))| StagedImage {
        index,
        image,
        staged,
    })
}

/// Builds the images that need buildx, and returns the layouts of all images in plan order.
fn build_with_buildx(plan: &Plan, prepared: &Prepared, embedded_layouts: Vec<Layout>, ui: &Ui) -> Result<Vec<Layout>> {
    let mut embedded_layouts = embedded_layouts.into_iter();
    let mut layouts = Vec::new();
    for ((image, staged), engine) in prepared.images.iter().zip(&prepared.staged).zip(&prepared.engines) {
        match engine {
            Engine::Embedded => layouts.extend(embedded_layouts.next()),
            Engine::Buildx(builder) => {
                let buildx = BuildxEngine { builder, paths: &plan.paths, source_date_epoch: plan.source_date_epoch };
                layouts.push(buildx.build(image, staged, ui)?);
            }
        }
    }
    Ok(layouts)
}

/// Copies the binaries into the build contexts. The embedded engine does not read the copies, which are only for users
/// to inspect.
fn stage_binaries(prepared: &Prepared, artifacts: &Artifacts) -> Result<()> {
    let mut images = prepared.images.iter().zip(&prepared.staged);
    images.try_for_each(|(image, staged)| build_context::stage_binaries(image, artifacts, &staged.dir))
}

fn verify_images(
    plan: &Plan,
    images: &[Image],
    layouts: Vec<Layout>,
    artifacts: &Artifacts,
    cancel: &CancelToken,
    ui: &Ui,
) -> Result<Vec<BuiltImage>> {
    let cache = Cache::new(&plan.paths.cache_dir);
    let host = smoke::find_host(images, ui)?;
    let mut built = Vec::new();
    for (image, layout) in images.iter().zip(layouts) {
        cancel.check()?;
        let verified = verify_layout(image, &layout, artifacts, &cache, ui.timings())?;
        findings::print_and_check(&image.name, verified.inspected.all_findings(), ui)?;
        let smoke = smoke::run(image, &layout, &host, &plan.paths.work_dir(), &cache, ui)?;
        built.push(BuiltImage { layout, verified, smoke });
    }
    Ok(built)
}

impl BuildOutput {
    /// Creates the report for a run. `moved_tags` lists the tags that were moved for each image, in plan order.
    pub(crate) fn report(
        &self,
        plan: &Plan,
        prepared: &Prepared,
        moved_tags: Vec<Vec<TagOutcome>>,
        only_loaded: bool,
    ) -> Report {
        let mut images = Vec::new();
        for ((image, built), moved) in prepared.images.iter().zip(&self.images).zip(moved_tags) {
            images.push(ReportedImage { image, verified: &built.verified, smoke: &built.smoke, moved });
        }
        Report::new(ReportInputs {
            commit: plan.commit.as_ref(),
            images,
            artifacts: &self.artifacts,
            source: &prepared.source,
            bases: &prepared.bases,
            only_loaded,
        })
    }
}
