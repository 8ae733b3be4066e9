//! Publishing images: what must hold before the build, uploading blobs and manifests, and moving tags last.

pub mod preflight;
pub mod tags;
pub mod upload;
