//! Proves from the bytes of an image that every platform is what it claims to be and can start: of a layout before any
//! tag moves, of what the registry serves after a push, and of any image for `cargo multiarch verify`. Runs nothing,
//! except for a smoke run that was requested.

pub mod blobs;
pub mod built_image;
pub mod checks;
pub mod dynamic_link;
pub mod dynamic_loader;
pub mod error;
pub mod exec_chain;
pub mod exec_context;
pub mod exec_wrappers;
pub mod inspect;
pub mod manifests;
pub mod planned_platforms;
pub mod policy;
pub mod readback;
pub mod smoke;

pub use built_image::{ImageDigests, VerifiedImage, verify_layout};
pub use checks::PlatformFacts;
pub use inspect::{InspectedImage, InspectedPlatform, VerifyOptions, inspect_location};
pub use smoke::{SmokeResult, SmokeResults};
