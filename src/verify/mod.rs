//! Proves from the bytes of an image that every platform is what it claims to be and can start: of a layout before any
//! tag moves, of what the registry serves after a push, and of any image for `cargo multiarch verify`. Runs nothing,
//! except for a smoke run that was requested.

pub(crate) mod blobs;
pub(crate) mod built_image;
pub(crate) mod checks;
pub(crate) mod dynamic_link;
pub(crate) mod dynamic_loader;
pub(crate) mod error;
pub(crate) mod exec_chain;
pub(crate) mod exec_context;
pub(crate) mod exec_wrappers;
pub(crate) mod inspect;
pub(crate) mod manifests;
pub(crate) mod planned_platforms;
pub(crate) mod policy;
pub(crate) mod readback;
pub(crate) mod smoke;

pub(crate) use built_image::{VerifiedImage, verify_layout};
pub(crate) use checks::PlatformFacts;
pub(crate) use inspect::{InspectedImage, InspectedPlatform, VerifyOptions, inspect_location};
pub(crate) use smoke::{SmokeResult, SmokeResults};
