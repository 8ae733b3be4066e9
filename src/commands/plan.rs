//! `cargo multiarch plan`: prints what `publish` would do, without compiling.

use anyhow::Result;

use super::load_plan::load_plan;
use super::prepare::{SelectedEngine, check_emulation, compile_request, select_engine};
use crate::cli::{MessageFormat, PlanArgs};
use crate::compile::toolchain::Toolchain;
use crate::dockerfile::render::Dockerfile;
use crate::image::build_context::{StagedContext, context_dir};
use crate::image::buildx::BuildxEngine;
use crate::image::buildx::builder::{self, Builder};
use crate::image::engine::Engine;
use crate::image::{ca_certificates, embedded};
use crate::plan::{Plan, PlanRequest};
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
    let SelectedEngine { dockerfiles, selection } = select_engine(&plan, ui)?;
    embedded::check_unstaged_scratch_images(&plan.images, &dockerfiles, &plan.paths.root, plan.source_date_epoch)?;
    let checked = Toolchain::check(compile_request(&plan))?;
    if let Engine::Buildx(builder) = &selection.engine {
        check_emulation(&plan.images, &dockerfiles, builder, ui)?;
    }
    let toolchain = checked.into_result()?;
    toolchain.notes.iter().chain(&toolchain.advice()).for_each(|note| ui.note(note));
    toolchain.preview().iter().for_each(|cmd| ui.would_run(cmd));
    if let Engine::Buildx(builder) = &selection.engine {
        print_buildx_commands(&plan, dockerfiles, builder, ui);
    }
    let text = match (args.graph.graph, args.output.message_format) {
        (Some(format), _) => graph::formats::render(&graph::from_plan::graph(&plan, &toolchain, &selection), format)?,
        (None, MessageFormat::Human) => report::plan_table::render(&plan, &toolchain, &selection, ui.data_width()),
        (None, MessageFormat::Json) => report::plan_json::to_json(&plan, &toolchain, &selection)?,
    };
    Ok(ui.data(&text)?)
}

fn print_buildx_commands(plan: &Plan, dockerfiles: Vec<Dockerfile>, builder: &Builder, ui: &Ui) {
    builder::create_command(builder, &plan.paths).iter().for_each(|cmd| ui.would_run(cmd));
    let buildx = BuildxEngine { builder, paths: &plan.paths, source_date_epoch: plan.source_date_epoch };
    for (image, dockerfile) in plan.images.iter().zip(dockerfiles) {
        let staged = StagedContext { dir: context_dir(&plan.paths, image), dockerfile };
        buildx.commands(image, &staged).iter().for_each(|command| ui.would_run(&command.cmd));
    }
}
