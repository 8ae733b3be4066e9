//! Checks that must pass before anything is built.

use anyhow::Result;

use crate::error::{Class, Failure};
use crate::plan::Image;
use crate::registry::Registry;
use crate::timings::Phase;
use crate::ui::Ui;

/// Checks that every repository accepts pushes, rather than failing after the build.
pub(crate) fn check_push_access(images: &[Image], registry: &Registry, ui: &Ui) -> Result<()> {
    for image in images {
        for repository in push_repositories(image)? {
            ui.timed(Phase::Prepare, format_args!("push to {repository}"), || registry.check_push(repository))?;
            ui.status("Checked", format!("{repository} takes a push"));
        }
    }
    Ok(())
}

/// Returns the repositories to push an image to. Fails if there are none.
pub(crate) fn push_repositories(image: &Image) -> Result<&[String], Failure> {
    if image.repositories.is_empty() {
        return Err(Failure::new(Class::Config, format!("image '{}': no registry to push to", image.name))
            .hint("say where: `--registry ghcr.io/you`, MULTIARCH_REGISTRY, or registry = \"…\" in the configuration")
            .hint("or build without pushing: `cargo multiarch build`"));
    }
    Ok(&image.repositories)
}
