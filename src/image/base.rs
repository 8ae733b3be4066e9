//! A base image, as the embedded engine builds on it: its config, its layers as files, and its file system's folders.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::oci::layer::Layer;
use crate::oci::rootfs::Tree;
use crate::platform::Platform;

/// What one platform of a base holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// The whole image config (image-spec, config.md).
    pub config: Value,
    /// From the bottom up, with OCI media types.
    pub layers: Vec<Layer>,
    pub tree: Tree,
}

/// By what was written and the platform.
pub type Pulled = BTreeMap<(String, Platform), Arc<Base>>;
