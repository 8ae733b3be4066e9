//! OCI images: descriptors, digests, layers, manifests, layouts, and root file systems (image-spec).

pub mod cache;
pub mod compression;
pub mod descriptor;
pub mod digest;
pub mod layer;
pub mod layer_scan;
pub mod layout;
pub mod manifest;
pub mod reference;
pub mod rootfs;
pub mod transport;
pub mod unpack;
