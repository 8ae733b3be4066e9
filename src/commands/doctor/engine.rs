//! What makes the images, and what it needs: Docker with buildx, a builder, QEMU for templates that RUN and for smoke runs.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Findings;
use super::check::{Check, State};
use super::fix::Repair;
use crate::config::choices::EngineChoice;
use crate::dockerfile::render::Dockerfile;
use crate::error::Failure;
use crate::image::bases::PinnedBases;
use crate::image::buildx::builder::{self, Builder};
use crate::image::buildx::docker::Docker;
use crate::image::buildx::qemu;
use crate::image::engine::{self, Engine, EngineSelection};
use crate::image::{self, context, embedded, export};
use crate::plan::Plan;
use crate::platform::Platform;
use crate::ui::Ui;
use crate::verify::smoke::SmokeHost;

pub fn examine(plan: &Plan, findings: &mut Findings, ui: &Ui) -> Result<()> {
    let dockerfiles = dockerfiles(plan, findings)?;
    if let Err(error) = embedded::check_unstaged_scratch_images(plan, &dockerfiles) {
        findings.fail("image", error)?;
    }
    let needs = match engine::needs_buildx(plan, &dockerfiles) {
        Ok(needs) => needs,
        Err(failure) => {
            findings.fail("template", failure)?;
            None
        }
    };
    let asks = plan.engine.choice != EngineChoice::Embedded;
    let docker = if asks { Docker::look(plan.engine.builder.as_deref(), ui)? } else { Docker::default() };
    let plain = engine::plain_hosts(plan, &dockerfiles);
    let reason = needs.as_ref().map(ToString::to_string);
    let chosen = engine::decide(plan, needs, || builder::choose(plan, &plain, &docker, ui));
    match asks {
        true => tell_docker(&docker, &chosen, findings)?,
        false => findings.add(Check::note("docker", "not asked: the embedded engine is asked for, which needs none")),
    }
    let builder = tell_engine(plan, chosen, reason, findings)?;
    let missing: BTreeSet<Platform> = emulation(plan, &dockerfiles, builder.as_ref(), findings, ui)?
        .into_iter()
        .chain(smoke(plan, findings, ui)?)
        .collect();
    if docker.server.is_some() && !missing.is_empty() {
        findings.repairs.push(Repair::Emulation(missing.into_iter().collect()));
    }
    Ok(())
}

/// The Dockerfiles of all images; none where there is not one for each.
fn dockerfiles(plan: &Plan, findings: &mut Findings) -> Result<Vec<Dockerfile>> {
    for result in [context::check_files(plan), export::check(plan).map_err(Into::into)] {
        if let Err(error) = result {
            findings.fail("workspace", error)?;
        }
    }
    let mut dockerfiles = Vec::new();
    for image in &plan.images {
        match image::render(plan, image, &PinnedBases::new()) {
            Ok(dockerfile) => dockerfiles.push(dockerfile),
            Err(error) => findings.fail("template", error)?,
        }
    }
    if dockerfiles.len() < plan.images.len() {
        dockerfiles.clear();
    }
    Ok(dockerfiles)
}

/// Docker's parts one by one. What is wrong with them is as bad as what comes of it.
fn tell_docker(docker: &Docker, chosen: &Result<EngineSelection>, findings: &mut Findings) -> Result<()> {
    let state = match chosen {
        Err(_) => State::Error,
        // What nothing waits for is not missed.
        Ok(_) => State::Note,
    };
    let mut tell = |subject: &'static str, result: Result<String, Failure>| {
        let is_ok = result.is_ok();
        findings.add(match result {
            Ok(found) => Check::ok(subject, found),
            Err(failure) => Check::failed(subject, &failure.into()).only(state),
        });
        is_ok
    };
    let client = docker.client.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    if !tell("docker", docker.check_client().map(|()| format!("the client{client}"))) {
        return Ok(());
    }
    let buildx = tell("buildx", docker.check_buildx().map(|()| docker.buildx.clone().unwrap_or_default()));
    let version = docker.server.as_ref().filter(|version| !version.is_empty());
    let server = version.map_or_else(|| "answers".to_owned(), |version| format!("{version} answers"));
    let daemon = tell("daemon", docker.check_daemon().map(|()| server));
    if !buildx || !daemon {
        return Ok(());
    }
    let described = docker.builder().map(|builder| {
        let nodes = if builder.nodes > 1 { format!(", {} nodes", builder.nodes) } else { String::new() };
        let platforms = match builder.platforms.is_empty() {
            true => String::new(),
            false => format!(", for {}", Vec::from_iter(builder.platforms.iter().map(String::as_str)).join(", ")),
        };
        format!("'{}', driver {}{nodes}{platforms}", builder.name, builder.driver)
    });
    tell("builder", described);
    if docker.builder().is_ok_and(|builder| builder.driver == "docker") {
        findings.add(match docker.containerd {
            true => Check::ok("image store", "containerd's, for several platforms"),
            false => Check::warning("image store", "Docker's classic one, for one platform only")
                .fix("turn the containerd image store on: https://docs.docker.com/engine/storage/containerd/"),
        });
    }
    Ok(())
}

/// The engine, or why there is none; the builder, where it is buildx.
fn tell_engine(
    plan: &Plan,
    chosen: Result<EngineSelection>,
    reason: Option<String>,
    findings: &mut Findings,
) -> Result<Option<Builder>> {
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(error) if is_told(&error, findings) => {
            let note = |reason| Check::note("engine", format!("docker buildx is needed: {reason}"));
            reason.map(note).into_iter().for_each(|check| findings.add(check));
            return Ok(None);
        }
        Err(error) => {
            findings.fail("engine", error)?;
            return Ok(None);
        }
    };
    match chosen.engine {
        Engine::Embedded => {
            findings.add(Check::ok("engine", format!("the embedded engine: {}", chosen.why)));
            Ok(None)
        }
        Engine::Buildx(builder) => {
            if let (Some(missing), Some(name)) = (&builder.missing, &builder.name) {
                let found = format!("'{name}' is not there yet, and a publish makes it first: {}", missing.why);
                let repair = Repair::Builder(Box::new(plan.clone()), builder.clone());
                findings.add(Check::warning("builder", found).fix(format!("`{}`", repair.command())));
                findings.repairs.push(repair);
            } else if let (None, Some(name)) = (&plan.engine.builder, &builder.name) {
                findings.add(Check::ok("builder", format!("'{name}', driver {}, is there for it", builder.driver)));
            }
            findings.add(Check::ok("engine", format!("docker buildx: {}", chosen.why)));
            Ok(Some(builder))
        }
    }
}

/// Was what is wrong with Docker told, part by part?
fn is_told(error: &anyhow::Error, findings: &Findings) -> bool {
    error.chain().any(|cause| {
        let said = cause.to_string();
        findings.checks.iter().any(|check| check.state == State::Error && check.found == said.trim_end_matches('.'))
    })
}

/// Can the programs that templates RUN be run here? The platforms for which they cannot.
fn emulation(
    plan: &Plan,
    dockerfiles: &[Dockerfile],
    builder: Option<&Builder>,
    findings: &mut Findings,
    ui: &Ui,
) -> Result<Vec<Platform>> {
    let host = Platform::host_triple();
    // Where there is none, one on this machine is what is missing.
    let local = Builder { name: None, driver: "docker".to_owned(), is_spread: false, missing: None };
    let builder = builder.unwrap_or(&local);
    let mut missing = Vec::new();
    for (image, dockerfile) in
        plan.images.iter().zip(dockerfiles).filter(|(_, dockerfile)| !dockerfile.run_platforms.is_empty())
    {
        let names = dockerfile.run_platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match qemu::check(&image.name, &dockerfile.run_platforms, &host, builder, ui) {
            Ok(()) => {
                let found = format!("image '{}': its template has RUN, and programs for {names} run here", image.name);
                findings.add(Check::ok("emulation", found));
            }
            Err(failure) => {
                findings.fail("emulation", failure)?;
                missing.extend(qemu::missing(&dockerfile.run_platforms, &host));
            }
        }
    }
    Ok(missing)
}

/// Can the images that want a smoke run be run here? The platforms that cannot.
fn smoke(plan: &Plan, findings: &mut Findings, ui: &Ui) -> Result<Vec<Platform>> {
    let machine = SmokeHost::find(plan, ui)?;
    let wanted = plan.images.iter().filter(|image| image.smoke.is_some()).flat_map(|image| &image.platforms);
    let platforms: BTreeSet<Platform> = wanted.map(|platform| platform.platform).collect();
    let mut missing = Vec::new();
    for platform in platforms {
        match machine.would_run(platform) {
            Ok(how) => findings.add(Check::ok("smoke run", format!("{platform}: {how}"))),
            Err(reason) => {
                let handler = qemu::handler(platform).fault().map(|fault| format!("; {fault}")).unwrap_or_default();
                let found = format!("{platform}: it will not be run: {}{handler}", reason.why);
                let check = Check::warning("smoke run", found).fix(format!("`{}`", reason.mend));
                findings.add(match machine.docker {
                    Some(_) => check.fix(format!("`{}`", qemu::install_command(&[platform]))),
                    None => check,
                });
                missing.push(platform);
            }
        }
    }
    Ok(missing)
}
