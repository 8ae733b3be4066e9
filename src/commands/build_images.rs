//! Compiles the binaries, builds and verifies the images, and writes the requested outputs.

use std::sync::mpsc;

use anyhow::Result;

use super::check_images::{self, CheckedImages, check_images, check_trial_builds};
use super::findings;
use super::prepare::Prepared;
use crate::compile::Artifacts;
use crate::image::bases::PulledBases;
use crate::image::buildx::BuildxEngine;
use crate::image::embedded::{self, BuildInputs};
use crate::image::engine::Engine;
use crate::image::{build_context, export, libraries};
use crate::oci::cache::Cache;
use crate::oci::descriptor::ImageBlob;
use crate::oci::layout::Layout;
use crate::plan::{Image, Plan};
use crate::registry::Registry;
use crate::report::{Report, ReportInputs, ReportedImage, TagOutcome};
use crate::threads::{CancelToken, Stages};
use crate::ui::Ui;
use crate::verify::smoke::{self, SmokeResults};
use crate::verify::{VerifiedImage, verify_layout};

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

/// Builds and verifies all images, and writes the outputs that the plan requests. Bases are pulled, and images checked,
/// while cargo is compiling. The embedded engine sends each layer to `blobs` as soon as the layer is finished, even if
/// cargo is still compiling other binaries. buildx starts only after all binaries have been compiled.
pub(crate) fn build_images<'env>(
    plan: &'env Plan,
    prepared: &'env Prepared,
    run: &BuildRun<'_, '_, 'env>,
    blobs: &mpsc::Sender<ImageBlob>,
    ui: &'env Ui,
) -> Result<BuildOutput> {
    let cancel = run.cancel;
    let CompileOutput { artifacts, bases, embedded_layouts } = compile_and_build(plan, prepared, run, blobs, ui)?;
    stage_binaries(prepared, &artifacts)?;
    stage_libraries(prepared, &artifacts, &bases, ui)?;
    let layouts = build_with_buildx(plan, prepared, embedded_layouts, cancel, ui)?;
    let images = verify_images(plan, &prepared.images, layouts, &artifacts, cancel, ui)?;
    cancel.check()?;
    let layouts: Vec<&Layout> = images.iter().map(|built| &built.layout).collect();
    export::write(&plan.outputs, &prepared.images, &layouts, ui)?;
    if let Some(loader) = &prepared.loader {
        loader.load(&prepared.images, &layouts, ui)?;
    }
    Ok(BuildOutput { artifacts, images })
}

/// What a run of stages shares.
pub(crate) struct BuildRun<'a, 'scope, 'env> {
    pub stages: &'a Stages<'scope, 'env>,
    pub registry: &'a Registry,
    pub cancel: &'env CancelToken,
}

/// The compiled binaries, and the layouts that the embedded engine built from them.
struct CompileOutput {
    artifacts: Artifacts,
    bases: PulledBases,
    /// The layouts in plan order, without those of images that buildx builds.
    embedded_layouts: Vec<Layout>,
}

/// Compiles the binaries while checking the images, on other threads, and builds those that use the embedded engine.
fn compile_and_build<'env>(
    plan: &'env Plan,
    prepared: &'env Prepared,
    run: &BuildRun<'_, '_, 'env>,
    blobs: &mpsc::Sender<ImageBlob>,
    ui: &'env Ui,
) -> Result<CompileOutput> {
    let BuildRun { stages, registry, cancel } = *run;
    let (finished, binaries) = mpsc::channel();
    let compile = move || {
        let artifacts = prepared.source.binaries(&finished, cancel, ui);
        // Record the error before the channel closes; otherwise the layer builder would report missing binaries first.
        artifacts.map_err(|error| cancel.fail(error).into())
    };
    // If there is nothing to pull, the checks are nearly instant, so run them before starting cargo.
    let (checked, compiling) = if check_images::needs_bases(prepared) {
        let compiling = stages.spawn(compile);
        (check_images(plan, prepared, registry, ui).map_err(|error| cancel.fail(error))?, compiling)
    } else {
        (check_images(plan, prepared, registry, ui)?, stages.spawn(compile))
    };
    let trial_builds = stages.spawn(move || check_trial_builds(plan, prepared, cancel, ui));
    let CheckedImages { embedded: images, bases } = checked;
    let inputs = BuildInputs { paths: &plan.paths, sysroots: prepared.source.sysroots() };
    let layouts = embedded::build(&images, binaries, blobs, &inputs, plan.source_date_epoch, cancel, ui);
    let layouts = layouts.map_err(|error| cancel.fail(error));
    let artifacts = compiling.join()?;
    trial_builds.join()?;
    Ok(CompileOutput { artifacts, embedded_layouts: layouts?, bases })
}

/// Builds the images that need buildx, and returns the layouts of all images in plan order.
fn build_with_buildx(
    plan: &Plan,
    prepared: &Prepared,
    embedded_layouts: Vec<Layout>,
    cancel: &CancelToken,
    ui: &Ui,
) -> Result<Vec<Layout>> {
    let mut embedded_layouts = embedded_layouts.into_iter();
    let mut layouts = Vec::new();
    for ((image, staged), engine) in prepared.images.iter().zip(&prepared.staged).zip(&prepared.engines) {
        match engine {
            Engine::Embedded => layouts.extend(embedded_layouts.next()),
            Engine::Buildx(builder) => {
                let buildx = BuildxEngine { builder, paths: &plan.paths, source_date_epoch: plan.source_date_epoch };
                layouts.push(buildx.build(image, staged, cancel, ui)?);
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

/// Copies libraries into the build contexts of images with `copy-libraries`, and prints their names.
fn stage_libraries(prepared: &Prepared, artifacts: &Artifacts, bases: &PulledBases, ui: &Ui) -> Result<()> {
    for (image, staged) in prepared.images.iter().zip(&prepared.staged) {
        for platform in image.platforms.iter().filter(|platform| platform.copy_libraries) {
            let base = bases.get(&(platform.base.clone(), platform.platform)).map(|base| &base.rootfs);
            let sysroots = prepared.source.sysroots();
            let libraries = libraries::to_copy(&platform.build, &platform.binaries, artifacts, base, sysroots)?;
            build_context::stage_libraries(platform, &libraries, &staged.dir)?;
            let names: Vec<&str> = libraries.iter().map(|library| library.name.as_str()).collect();
            if !names.is_empty() {
                ui.status("Copying", format!("{} into {} for {}", names.join(", "), image.name, platform.platform));
            }
        }
    }
    Ok(())
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
            bases: &prepared.bases.pinned,
            only_loaded,
        })
    }
}
