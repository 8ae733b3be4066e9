//! `cargo multiarch plan`: prints what `publish` would do, without compiling.

use anyhow::Result;

use super::load_plan::load_plan;
use super::prepare::{check_emulation, compile_request, select_engines};
use crate::cli::{MessageFormat, PlanArgs};
use crate::compile::toolchain::Toolchain;
use crate::dockerfile::render::Dockerfile;
use crate::image::build_context::{StagedContext, context_dir};
use crate::image::buildx::builder;
use crate::image::buildx::{BuildPurpose, BuildxEngine};
use crate::image::engine::{self, Engine, EngineSelection};
use crate::image::{ca_certificates, embedded};
use crate::plan::{Image, Plan, PlanRequest};
use crate::report::{self, graph};
use crate::ui::Ui;

/// Runs `cargo multiarch plan`.
pub(crate) fn plan(args: &PlanArgs, ui: &Ui) -> Result<()> {
    let request = PlanRequest { notes_missing_registry: args.matrix.is_none(), ..args.settings.request() };
    let plan = load_plan(&args.settings, request)?;
    plan.notes.iter().for_each(|note| ui.note(note));
    if let Some(service) = args.matrix {
        // The jobs run on other machines, so there is no need to check this machine's toolchain.
        return Ok(ui.data(&serde_json::to_string(&service.matrix(&plan.images)?)?)?);
    }
    ca_certificates::left_out_note(&plan.images).iter().for_each(|note| ui.note(note));
    let BuildablePlan { plan, dockerfiles, selections, unbuildable } = select_buildable(plan, ui)?;
    let unbuildable = match unbuildable {
        // A program might mistake a part of the plan for all of it.
        Some(error) if args.graph.graph.is_some() || args.output.message_format == MessageFormat::Json => {
            return Err(error);
        }
        other => other,
    };
    embedded::check_unstaged_scratch_images(&plan.images, &dockerfiles, &plan.paths.root, plan.source_date_epoch)?;
    let checked = Toolchain::check(compile_request(&plan))?;
    check_emulation(&plan.images, &dockerfiles, selections.iter().map(|selection| &selection.engine), ui)?;
    let toolchain = checked.into_result()?;
    toolchain.notes.iter().chain(&toolchain.advice()).for_each(|note| ui.note(note));
    if let Some(note) = note_different_digests(&plan.images, &selections, unbuildable.is_none()) {
        ui.note(note);
    }
    toolchain.preview().iter().for_each(|cmd| ui.would_run(cmd));
    print_buildx_commands(&plan, dockerfiles, &selections, ui);
    let text = match (args.graph.graph, args.output.message_format) {
        (Some(format), _) => graph::formats::render(&graph::from_plan::graph(&plan, &toolchain, &selections), format)?,
        (None, MessageFormat::Human) => report::plan_table::render(&plan, &toolchain, &selections, ui.data_width()),
        (None, MessageFormat::Json) => report::plan_json::to_json(&plan, &toolchain, &selections)?,
    };
    ui.data(&text)?;
    unbuildable.map_or(Ok(()), Err)
}

/// The part of a plan that can be built on this machine.
struct BuildablePlan {
    plan: Plan,
    dockerfiles: Vec<Dockerfile>,
    selections: Vec<EngineSelection>,
    /// The error for an image that no engine can build.
    unbuildable: Option<anyhow::Error>,
}

/// Selects the engines, and leaves out images that no engine can build. Fails if no image remains.
fn select_buildable(plan: Plan, ui: &Ui) -> Result<BuildablePlan> {
    let selected = select_engines(&plan, ui)?;
    let (mut images, mut dockerfiles, mut selections) = (Vec::new(), Vec::new(), Vec::new());
    let mut unbuildable: Option<anyhow::Error> = None;
    for ((image, dockerfile), selection) in plan.images.into_iter().zip(selected.dockerfiles).zip(selected.selections) {
        match selection {
            Ok(selection) => {
                images.push(image);
                dockerfiles.push(dockerfile);
                selections.push(selection);
            }
            Err(error) => {
                // Print all errors but the last one, which the command returns.
                if let Some(earlier) = unbuildable.replace(error) {
                    ui.error(&earlier);
                }
            }
        }
    }
    match unbuildable {
        Some(error) if images.is_empty() => Err(error),
        unbuildable => Ok(BuildablePlan { plan: Plan { images, ..plan }, dockerfiles, selections, unbuildable }),
    }
}

/// Returns a note if a machine with a different Docker setup would build an image with the other engine. `is_complete`
/// states whether `images` are all images of the workspace.
fn note_different_digests(images: &[Image], selections: &[EngineSelection], is_complete: bool) -> Option<String> {
    let dependent = images.iter().zip(selections).filter(|(_, selection)| selection.depends_on_machine);
    let names: Vec<&str> = dependent.map(|(image, _)| image.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let place = if is_complete && names.len() == images.len() {
        "in multiarch.toml or [workspace.metadata.multiarch]".to_owned()
    } else {
        // For the whole workspace, this would also affect images that require buildx.
        let tables: Vec<String> = names.iter().map(|name| format!("[images.{name}]")).collect();
        format!("in {}, or in [package.metadata.multiarch] of their packages", tables.join(", "))
    };
    Some(format!(
        "the digest of {} depends on whether Docker is available; to get the same digest on every machine, set \
         engine = \"embedded\" {place}",
        names.join(", ")
    ))
}

fn print_buildx_commands(plan: &Plan, dockerfiles: Vec<Dockerfile>, selections: &[EngineSelection], ui: &Ui) {
    let builders = engine::builders(selections.iter().map(|selection| &selection.engine));
    let create = builders.into_iter().filter_map(|builder| builder::create_command(builder, &plan.paths));
    create.for_each(|cmd| ui.would_run(&cmd));
    for ((image, dockerfile), selection) in plan.images.iter().zip(dockerfiles).zip(selections) {
        if let Engine::Buildx(builder) = &selection.engine {
            let buildx = BuildxEngine { builder, paths: &plan.paths, source_date_epoch: plan.source_date_epoch };
            let staged = StagedContext { dir: context_dir(&plan.paths, image), dockerfile };
            buildx
                .commands(image, &staged, BuildPurpose::Publish)
                .iter()
                .for_each(|command| ui.would_run(&command.cmd));
        }
    }
}
