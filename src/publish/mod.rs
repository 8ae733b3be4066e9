//! Publishing images: what must hold before the build, uploading blobs and manifests, and moving tags last.

pub(crate) mod preflight;
pub(crate) mod tags;
pub(crate) mod upload;
