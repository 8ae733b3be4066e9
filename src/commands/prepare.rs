//! Prepares a run, so that as many errors as possible are reported before the compiler starts.

use anyhow::Result;

use crate::compile::{ArtifactSource, CompileRequest};
use crate::dockerfile::pinned_bases::PinnedBases;
use crate::dockerfile::render::Dockerfile;
use crate::error::Failure;
use crate::image::bases::{self, PulledBases, ResolvedBases};
use crate::image::build_context::{self, StagedContext, context_dir};
use crate::image::buildx::builder::Builder;
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
    engine: Engine,
    /// The images' Dockerfiles, in plan order, rendered without base image digests.
    dockerfiles: Vec<Dockerfile>,
    loader: Option<ImageLoader>,
    source: ArtifactSource,
}

impl LocalChecks {
    /// Checks the files to copy, the templates, the engine and the linkers. Creates a builder if the engine needs one.
    pub(crate) fn run(plan: &Plan, ui: &Ui) -> Result<LocalChecks> {
        let (dockerfiles, engine) = ui.timed(Phase::Prepare, "engine", || {
            let SelectedEngine { dockerfiles, selection } = select_engine(plan, ui)?;
            Cache::new(&plan.paths.cache_dir).check()?;
            anyhow::Ok((dockerfiles, engine::start(selection, &plan.paths, ui)?))
        })?;
        plan.notes.iter().for_each(|note| ui.note(note));
        ca_certificates::left_out_note(&plan.images).iter().for_each(|note| ui.note(note));
        let loader = if plan.load { Some(load::find(&plan.images, ui)?) } else { None };
        let source = ui.timed(Phase::Prepare, "toolchain", || {
            ArtifactSource::find(compile_request(plan), &plan.artifacts, plan.commit.as_ref(), ui)
        })?;
        Ok(LocalChecks { engine, dockerfiles, loader, source })
    }
}

/// Returns a request to compile all builds of a plan.
pub(crate) fn compile_request(plan: &Plan) -> CompileRequest {
    CompileRequest { builds: plan.unique_builds(), paths: plan.paths.clone(), options: plan.cargo.clone() }
}

/// The selected engine and the Dockerfiles that it will build.
pub(crate) struct SelectedEngine {
    /// The images' Dockerfiles, in plan order, rendered without base image digests.
    pub dockerfiles: Vec<Dockerfile>,
    pub selection: EngineSelection,
}

/// Renders the Dockerfiles without base image digests, and selects an engine that can build them.
pub(crate) fn select_engine(plan: &Plan, ui: &Ui) -> Result<SelectedEngine> {
    build_context::check_files(&plan.images, &plan.paths)?;
    export::check(&plan.outputs)?;
    let mut dockerfiles = Vec::new();
    for image in &plan.images {
        dockerfiles.push(image::render(image, &PinnedBases::default(), &plan.paths.root)?);
    }
    let selection = engine::choose(engine_request(plan, &dockerfiles), ui)?;
    Ok(SelectedEngine { dockerfiles, selection })
}

/// Creates a request to select an engine for a plan.
pub(crate) fn engine_request<'a>(plan: &'a Plan, dockerfiles: &'a [Dockerfile]) -> EngineRequest<'a> {
    EngineRequest {
        options: &plan.engine,
        images: &plan.images,
        dockerfiles,
        paths: &plan.paths,
        source_date_epoch: plan.source_date_epoch,
    }
}

/// Fails if a Dockerfile has RUN instructions for a platform that the builder can neither run natively nor emulate.
pub(crate) fn check_emulation(
    images: &[Image],
    dockerfiles: &[Dockerfile],
    builder: &Builder,
    ui: &Ui,
) -> Result<(), Failure> {
    let host = Platform::host_triple();
    let mut images = images.iter().zip(dockerfiles);
    images.try_for_each(|(image, dockerfile)| qemu::check(&image.name, &dockerfile.run_platforms, &host, builder, ui))
}

/// The inputs for compiling and building the images.
pub(crate) struct Prepared {
    /// The images of the plan, with labels and annotations that record the names and digests of their base images.
    pub images: Vec<Image>,
    pub bases: PinnedBases,
    pub engine: PreparedEngine,
    pub source: ArtifactSource,
    pub loader: Option<ImageLoader>,
    /// The images' staged build contexts, in plan order.
    pub staged: Vec<StagedContext>,
}

/// The selected engine and its inputs: a buildx builder, or the base images pulled for the embedded engine.
pub(crate) enum PreparedEngine {
    Buildx(Builder),
    Embedded(PulledBases),
}

/// Pins the base images to digests, renders the Dockerfiles again with these digests, installs missing toolchain
/// components, and writes the build contexts.
pub(crate) fn prepare(plan: &Plan, preflight: LocalChecks, registry: &Registry, ui: &Ui) -> Result<Prepared> {
    let LocalChecks { engine, dockerfiles, loader, source } = preflight;
    let bases = bases::pin(&plan.images, registry, ui)?;
    let images = bases.pinned.with_base_labels(&plan.images);
    let dockerfiles = render_pinned(&images, dockerfiles, &bases, plan)?;
    if let Engine::Buildx(builder) = &engine {
        check_emulation(&images, &dockerfiles, builder, ui)?;
    }
    let source = ui.timed(Phase::Prepare, "standard libraries and sysroots", || source.install_missing(ui))?;
    let staged = stage_contexts(&images, dockerfiles, plan, ui)?;
    let engine = match engine {
        Engine::Buildx(builder) => {
            embedded::check_scratch_images(&images, &staged, plan.source_date_epoch)?;
            PreparedEngine::Buildx(builder)
        }
        Engine::Embedded => {
            let cache = Cache::new(&plan.paths.cache_dir);
            PreparedEngine::Embedded(bases::pull(&images, &bases, registry, &cache, ui)?)
        }
    };
    Ok(Prepared { images, bases: bases.pinned, engine, source, loader, staged })
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
