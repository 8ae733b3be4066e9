//! Images: artifacts are staged beside a rendered Dockerfile, and the engine makes an OCI layout of them.
//! Knows `plan` and `compile`'s artifacts; knows nothing of registries.

pub mod bases;
pub mod buildx;
pub mod context;
pub mod embedded;
pub mod engine;
pub mod export;
pub mod load;
pub mod scratch_check;

use anyhow::{Context, Result};

use self::bases::PinnedBases;
use crate::dockerfile::render;
use crate::error::{Class, Failure};
use crate::plan::{Image, Plan};

/// Renders the Dockerfile of an image of the plan.
pub fn render(plan: &Plan, image: &Image, bases: &PinnedBases) -> Result<render::Dockerfile> {
    let read = |path: &camino::Utf8Path| {
        let text = match path.exists() && !path.is_file() {
            // A pipe would be waited for.
            true => Err(format!("{path} is no file")),
            false => fs_err::read_to_string(path).map_err(|error| error.to_string()),
        };
        text.map_err(|error| {
            Failure::new(Class::Config, format!("its template cannot be read: {error}"))
                .hint("`template` is a path relative to the workspace's root, or a built-in template's name")
                .into()
        })
    };
    render::render(image, bases, &read, &|from| context::mode_of(&plan.paths.root, from))
        .with_context(|| format!("image '{}'", image.name))
}
