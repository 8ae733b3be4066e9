//! The embedded engine: a base plus files plus a config are an image, and no program has to run to build it.

pub mod build;
pub mod chown;
pub mod copy;
pub mod layer_store;
pub mod prepare;

pub use build::build;
pub use prepare::{PreparedImage, check_scratch_images, check_unstaged_scratch_images, prepare};
