//! Builds images: artifacts are staged beside a rendered Dockerfile, and an engine makes an OCI layout of them.

pub(crate) mod bases;
pub(crate) mod buildx;
pub(crate) mod context;
pub(crate) mod embedded;
pub(crate) mod engine;
pub(crate) mod export;
pub(crate) mod load;
pub(crate) mod scratch_check;

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::dockerfile::pinned_bases::PinnedBases;
use crate::dockerfile::render::{self, Dockerfile};
use crate::error::{Class, Failure};
use crate::plan::Image;

/// Renders an image's Dockerfile from the templates and files of the workspace at `root`.
pub(crate) fn render(image: &Image, bases: &PinnedBases, root: &Utf8Path) -> Result<Dockerfile> {
    render::render(image, bases, &read_template, &|from| context::file_mode(root, from))
        .with_context(|| format!("image '{}'", image.name))
}

fn read_template(path: &Utf8Path) -> Result<String> {
    let text = if path.exists() && !path.is_file() {
        // Reading from a pipe would block.
        Err(format!("{path} is no file"))
    } else {
        fs_err::read_to_string(path).map_err(|error| error.to_string())
    };
    text.map_err(|error| {
        Failure::new(Class::Config, format!("its template cannot be read: {error}"))
            .hint("`template` is a path relative to the workspace's root, or a built-in template's name")
            .into()
    })
}
