//! The story, on one screen: plan → artifacts → layouts → verified → published → report.

use std::sync::mpsc;

use anyhow::Result;
use camino::Utf8PathBuf;

use super::findings;
use super::results::{files, show};
use super::timings_page::TimingsPage;
use crate::cli::{
    BuildArgs, CompileArgs, DockerfileArgs, MessageFormat, PlanArgs, PublishArgs, SettingsArgs, environment,
};
use crate::compile::toolchain::Toolchain;
use crate::compile::{self, ArtifactSource, Artifacts, CompiledBinary, bundle, probe};
use crate::dockerfile::pinned_bases::PinnedBases;
use crate::dockerfile::render::{Dockerfile, HELPERS, VARIABLES};
use crate::error::{Class, Failure};
use crate::fs;
use crate::image::bases;
use crate::image::buildx::builder::{self, Builder};
use crate::image::buildx::{BuildxEngine, qemu};
use crate::image::context::{self, StagedContext};
use crate::image::embedded;
use crate::image::engine::{self, Engine, EngineRequest, EngineSelection};
use crate::image::load::{self, ImageLoader};
use crate::image::{self, export};
use crate::oci::cache::Cache;
use crate::oci::descriptor::ImageBlob;
use crate::oci::layout::Layout;
use crate::plan::{self, ConfigSources, Image, Output, Plan, PlanRequest, Workspace};
use crate::platform::Platform;
use crate::publish::{preflight, tags, upload};
use crate::registry::Registry;
use crate::report::{self, MovedTag, Report, ReportInputs, ReportedImage};
use crate::threads::{self, CancelToken};
use crate::timings::Phase;
use crate::ui::Ui;
use crate::ui::text::plural;
use crate::ui::wrap;
use crate::verify::smoke::{self, SmokeResults};
use crate::verify::{self, VerifiedImage, readback};

/// `cargo multiarch publish`
pub fn publish(args: &PublishArgs, ui: &Ui) -> Result<()> {
    let written = files(&args.reports, &[&args.refs_file, &args.digests_file])?;
    let request = args.destinations.add_to(PlanRequest { written_files: written, ..args.settings.request() });
    let plan = ui.timed(Phase::Prepare, "configuration", || load(&args.settings, args.smoke.add_to(request)))?;
    let timings_page = TimingsPage::prepare("publish", &plan, ui)?;
    let result = if args.push { push(plan, ui) } else { build_without_push(plan, ui) };
    if let Some(page) = timings_page {
        page.write(&result, ui);
    }
    let report = result?;
    report.write_files(args.refs_file.as_deref(), args.digests_file.as_deref())?;
    show(&report, args.output.message_format, &args.reports, ui)
}

/// `cargo multiarch build`
pub fn build(args: &BuildArgs, ui: &Ui) -> Result<()> {
    let written = files(&args.reports, &[])?;
    let request = args.destinations.add_to(PlanRequest { written_files: written, ..args.settings.request() });
    let plan = ui.timed(Phase::Prepare, "configuration", || load(&args.settings, args.smoke.add_to(request)))?;
    let timings_page = TimingsPage::prepare("build", &plan, ui)?;
    let result = build_without_push(plan, ui);
    if let Some(page) = timings_page {
        page.write(&result, ui);
    }
    show(&result?, args.output.message_format, &args.reports, ui)
}

/// `cargo multiarch compile`
pub fn compile(args: &CompileArgs, ui: &Ui) -> Result<()> {
    let plan = load(&args.settings, PlanRequest { is_partial: true, ..args.settings.request() })?;
    bundle::check_output_dir(&args.out)?;
    plan.notes.iter().for_each(|note| ui.note(note));
    let _ours = lock_workspace(&plan, ui)?;
    let toolchain = Toolchain::find(&plan)?.complete(&plan, ui)?;
    let artifacts = compile::run(&plan, &toolchain, ui, &mut |_, _, _| {})?;
    let files = bundle::write(&args.out, &plan, &toolchain, &artifacts)?;
    ui.status("Bundled", format!("{} in {}", plural(files.len(), "binary", "binaries"), args.out));
    files.iter().try_for_each(|file| Ok(ui.data(file.as_str())?))
}

/// Makes all images and moves the tags, last, when everything is in the registry.
fn push(plan: Plan, ui: &Ui) -> Result<Report> {
    let cancel = CancelToken::default();
    let registry = Registry::new(&plan.engine.insecure_registries, &cancel, ui.bars())?;
    let ready = check(&plan, ui)?;
    let _ours = lock_workspace(&plan, ui)?;
    preflight::check_push_access(&plan.images, &registry, ui)?;
    let images = plan.images.clone();
    let made = threads::scope(&cancel, |stages| {
        let (queue, blobs) = mpsc::channel();
        let (images, registry, cancel) = (&images, &registry, &cancel);
        let uploads = stages.spawn(move || upload::upload_blobs(images, blobs, registry, ui.timings(), cancel));
        let made = make(plan, ready, registry, &queue, cancel, ui)?;
        for (number, (image, built)) in made.each().enumerate() {
            image.repositories.iter().for_each(|repository| ui.status("Pushing", repository));
            upload::queue_layout(number, &built.layout, &queue)?;
        }
        drop(queue);
        uploads.join()?;
        Ok(made)
    })?;
    for (image, built) in made.each() {
        for repository in &image.repositories {
            ui.timed(Phase::Publish, format_args!("manifests of {repository}"), || {
                upload::push_manifests(&built.layout, repository, &registry)
            })?;
            ui.timed(Phase::Publish, format_args!("what {repository} serves"), || {
                readback::check_pushed(image, repository, &built.verified.digests, &registry)
            })?;
        }
    }
    let mut moved_tags = Vec::new();
    for (image, built) in made.each() {
        let mut moved = Vec::new();
        let digest = &built.verified.digests.index;
        for tag in tags::look_up_tags(image, &registry)? {
            let reference = &tag.reference;
            let _tagged = ui.timings().span(Phase::Publish, format_args!("tag {reference}"));
            let lost = tags::lost_platforms(image, &tag, digest, &registry)?;
            if !lost.is_empty() {
                ui.warning(format!("{reference} had {}, and has no more", lost.join(", ")));
            }
            let was = match tag.replaced_digest(digest) {
                Some(replaced) => format!(" (was {})", report::shorten_digest(replaced)),
                None => String::new(),
            };
            ui.status("Tagging", format!("{reference}{was}"));
            tags::move_tag(&tag, &built.layout, &registry)?;
            moved.push(MovedTag { reference: tag.reference, from: tag.current, to: digest.clone() });
        }
        moved_tags.push(moved);
    }
    for (image, built) in made.each() {
        image.repositories.iter().try_for_each(|name| {
            let _read = ui.timings().span(Phase::Publish, format_args!("where the tags of {name} lead"));
            readback::check_tags(image, name, &built.verified.digests.index, &registry)
        })?;
        ui.status(
            "Published",
            format!("{} for {}, verified", image.name, plural(image.platforms.len(), "platform", "platforms")),
        );
    }
    Ok(made.report(moved_tags, false))
}

/// Makes all images, and pushes none.
fn build_without_push(plan: Plan, ui: &Ui) -> Result<Report> {
    let cancel = CancelToken::default();
    let registry = Registry::new(&plan.engine.insecure_registries, &cancel, ui.bars())?;
    let ready = check(&plan, ui)?;
    let _ours = lock_workspace(&plan, ui)?;
    // Nothing is uploaded: the receiver is dropped.
    let (blobs, _) = mpsc::channel();
    let made = make(plan, ready, &registry, &blobs, &cancel, ui)?;
    for (image, built) in made.each() {
        ui.status("Built", format!("{} in {}, verified", image.name, built.layout.dir));
    }
    let moved_tags = vec![Vec::new(); made.images.len()];
    Ok(made.report(moved_tags, made.plan.load))
}

/// `cargo multiarch plan`
pub fn plan(args: &PlanArgs, ui: &Ui) -> Result<()> {
    let mut plan = load(&args.settings, args.settings.request())?;
    if args.matrix.is_none() && plan.images.iter().any(|image| image.repositories.is_empty()) {
        plan.notes.push(
            "no registry: `publish` will want one: `--registry ghcr.io/you`, or registry = \"…\" in the configuration"
                .to_owned(),
        );
    }
    plan.notes.iter().for_each(|note| ui.note(note));
    if let Some(forge) = args.matrix {
        // Each platform is compiled elsewhere: what this machine lacks is no matter.
        return Ok(ui.data(&serde_json::to_string(&forge.matrix(&plan.images)?)?)?);
    }
    let (dockerfiles, chosen) = inspect(&plan, ui)?;
    embedded::check_unstaged_scratch_images(&plan.images, &dockerfiles, &plan.paths.root, plan.source_date_epoch)?;
    let tools = probe::probe(&plan)?;
    if let Engine::Buildx(builder) = &chosen.engine {
        check_emulation(&plan, &dockerfiles, builder, ui)?;
    }
    let toolchain = Toolchain::choose(&plan, tools)?;
    toolchain.notes.iter().chain(&toolchain.advice()).for_each(|note| ui.note(note));
    toolchain.preview(&plan).iter().for_each(|cmd| ui.would_run(cmd));
    if let Engine::Buildx(builder) = &chosen.engine {
        builder::create_command(builder, &plan.paths).iter().for_each(|cmd| ui.would_run(cmd));
        let buildx = BuildxEngine { builder, paths: &plan.paths, source_date_epoch: plan.source_date_epoch };
        for (image, dockerfile) in plan.images.iter().zip(dockerfiles) {
            let staged = StagedContext { dir: context::context_dir(&plan.paths, image), dockerfile };
            buildx.commands(image, &staged).iter().for_each(|command| ui.would_run(&command.cmd));
        }
    }
    let data = match (args.graph.graph, args.output.message_format) {
        (Some(format), _) => {
            report::graph::formats::render(&report::graph::from_plan::graph(&plan, &toolchain, &chosen), format)?
        }
        (None, MessageFormat::Human) => report::plan_table::render(&plan, &toolchain, &chosen, ui.data_width()),
        (None, MessageFormat::Json) => report::plan_json::to_json(&plan, &toolchain, &chosen)?,
    };
    Ok(ui.data(&data)?)
}

/// `cargo multiarch dockerfile`
pub fn dockerfile(args: &DockerfileArgs, ui: &Ui) -> Result<()> {
    if args.variables {
        let line = |head: String, meaning| ui.data(&wrap::wrap_after(&head, meaning, ui.data_width()));
        for (name, kind, meaning) in VARIABLES {
            line(format!("{name:12} {kind:34} "), meaning)?;
        }
        ui.data("")?;
        return HELPERS.iter().try_for_each(|(text, meaning)| Ok(line(format!("{text:28} "), meaning)?));
    }
    let plan = load(&args.settings, args.settings.request())?;
    plan.notes.iter().for_each(|note| ui.note(note));
    for (number, image) in plan.images.iter().enumerate() {
        if number > 0 {
            ui.data("")?;
        }
        ui.data(&format!("# {}", image.name))?;
        ui.data(image::render(image, &PinnedBases::default(), &plan.paths.root)?.text.trim_end())?;
    }
    Ok(())
}

/// Another run in this workspace would write the same files.
fn lock_workspace(plan: &Plan, ui: &Ui) -> Result<std::fs::File> {
    let dir = plan.paths.work_dir();
    fs_err::create_dir_all(&dir)?;
    let _waited = ui.timings().span(Phase::Prepare, "waiting for other runs");
    fs::lock_file(&dir.join("+lock"), || ui.status("Blocking", format!("another run has {dir}")))
}

/// What is there before any tag moves.
struct Made {
    plan: Plan,
    source: ArtifactSource,
    bases: PinnedBases,
    artifacts: Artifacts,
    /// In the plan's order.
    images: Vec<Built>,
}

struct Built {
    layout: Layout,
    verified: VerifiedImage,
    smoke: SmokeResults,
}

impl Made {
    fn each(&self) -> impl Iterator<Item = (&Image, &Built)> {
        self.plan.images.iter().zip(&self.images)
    }

    fn report(&self, moved_tags: Vec<Vec<MovedTag>>, only_loaded: bool) -> Report {
        let images = self.each().zip(moved_tags);
        Report::new(ReportInputs {
            commit: self.plan.commit.as_ref(),
            images: images
                .map(|((image, built), moved)| ReportedImage {
                    image,
                    verified: &built.verified,
                    smoke: &built.smoke,
                    moved,
                })
                .collect(),
            artifacts: &self.artifacts,
            source: &self.source,
            bases: &self.bases,
            only_loaded,
        })
    }
}

/// What was found out before the first request and the first child that works.
struct Ready {
    engine: Engine,
    /// As they are without the bases' digests.
    dockerfiles: Vec<Dockerfile>,
    loader: Option<ImageLoader>,
    source: ArtifactSource,
}

/// What the workspace and the machine must have: the files that images want, templates that render, an engine.
fn inspect(plan: &Plan, ui: &Ui) -> Result<(Vec<Dockerfile>, EngineSelection)> {
    context::check_files(&plan.images, &plan.paths)?;
    export::check(&plan.outputs)?;
    let render = |image| image::render(image, &PinnedBases::default(), &plan.paths.root);
    let dockerfiles = plan.images.iter().map(render).collect::<Result<Vec<_>>>()?;
    let request = EngineRequest {
        options: &plan.engine,
        images: &plan.images,
        dockerfiles: &dockerfiles,
        paths: &plan.paths,
        source_date_epoch: plan.source_date_epoch,
    };
    let chosen = engine::choose(request, ui)?;
    Ok((dockerfiles, chosen))
}

/// The same, said, with all made that the engine needs.
fn check(plan: &Plan, ui: &Ui) -> Result<Ready> {
    let (dockerfiles, engine) = ui.timed(Phase::Prepare, "engine", || {
        let (dockerfiles, chosen) = inspect(plan, ui)?;
        Cache::new(&plan.paths.cache_dir).check()?;
        anyhow::Ok((dockerfiles, engine::start(chosen, &plan.paths, ui)?))
    })?;
    plan.notes.iter().for_each(|note| ui.note(note));
    let loader = if plan.load { Some(load::find(&plan.images, ui)?) } else { None };
    let source = ui.timed(Phase::Prepare, "toolchain", || ArtifactSource::find(plan, ui))?;
    Ok(Ready { engine, dockerfiles, loader, source })
}

fn check_emulation(plan: &Plan, dockerfiles: &[Dockerfile], builder: &Builder, ui: &Ui) -> Result<(), Failure> {
    let host = Platform::host_triple();
    let mut images = plan.images.iter().zip(dockerfiles);
    images.try_for_each(|(image, dockerfile)| qemu::check(&image.name, &dockerfile.run_platforms, &host, builder, ui))
}

/// From the plan to verified layouts of all images, and copies of them where the plan wants some. Whatever can be
/// refused is refused before the compiler starts. Every layer is sent to
/// `blobs` as soon as it is finished.
fn make(
    plan: Plan,
    ready: Ready,
    registry: &Registry,
    blobs: &mpsc::Sender<ImageBlob>,
    cancel: &CancelToken,
    ui: &Ui,
) -> Result<Made> {
    let Ready { engine, dockerfiles, loader, source } = ready;
    let bases = bases::pin(&plan.images, registry, ui)?;
    let plan = Plan { images: bases.pinned.label(&plan.images), ..plan };
    // Templates use the digests of bases, which are known only now.
    let pinned = |(image, dockerfile): (&Image, _)| {
        if bases.pinned.affect(image) { image::render(image, &bases.pinned, &plan.paths.root) } else { Ok(dockerfile) }
    };
    let dockerfiles = plan.images.iter().zip(dockerfiles).map(pinned).collect::<Result<Vec<_>>>()?;
    if let Engine::Buildx(builder) = &engine {
        check_emulation(&plan, &dockerfiles, builder, ui)?;
    }
    let source = ui.timed(Phase::Prepare, "standard libraries, sysroots", || source.complete(&plan, ui))?;
    let stage = |(image, dockerfile): (&Image, _)| {
        ui.timed(Phase::Prepare, format_args!("context of {}", image.name), || {
            context::stage(image, dockerfile, &plan.paths.root, context::context_dir(&plan.paths, image))
        })
    };
    let staged = plan.images.iter().zip(dockerfiles).map(stage).collect::<Result<Vec<_>>>()?;

    let (artifacts, layouts) = match &engine {
        Engine::Embedded => {
            let pulled = bases::pull(&plan.images, &bases, registry, &Cache::new(&plan.paths.cache_dir), ui)?;
            let time = plan.source_date_epoch;
            let prepared = embedded::prepare(&plan.images, &staged, &pulled, time)?;
            threads::scope(cancel, |stages| {
                let (compiled, binaries) = mpsc::channel();
                let (prepared, plan) = (&prepared, &plan);
                let building =
                    stages.spawn(move || embedded::build(prepared, binaries, blobs, &plan.paths, time, cancel, ui));
                let artifacts = source.binaries(plan, ui, &mut |build, binary, artifact| {
                    let (build, binary, artifact) = (build.clone(), binary.clone(), artifact.clone());
                    let _ = compiled.send(CompiledBinary { build, binary, artifact });
                })?;
                drop(compiled);
                stage_binaries(plan, &artifacts, &staged)?;
                let layouts = building.join()?;
                Ok((artifacts, layouts))
            })?
        }
        Engine::Buildx(builder) => {
            embedded::check_scratch_images(&plan.images, &staged, plan.source_date_epoch)?;
            let artifacts = source.binaries(&plan, ui, &mut |_, _, _| {})?;
            stage_binaries(&plan, &artifacts, &staged)?;
            let buildx = BuildxEngine { builder, paths: &plan.paths, source_date_epoch: plan.source_date_epoch };
            let build = |(image, staged)| buildx.build(image, staged, ui);
            let layouts = plan.images.iter().zip(&staged).map(build).collect::<Result<Vec<_>>>()?;
            (artifacts, layouts)
        }
    };
    let cache = Cache::new(&plan.paths.cache_dir);
    let smoke_host = smoke::find_host(&plan.images, ui)?;
    let mut images = Vec::new();
    for (image, layout) in plan.images.iter().zip(layouts) {
        let verified = verify::verify_layout(image, &layout, &artifacts, &cache, ui.timings())?;
        findings::print_and_check(&image.name, verified.inspected.all_findings(), ui)?;
        let smoke = smoke::run(image, &layout, &smoke_host, &plan.paths.work_dir(), &cache, ui)?;
        images.push(Built { layout, verified, smoke });
    }
    let layouts: Vec<&Layout> = images.iter().map(|built| &built.layout).collect();
    export::write(&plan.outputs, &plan.images, &layouts, ui)?;
    if let Some(loader) = &loader {
        loader.load(&plan.images, &layouts, ui)?;
    }
    Ok(Made { plan, source, bases: bases.pinned, artifacts, images })
}

fn stage_binaries(plan: &Plan, artifacts: &Artifacts, staged: &[StagedContext]) -> Result<()> {
    let mut images = plan.images.iter().zip(staged);
    images.try_for_each(|(image, staged)| context::stage_binaries(image, artifacts, &staged.dir))
}

/// Flags, environment and files become the plan; nothing reads them after this.
pub fn load(args: &SettingsArgs, request: PlanRequest) -> Result<Plan> {
    environment::check_unknown_variables()?;
    let current_dir = plan::current_dir()?;
    let selection = args.selection();
    let workspace = Workspace::load(&selection, &current_dir)?;
    let sources = ConfigSources::load(&workspace, args.config())?;
    let workspace = plan::select_packages(workspace, &selection.packages, &sources)?;
    let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if text.is_empty() => None,
        Ok(text) => Some(text.parse().map_err(|_| {
            Failure::new(Class::Config, format!("SOURCE_DATE_EPOCH is '{text}', wanted seconds since 1970"))
                .hint("the commit's: `SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`")
        })?),
        Err(_) => None,
    };
    let cache_dir = environment::cache_dir().unwrap_or_else(|| workspace.target_dir.join("cargo-multiarch"));
    let outputs = request.outputs.iter().map(Output::path);
    let ours = request.artifacts.iter().chain(&request.written_files).map(Utf8PathBuf::as_path).chain(outputs);
    let ignored: Vec<Utf8PathBuf> =
        ours.map(|path| current_dir.join(path)).chain([workspace.target_dir.clone()]).collect();
    let checkout = plan::git::checkout(&workspace.root, &ignored)?;
    let request = PlanRequest { source_date_epoch: epoch, cache_dir, ..request };
    let plan = plan::resolve(&workspace, &sources, &checkout, &request)?;
    plan::check_features::check(&plan.unique_builds(), &workspace)?;
    Ok(plan)
}
