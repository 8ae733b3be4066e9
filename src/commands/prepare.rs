//! Prepares a run, so that as many errors as possible are reported before the compiler starts.

use anyhow::Result;

use crate::compile::{ArtifactSource, CompileRequest};
use crate::dockerfile::pinned_bases::PinnedBases;
use crate::dockerfile::render::Dockerfile;
use crate::error::Failure;
use crate::image::bases::{self, ResolvedBases};
use crate::image::build_context::{self, StagedContext, context_dir};
use crate::image::buildx::qemu;
use crate::image::engine::{self, Engine, EngineRequest, EngineSelection};
use crate::image::load::{self, ImageLoader};
use crate::image::{self, ca_certificates, embedded, export};
use crate::oci::cache::Cache;
use crate::plan::{Image, Plan};
use crate::platform::Platform;
use crate::registry::Registry;
use crate::timings::Phase;
use crate::ui::Ui;

/// The results of the checks that run before the first registry request.
pub(crate) struct LocalChecks {
    /// The images' engines, in plan order.
    engines: Vec<Engine>,
    /// The images' Dockerfiles, in plan order, rendered without base image digests.
    dockerfiles: Vec<Dockerfile>,
    loader: Option<ImageLoader>,
    source: ArtifactSource,
}

impl LocalChecks {
    /// Checks the files to copy, the templates, the engines and the linkers. Creates a builder if an engine needs one.
    pub(crate) fn run(plan: &Plan, ui: &Ui) -> Result<LocalChecks> {
        let (dockerfiles, engines) = ui.timed(Phase::Prepare, "engine", || {
            let SelectedEngines { dockerfiles, selections } = select_engines(plan, ui)?;
            let selections = selections.into_iter().collect::<Result<Vec<_>>>()?;
            let cache = Cache::new(&plan.paths.cache_dir);
            cache.check()?;
            cache.remove_leftovers()?;
            anyhow::Ok((dockerfiles, engine::start(&plan.images, selections, &plan.paths, ui)?))
        })?;
        plan.notes.iter().for_each(|note| ui.note(note));
        ca_certificates::left_out_note(&plan.images).iter().for_each(|note| ui.note(note));
        let loader = if plan.load { Some(load::find(&plan.images, ui)?) } else { None };
        let source = ui.timed(Phase::Prepare, "toolchain", || {
            ArtifactSource::find(compile_request(plan), &plan.artifacts, plan.commit.as_ref(), ui)
        })?;
        Ok(LocalChecks { engines, dockerfiles, loader, source })
    }
}

/// Returns a request to compile all builds of a plan.
pub(crate) fn compile_request(plan: &Plan) -> CompileRequest {
    CompileRequest { builds: plan.unique_builds(), paths: plan.paths.clone(), options: plan.cargo.clone() }
}

/// The engines selected for the images, and the Dockerfiles that they will build.
pub(crate) struct SelectedEngines {
    /// The images' Dockerfiles, in plan order, rendered without base image digests.
    pub dockerfiles: Vec<Dockerfile>,
    /// The images' engines, in plan order. Contains an error for an image that no engine can build.
    pub selections: Vec<Result<EngineSelection>>,
}

/// Renders the Dockerfiles without base image digests, and selects an engine for each.
pub(crate) fn select_engines(plan: &Plan, ui: &Ui) -> Result<SelectedEngines> {
    build_context::check_files(&plan.images, &plan.paths)?;
    export::check(&plan.outputs)?;
    let mut dockerfiles = Vec::new();
    for image in &plan.images {
        dockerfiles.push(image::render(image, &PinnedBases::default(), &plan.paths.root)?);
    }
    let selections = engine::choose(engine_request(plan, &dockerfiles), ui);
    Ok(SelectedEngines { dockerfiles, selections })
}

/// Creates a request to select the engines for a plan.
pub(crate) fn engine_request<'a>(plan: &'a Plan, dockerfiles: &'a [Dockerfile]) -> EngineRequest<'a> {
    EngineRequest {
        options: &plan.engine,
        images: &plan.images,
        dockerfiles,
        paths: &plan.paths,
        source_date_epoch: plan.source_date_epoch,
    }
}

/// Fails if a Dockerfile has RUN instructions for a platform that its builder can neither run natively nor emulate.
/// `engines` and `dockerfiles` have one entry per image, in the same order as `images`.
pub(crate) fn check_emulation<'a>(
    images: &[Image],
    dockerfiles: &[Dockerfile],
    engines: impl IntoIterator<Item = &'a Engine>,
    ui: &Ui,
) -> Result<(), Failure> {
    let host = Platform::host_triple();
    for ((image, dockerfile), engine) in images.iter().zip(dockerfiles).zip(engines) {
        if let Engine::Buildx(builder) = engine {
            qemu::check(&image.name, &dockerfile.run_platforms, &host, builder, ui)?;
        }
    }
    Ok(())
}

/// The inputs for compiling and building the images.
pub(crate) struct Prepared {
    /// The images of the plan, with labels and annotations that record the names and digests of their base images.
    pub images: Vec<Image>,
    pub bases: ResolvedBases,
    /// The images' engines, in plan order.
    pub engines: Vec<Engine>,
    /// For each image, in plan order, whether its files and its configuration are known without a builder.
    pub is_predictable: Vec<bool>,
    pub source: ArtifactSource,
    pub loader: Option<ImageLoader>,
    /// The images' staged build contexts, in plan order.
    pub staged: Vec<StagedContext>,
}

/// Pins the base images to digests, renders the Dockerfiles again with these digests, installs missing toolchain
/// components, and writes the build contexts.
pub(crate) fn prepare(plan: &Plan, preflight: LocalChecks, registry: &Registry, ui: &Ui) -> Result<Prepared> {
    let LocalChecks { engines, dockerfiles, loader, source } = preflight;
    let bases = bases::pin(&plan.images, registry, ui)?;
    check_emulation(&plan.images, &dockerfiles, &engines, ui)?;
    let request = engine_request(plan, &dockerfiles);
    let is_predictable = (0..plan.images.len()).map(|index| request.is_predictable(index)).collect();
    let images = bases.pinned.with_base_labels(&plan.images);
    let dockerfiles = render_pinned(&images, dockerfiles, &bases, plan)?;
    let source = ui.timed(Phase::Prepare, "standard libraries and sysroots", || source.install_missing(ui))?;
    let staged = stage_contexts(&images, dockerfiles, plan, ui)?;
    for ((image, staged), engine) in images.iter().zip(&staged).zip(&engines) {
        if matches!(engine, Engine::Buildx(_)) {
            embedded::check_scratch_image(image, staged, plan.source_date_epoch)?;
        }
    }
    Ok(Prepared { images, bases, engines, is_predictable, source, loader, staged })
}

/// Renders the Dockerfiles of images with pinned bases again, because templates can use the digests. The first
/// rendering only checks the templates, before any registry request is sent.
fn render_pinned(
    images: &[Image],
    dockerfiles: Vec<Dockerfile>,
    bases: &ResolvedBases,
    plan: &Plan,
) -> Result<Vec<Dockerfile>> {
    let mut pinned = Vec::new();
    for (image, dockerfile) in images.iter().zip(dockerfiles) {
        pinned.push(if bases.pinned.used_by(image) {
            image::render(image, &bases.pinned, &plan.paths.root)?
        } else {
            dockerfile
        });
    }
    Ok(pinned)
}

fn stage_contexts(images: &[Image], dockerfiles: Vec<Dockerfile>, plan: &Plan, ui: &Ui) -> Result<Vec<StagedContext>> {
    let mut staged = Vec::new();
    for (image, dockerfile) in images.iter().zip(dockerfiles) {
        let _staging = ui.timings().span(Phase::Prepare, format_args!("build context of {}", image.name));
        let dir = context_dir(&plan.paths, image);
        staged.push(build_context::stage(image, dockerfile, &plan.paths.root, dir)?);
    }
    Ok(staged)
}
