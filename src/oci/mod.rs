//! OCI images: descriptors, digests, layers, manifests, layouts, and root file systems (image-spec).

pub(crate) mod cache;
pub(crate) mod capabilities;
pub(crate) mod compression;
pub(crate) mod descriptor;
pub(crate) mod digest;
pub(crate) mod health_check;
pub(crate) mod layer;
pub(crate) mod layer_scan;
pub(crate) mod layout;
pub(crate) mod manifest;
pub(crate) mod pax;
pub(crate) mod record;
pub(crate) mod reference;
pub(crate) mod rootfs;
pub(crate) mod transport;
pub(crate) mod unpack;
