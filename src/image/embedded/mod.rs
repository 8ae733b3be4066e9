//! The embedded engine: assembles images from a base, files, and a config without running any other program.

pub(crate) mod build;
pub(crate) mod chown;
pub(crate) mod copy;
pub(crate) mod layer_store;
pub(crate) mod prepare;

pub(crate) use build::{BuildInputs, build};
pub(crate) use prepare::{
    PreparedImage, PreparedPlatform, StagedImage, check_scratch_image, check_unstaged_scratch_images, prepare,
};
