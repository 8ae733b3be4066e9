//! One tag: what must hold before anything is built, and the way of an image to its registries.
//! Knows plans; never flags, and never Docker.

mod answers;
mod auth;
pub mod bases;
pub mod cache;
mod pull;
mod push;
pub mod registry;
pub mod token;
pub mod upload;
mod watch;

use anyhow::Result;

use crate::error::{Class, Failure};
use crate::plan::{Image, Plan};
use crate::timings::Phase;
use crate::ui::Ui;
use registry::Registry;

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
