//! Checks the build engine and its requirements: Docker, buildx, a builder, and QEMU for RUN instructions and smoke
//! runs.

use std::collections::BTreeSet;

use anyhow::Result;

use super::check_result::{CheckResult, CheckState};
use super::fix::Fix;
use super::results::Results;
use crate::commands::prepare::engine_request;
use crate::config::choices::EngineChoice;
use crate::dockerfile::pinned_bases::PinnedBases;
use crate::dockerfile::render::Dockerfile;
use crate::error::Failure;
use crate::host::binfmt;
use crate::image::buildx::builder::{self, Builder};
use crate::image::buildx::docker::{BuilderInfo, DockerStatus};
use crate::image::buildx::qemu;
use crate::image::engine::{self, Engine, EngineRequest, EngineSelection};
use crate::image::{self, build_context, embedded, export};
use crate::plan::{Image, Plan};
use crate::platform::Platform;
use crate::ui::Ui;
use crate::verify::smoke::{self, NotRunReason, Runner};

pub(crate) fn check(plan: &Plan, results: &mut Results, ui: &Ui) -> Result<()> {
    let dockerfiles = check_dockerfiles(plan, results)?;
    if let Err(error) =
        embedded::check_unstaged_scratch_images(&plan.images, &dockerfiles, &plan.paths.root, plan.source_date_epoch)
    {
        results.add_error("image", error)?;
    }
    let request = engine_request(plan, &dockerfiles);
    let uses_docker = plan.images.iter().any(|image| image.engine != EngineChoice::Embedded);
    let builder_name = plan.engine.builder.as_deref();
    let docker = if uses_docker { DockerStatus::probe(builder_name, ui)? } else { DockerStatus::default() };
    let selections = select_engines(request, &docker, results, ui)?;
    if uses_docker {
        let has_engines = selections.iter().all(|selection| !matches!(selection, ImageEngine::None { .. }));
        report_docker(&docker, has_engines, results);
    } else {
        results.add(CheckResult::note("docker", "not checked: the selected engine does not use Docker"));
    }
    let builders = report_engines(plan, selections, uses_docker && docker.builder().is_err(), results)?;
    let mut without_qemu = check_run_instructions(&plan.images, &dockerfiles, &builders, results, ui)?;
    without_qemu.extend(check_smoke_runs(plan, results, ui)?);
    if docker.server_version.is_some() && !without_qemu.is_empty() {
        results.fixes.push(Fix::RegisterQemu(without_qemu.into_iter().collect()));
    }
    Ok(())
}

/// The outcome of selecting an engine for an image.
enum ImageEngine {
    Selected(EngineSelection),
    /// No engine accepts the template, which has been reported.
    InvalidTemplate,
    None {
        error: anyhow::Error,
        needs_buildx: Option<Failure>,
    },
}

/// Selects an engine for each image, and reports templates that no engine accepts.
fn select_engines(
    request: EngineRequest<'_>,
    docker: &DockerStatus,
    results: &mut Results,
    ui: &Ui,
) -> Result<Vec<ImageEngine>> {
    let builder = request.options.builder.as_deref();
    let selections = request.select(|plain_http| builder::choose(builder, plain_http, docker, ui));
    let mut engines = Vec::new();
    for (index, selection) in selections.into_iter().enumerate() {
        engines.push(match selection {
            Ok(selection) => ImageEngine::Selected(selection),
            Err(error) => match request.needs_buildx(index) {
                Ok(needs_buildx) => ImageEngine::None { error, needs_buildx },
                Err(_) => {
                    results.add_error("template", error)?;
                    ImageEngine::InvalidTemplate
                }
            },
        });
    }
    Ok(engines)
}

/// Renders the Dockerfiles of all images. Returns an empty list if any of them cannot be rendered.
fn check_dockerfiles(plan: &Plan, results: &mut Results) -> Result<Vec<Dockerfile>> {
    if let Err(error) = build_context::check_files(&plan.images, &plan.paths) {
        results.add_error("workspace", error)?;
    }
    if let Err(error) = export::check(&plan.outputs) {
        results.add_error("workspace", error)?;
    }
    let mut dockerfiles = Vec::new();
    for image in &plan.images {
        match image::render(image, &PinnedBases::default(), &plan.paths.root) {
            Ok(dockerfile) => dockerfiles.push(dockerfile),
            Err(error) => results.add_error("template", error)?,
        }
    }
    if dockerfiles.len() < plan.images.len() {
        dockerfiles.clear();
    }
    Ok(dockerfiles)
}

/// Reports the state of each Docker component. Problems are errors only if no engine is usable because of them.
fn report_docker(docker: &DockerStatus, has_engine: bool, results: &mut Results) {
    let problem_state = if has_engine { CheckState::Note } else { CheckState::Error };
    let mut report = |subject: &'static str, checked: Result<String, anyhow::Error>| {
        let is_ok = checked.is_ok();
        results.add(match checked {
            Ok(message) => CheckResult::ok(subject, message),
            Err(error) => CheckResult::error(subject, &error).with_state(problem_state),
        });
        is_ok
    };
    let client = match docker.client_version.as_deref() {
        None => "client installed".to_owned(),
        Some(version) => format!("client version {version}"),
    };
    if !report("docker", docker.check_client().map(|()| client).map_err(Into::into)) {
        return;
    }
    let has_buildx = report(
        "buildx",
        docker.check_buildx().map(|()| docker.buildx_version.clone().unwrap_or_default()).map_err(Into::into),
    );
    let daemon = match docker.server_version.as_deref() {
        None | Some("") => "running".to_owned(),
        Some(version) => format!("running version {version}"),
    };
    let has_daemon = report("daemon", docker.check_daemon().map(|()| daemon).map_err(Into::into));
    if !has_buildx || !has_daemon {
        return;
    }
    let builder = docker.builder();
    let uses_image_store = builder.as_ref().is_ok_and(|builder| builder.driver == "docker");
    report("builder", builder.map(describe_builder).map_err(Into::into));
    if uses_image_store {
        results.add(if docker.uses_containerd {
            CheckResult::ok("image store", "containerd, which supports multi-platform images")
        } else {
            CheckResult::warning(
                "image store",
                "classic Docker image store, which supports only single-platform images",
            )
            .with_fix("enable the containerd image store: https://docs.docker.com/engine/storage/containerd/")
        });
    }
}

fn describe_builder(builder: &BuilderInfo) -> String {
    let mut description = format!("'{}', driver {}", builder.name, builder.driver);
    if builder.nodes > 1 {
        description.push_str(&format!(", {} nodes", builder.nodes));
    }
    if !builder.platforms.is_empty() {
        let platforms: Vec<&str> = builder.platforms.iter().map(String::as_str).collect();
        description.push_str(&format!(", platforms: {}", platforms.join(", ")));
    }
    description
}

/// Reports the selected engines, and the images that no engine can build. Returns the builder of each image that buildx
/// builds, in plan order.
fn report_engines(
    plan: &Plan,
    engines: Vec<ImageEngine>,
    docker_problem_is_reported: bool,
    results: &mut Results,
) -> Result<Vec<Option<Builder>>> {
    let mut builders = Vec::new();
    let mut selected: Vec<(&Image, EngineSelection)> = Vec::new();
    for (image, engine) in plan.images.iter().zip(engines) {
        let builder = match engine {
            ImageEngine::Selected(selection) => {
                let builder = match &selection.engine {
                    Engine::Buildx(builder) => Some(builder.clone()),
                    Engine::Embedded => None,
                };
                selected.push((image, selection));
                builder
            }
            ImageEngine::InvalidTemplate => None,
            ImageEngine::None { needs_buildx, .. } if docker_problem_is_reported => {
                if let Some(reason) = needs_buildx {
                    results.add(CheckResult::note("engine", format!("docker buildx is required: {reason}")));
                }
                None
            }
            ImageEngine::None { error, .. } => {
                results.add_error("engine", error)?;
                None
            }
        };
        builders.push(builder);
    }
    for builder in engine::builders(selected.iter().map(|(_, selection)| &selection.engine)) {
        report_builder(plan, builder, results);
    }
    for group in engine::group(selected.iter().map(|(image, selection)| (*image, selection))) {
        let label = group.selection.engine.label();
        let used = if group.images.len() == plan.images.len() {
            format!("{label}: {}", group.selection.why)
        } else {
            format!("{}: {label}: {}", group.images.join(", "), group.why_for_listed_images())
        };
        results.add(CheckResult::ok("engine", used));
    }
    Ok(builders)
}

/// Reports a builder that will be created, or that was not selected by the configuration.
fn report_builder(plan: &Plan, builder: &Builder, results: &mut Results) {
    if let (Some(to_create), Some(name)) = (builder.to_create(), &builder.name) {
        let message = format!("'{name}' does not exist yet, but `publish` will create it: {}", to_create.why);
        let fix = Fix::CreateBuilder(Box::new(plan.paths.clone()), builder.clone());
        results.add(CheckResult::warning("builder", message).with_fix(format!("`{}`", fix.command())));
        results.fixes.push(fix);
    } else if let (None, Some(name)) = (&plan.engine.builder, &builder.name) {
        results.add(CheckResult::ok("builder", format!("using '{name}', driver {}", builder.driver)));
    }
}

/// Checks whether this machine can execute the RUN instructions in templates. `builders` has an entry for each image.
/// Returns the platforms that this machine can neither run nor emulate.
fn check_run_instructions(
    images: &[Image],
    dockerfiles: &[Dockerfile],
    builders: &[Option<Builder>],
    results: &mut Results,
    ui: &Ui,
) -> Result<BTreeSet<Platform>> {
    let host = Platform::host_triple();
    // If no builder was selected, assume a local one, to check which platforms this machine can run.
    let local = Builder { name: None, driver: "docker".to_owned(), is_multi_node: false, managed: None };
    let mut missing = BTreeSet::new();
    for ((image, dockerfile), builder) in images.iter().zip(dockerfiles).zip(builders) {
        if dockerfile.run_platforms.is_empty() {
            continue;
        }
        let builder = builder.as_ref().unwrap_or(&local);
        let platforms = dockerfile.run_platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match qemu::check(&image.name, &dockerfile.run_platforms, &host, builder, ui) {
            Ok(()) => {
                let message = format!("image '{}': RUN instructions work for {platforms}", image.name);
                results.add(CheckResult::ok("emulation", message));
            }
            Err(failure) => {
                results.add_error("emulation", failure)?;
                missing.extend(qemu::not_runnable(&dockerfile.run_platforms, &host));
            }
        }
    }
    Ok(missing)
}

/// Checks whether this machine can perform the configured smoke runs. Returns the platforms that it can neither run nor
/// emulate.
fn check_smoke_runs(plan: &Plan, results: &mut Results, ui: &Ui) -> Result<BTreeSet<Platform>> {
    let host = smoke::find_host(&plan.images, ui)?;
    let with_smoke_run = plan.images.iter().filter(|image| image.smoke.is_some());
    let platforms: BTreeSet<Platform> =
        with_smoke_run.flat_map(|image| &image.platforms).map(|platform| platform.platform).collect();
    let mut missing = BTreeSet::new();
    for platform in platforms {
        match Runner::choose(platform, true, &host) {
            Runner::NotRun(NotRunReason { reason, fix }) => {
                let handler =
                    binfmt::handler(platform).problem().map(|problem| format!("; {problem}")).unwrap_or_default();
                let message = format!("{platform}: smoke run will be skipped: {reason}{handler}");
                let mut check = CheckResult::warning("smoke run", message).with_fix(format!("`{fix}`"));
                if host.docker.is_some() {
                    check = check.with_fix(format!("`{}`", qemu::install_command(&[platform])));
                }
                results.add(check);
                missing.insert(platform);
            }
            runner => {
                let method = runner.method().description();
                results.add(CheckResult::ok("smoke run", format!("{platform}: {method}")));
            }
        }
    }
    Ok(missing)
}
