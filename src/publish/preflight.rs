//! What must hold before anything is built.

use anyhow::Result;

use crate::error::{Class, Failure};
use crate::plan::{Image, Plan};
use crate::registry::Registry;
use crate::timings::Phase;
use crate::ui::Ui;

/// Every repository must take a push: a refusal is better in the first second than after the build.
pub fn preflight(plan: &Plan, registry: &Registry, ui: &Ui) -> Result<()> {
    for image in &plan.images {
        for repository in repositories(image)? {
            ui.timed(Phase::Prepare, format_args!("push to {repository}"), || registry.check_push(repository))?;
            ui.status("Checked", format!("{repository} takes a push"));
        }
    }
    Ok(())
}

/// Where an image goes.
pub fn repositories(image: &Image) -> Result<&[String], Failure> {
    match image.repositories.is_empty() {
        false => Ok(&image.repositories),
        true => Err(Failure::new(Class::Config, format!("image '{}': no registry to push to", image.name))
            .hint("say where: `--registry ghcr.io/you`, MULTIARCH_REGISTRY, or registry = \"…\" in the configuration")
            .hint("or build without pushing: `cargo multiarch build`")),
    }
}
