//! `cargo multiarch dockerfile`: prints the rendered Dockerfiles, or lists the variables and helpers available to
//! templates.

use anyhow::Result;

use super::load_plan::load_plan;
use crate::cli::DockerfileArgs;
use crate::dockerfile::pinned_bases::PinnedBases;
use crate::dockerfile::render::{HELPERS, VARIABLES};
use crate::image;
use crate::plan::PlanRequest;
use crate::ui::{Ui, wrap};

/// Runs `cargo multiarch dockerfile`.
pub(crate) fn dockerfile(args: &DockerfileArgs, ui: &Ui) -> Result<()> {
    if args.variables {
        return print_variables(ui);
    }
    let plan = load_plan(&args.settings, PlanRequest { is_local: true, ..args.settings.request() })?;
    plan.notes.iter().for_each(|note| ui.note(note));
    for (index, image) in plan.images.iter().enumerate() {
        if index > 0 {
            ui.data("")?;
        }
        ui.data(&format!("# {}", image.name))?;
        ui.data(image::render(image, &PinnedBases::default(), &plan.paths.root)?.text.trim_end())?;
    }
    Ok(())
}

/// Prints the variables and helpers that templates can use.
fn print_variables(ui: &Ui) -> Result<()> {
    for (name, kind, description) in VARIABLES {
        ui.data(&wrap::wrap_after(&format!("{name:12} {kind:34} "), description, ui.data_width()))?;
    }
    ui.data("")?;
    for (example, description) in HELPERS {
        ui.data(&wrap::wrap_after(&format!("{example:28} "), description, ui.data_width()))?;
    }
    Ok(())
}
