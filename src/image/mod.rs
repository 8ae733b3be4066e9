//! Builds images: stages files next to a rendered Dockerfile, and runs an engine that builds an OCI layout from them.

pub(crate) mod bases;
pub(crate) mod build_context;
pub(crate) mod buildx;
pub(crate) mod ca_certificates;
pub(crate) mod embedded;
pub(crate) mod engine;
pub(crate) mod export;
pub(crate) mod host_certificates;
pub(crate) mod libraries;
pub(crate) mod load;
pub(crate) mod scratch_check;
pub(crate) mod scratch_rootfs;
pub(crate) mod workspace_file;

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::dockerfile::pinned_bases::PinnedBases;
use crate::dockerfile::render::{self, Dockerfile};
use crate::error::{Class, Failure};
use crate::plan::Image;

/// Renders an image's Dockerfile, reading its template and file modes from the workspace at `root`.
pub(crate) fn render(image: &Image, bases: &PinnedBases, root: &Utf8Path) -> Result<Dockerfile> {
    render::render(image, bases, &read_template, &|from| build_context::file_mode(root, from))
        .with_context(|| format!("image '{}'", image.name))
}

fn read_template(path: &Utf8Path) -> Result<String> {
    let text = if path.exists() && !path.is_file() {
        // Fail without opening the file, because reading a pipe, for example, would block.
        Err(format!("{path} is not a regular file"))
    } else {
        fs_err::read_to_string(path).map_err(|error| error.to_string())
    };
    text.map_err(|error| {
        Failure::new(Class::Config, format!("cannot read the template: {error}"))
            .hint("set `template` to the name of a built-in template or to a path relative to the workspace root")
            .into()
    })
}
