//! Checks push access to registries before anything is built.

use anyhow::Result;

use crate::error::{Class, Failure};
use crate::plan::Image;
use crate::registry::Registry;
use crate::timings::Phase;
use crate::ui::Ui;

/// Checks that every repository accepts pushes, so that missing permissions are reported before the build.
pub(crate) fn check_push_access(images: &[Image], registry: &Registry, ui: &Ui) -> Result<()> {
    for image in images {
        for repository in push_repositories(image)? {
            ui.timed(Phase::Prepare, format_args!("push to {repository}"), || registry.check_push(repository))?;
            ui.status("Checked", format!("push access to {repository}"));
        }
    }
    Ok(())
}

/// Returns the repositories to push an image to. Fails if there are none.
pub(crate) fn push_repositories(image: &Image) -> Result<&[String], Failure> {
    if image.repositories.is_empty() {
        return Err(Failure::new(Class::Config, format!("image '{}': no registry to push to", image.name))
            .hint(
                "set one with `--registry ghcr.io/you`, MULTIARCH_REGISTRY, or `registry = \"…\"` in the configuration",
            )
            .hint("to build without pushing, run `cargo multiarch build`"));
    }
    Ok(&image.repositories)
}
