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
use crate::image::buildx::builder::{self, Builder};
use crate::image::buildx::docker::{BuilderInfo, DockerStatus};
use crate::image::buildx::qemu;
use crate::image::engine::{self, Engine, EngineSelection};
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
    let needs_buildx = match request.needs_buildx() {
        Ok(reason) => reason,
        Err(failure) => {
            results.add_error("template", failure)?;
            None
        }
    };
    let reason_for_buildx = needs_buildx.as_ref().map(ToString::to_string);
    let uses_docker = plan.engine.choice != EngineChoice::Embedded;
    let builder_name = plan.engine.builder.as_deref();
    let docker = if uses_docker { DockerStatus::probe(builder_name, ui)? } else { DockerStatus::default() };
    let plain_http = request.plain_http_hosts();
    let find_builder = || builder::choose(builder_name, &plain_http, &docker, ui);
    let selection = engine::decide(plan.engine.choice, needs_buildx, find_builder);
    if uses_docker {
        report_docker(&docker, selection.is_ok(), results);
    } else {
        results.add(CheckResult::note("docker", "not checked: the selected engine does not use Docker"));
    }
    let builder = match selection {
        Ok(selection) => report_engine(plan, selection, results),
        // `report_docker` already reported the cause.
        Err(_) if uses_docker && docker.builder().is_err() => {
            if let Some(reason) = reason_for_buildx {
                results.add(CheckResult::note("engine", format!("docker buildx is required: {reason}")));
            }
            None
        }
        Err(error) => {
            results.add_error("engine", error)?;
            None
        }
    };
    let mut without_qemu = check_run_instructions(&plan.images, &dockerfiles, builder.as_ref(), results, ui)?;
    without_qemu.extend(check_smoke_runs(plan, results, ui)?);
    if docker.server_version.is_some() && !without_qemu.is_empty() {
        results.fixes.push(Fix::RegisterQemu(without_qemu.into_iter().collect()));
    }
    Ok(())
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

/// Reports the selected engine. Returns its builder if the engine is buildx.
fn report_engine(plan: &Plan, selection: EngineSelection, results: &mut Results) -> Option<Builder> {
    let EngineSelection { engine, why } = selection;
    let Engine::Buildx(builder) = engine else {
        results.add(CheckResult::ok("engine", format!("embedded engine: {why}")));
        return None;
    };
    if let (Some(to_create), Some(name)) = (&builder.to_create, &builder.name) {
        let message = format!("'{name}' does not exist yet, but `publish` will create it: {}", to_create.why);
        let fix = Fix::CreateBuilder(Box::new(plan.paths.clone()), builder.clone());
        results.add(CheckResult::warning("builder", message).with_fix(format!("`{}`", fix.command())));
        results.fixes.push(fix);
    } else if let (None, Some(name)) = (&plan.engine.builder, &builder.name) {
        results.add(CheckResult::ok("builder", format!("using '{name}', driver {}", builder.driver)));
    }
    results.add(CheckResult::ok("engine", format!("docker buildx: {why}")));
    Some(builder)
}

/// Checks whether this machine can execute the RUN instructions in templates. Returns the platforms that it can neither
/// run nor emulate.
fn check_run_instructions(
    images: &[Image],
    dockerfiles: &[Dockerfile],
    builder: Option<&Builder>,
    results: &mut Results,
    ui: &Ui,
) -> Result<BTreeSet<Platform>> {
    let host = Platform::host_triple();
    // If no builder was selected, assume a local one, to check which platforms this machine can run.
    let local = Builder { name: None, driver: "docker".to_owned(), is_multi_node: false, to_create: None };
    let builder = builder.unwrap_or(&local);
    let mut missing = BTreeSet::new();
    let with_run = images.iter().zip(dockerfiles).filter(|(_, dockerfile)| !dockerfile.run_platforms.is_empty());
    for (image, dockerfile) in with_run {
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
                    qemu::binfmt_handler(platform).problem().map(|problem| format!("; {problem}")).unwrap_or_default();
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
