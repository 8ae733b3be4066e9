//! Verifies images: every platform must match its entry in the index, and containers must be able to start on it.
//! Freshly built images are verified before any tag moves and again after the push; `cargo multiarch verify` accepts
//! any image. The checks only read the image's files. Programs are run only by the `smoke` module, and only if a smoke
//! run is configured.

pub(crate) mod before_compiling;
pub(crate) mod blobs;
pub(crate) mod built_image;
pub(crate) mod check_platform;
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
pub(crate) use check_platform::PlatformFacts;
pub(crate) use inspect::{InspectedImage, InspectedPlatform, VerifyOptions, inspect_location};
